#include "worker/device/step_graph.h"

#include <cstdlib>

#include "worker/device/plugin.h"

namespace elephas {

namespace {

constexpr char kStepGraphVariable[] = "ELEPHAS_STEP_GRAPH";
constexpr char kCudaLibrary[] = "libelephas_cuda.so";

}  // namespace

Result<std::unique_ptr<StepGraphProvider>> OpenStepGraphs(bool on_gpu) {
  std::unique_ptr<StepGraphProvider> none;
  const char* path = std::getenv(kStepGraphVariable);
  if (path == nullptr && !on_gpu) return none;
  if (path != nullptr && *path == '\0') return none;
  ELEPHAS_ASSIGN_OR_RETURN(
      void* const symbol,
      PluginSymbol(path != nullptr ? path : BesideProgram(kCudaLibrary), kStepGraphSymbol));
  return std::unique_ptr<StepGraphProvider>(reinterpret_cast<MakeStepGraphProvider>(symbol)());
}

}  // namespace elephas
