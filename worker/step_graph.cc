#include "worker/step_graph.h"

#include <cstdlib>

#include "common/log.h"
#include "worker/plugin.h"

namespace elephas {

namespace {

constexpr char kOverride[] = "ELEPHAS_STEP_GRAPH";
constexpr char kCudaLibrary[] = "libelephas_cuda.so";

}  // namespace

std::unique_ptr<StepGraphProvider> OpenStepGraphs(bool on_gpu) {
  const char* path = std::getenv(kOverride);
  if (path == nullptr && !on_gpu) return nullptr;
  if (path != nullptr && *path == '\0') return nullptr;
  const Result<void*> symbol =
      PluginSymbol(path != nullptr ? path : BesideProgram(kCudaLibrary), kStepGraphSymbol);
  if (!symbol.ok()) {
    LogWarning("training steps are not recorded", {{"reason", symbol.status().message()}});
    return nullptr;
  }
  return std::unique_ptr<StepGraphProvider>(reinterpret_cast<MakeStepGraphProvider>(*symbol)());
}

}  // namespace elephas
