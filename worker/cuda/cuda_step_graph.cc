// libelephas_cuda.so: StepGraph over CUDA graphs, as LibTorch captures them.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <exception>
#include <memory>
#include <string>

#include "worker/device/step_graph.h"

namespace elephas {
namespace {

// While one lives, what waits for the device in this process throws.
class ForbidWaiting {
 public:
  ForbidWaiting() { Set(c10::cuda::SyncDebugMode::L_ERROR); }
  ForbidWaiting(const ForbidWaiting&) = delete;
  ForbidWaiting& operator=(const ForbidWaiting&) = delete;
  ~ForbidWaiting() { Set(c10::cuda::SyncDebugMode::L_DISABLED); }

 private:
  static void Set(c10::cuda::SyncDebugMode mode) {
    c10::cuda::warning_state().set_sync_debug_mode(mode);
  }
};

std::string Reason(const std::exception& error) {
  const auto* own = dynamic_cast<const c10::Error*>(&error);
  return own == nullptr ? error.what() : own->what_without_backtrace();
}

class CudaStepGraph final : public StepGraph {
 public:
  // Off the current stream: CUDA does not record the default one. Each of the two waits for the
  // other, so to the caller it is as if all went on in its own.
  Status Record(const std::function<void()>& step) override {
    const c10::cuda::CUDAStream before = c10::cuda::getCurrentCUDAStream();
    const c10::cuda::CUDAStream aside = c10::cuda::getStreamFromPool();
    Follow(aside, before);
    Status recorded = OkStatus();
    {
      const c10::cuda::CUDAStreamGuard guard(aside);
      recorded = TryAndRecord(step);
    }
    Follow(before, aside);
    return recorded;
  }

  void Replay() override { graph_->replay(); }

 private:
  static void Follow(const c10::cuda::CUDAStream& later, const c10::cuda::CUDAStream& earlier) {
    c10::Event done(c10::DeviceType::CUDA);
    done.record(earlier.unwrap());
    done.block(later.unwrap());
  }

  // A recording that breaks off leaves LibTorch's allocator and generator in disorder, so a step
  // that waits for the device is to be found out before.
  Status TryAndRecord(const std::function<void()>& step) {
    try {
      const ForbidWaiting forbid;
      step();
    } catch (const std::exception& error) {
      return Unavailable(Reason(error));
    }
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    try {
      // Other threads (NCCL's, say) may do meanwhile what they like.
      graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      step();
      graph->capture_end();
    } catch (const std::exception& error) {
      const std::string reason = Reason(error);
      try {
        graph->capture_end();
      } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): nothing is to be done
        // It says again that the recording broke off.
      }
      (void)cudaGetLastError();
      return Unavailable(reason);
    }
    graph_ = std::move(graph);
    return OkStatus();
  }

  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

class CudaStepGraphProvider final : public StepGraphProvider {
 public:
  std::unique_ptr<StepGraph> Make() override { return std::make_unique<CudaStepGraph>(); }
};

}  // namespace
}  // namespace elephas

extern "C" elephas::StepGraphProvider* elephas_step_graph_v1() {
  // The caller owns it.
  return new elephas::CudaStepGraphProvider;  // NOLINT(cppcoreguidelines-owning-memory)
}
