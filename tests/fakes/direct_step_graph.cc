// StepGraph without a GPU: what was recorded is run again.
#include "worker/device/step_graph.h"

namespace elephas {
namespace {

class DirectStepGraph final : public StepGraph {
 public:
  Status Record(const std::function<void()>& step) override {
    step();
    step_ = step;
    return OkStatus();
  }
  void Replay() override { step_(); }

 private:
  std::function<void()> step_;
};

class DirectStepGraphProvider final : public StepGraphProvider {
 public:
  std::unique_ptr<StepGraph> Make() override { return std::make_unique<DirectStepGraph>(); }
};

}  // namespace
}  // namespace elephas

extern "C" elephas::StepGraphProvider* elephas_step_graph_v1() {
  // The caller owns it.
  return new elephas::DirectStepGraphProvider;  // NOLINT(cppcoreguidelines-owning-memory)
}
