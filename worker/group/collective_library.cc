#include "worker/group/collective_library.h"

#include <cstdlib>

#include "worker/device/plugin.h"

namespace elephas {

namespace {

constexpr char kCollectiveVariable[] = "ELEPHAS_COLLECTIVE";
constexpr char kNcclLibrary[] = "libelephas_nccl.so";

Result<std::unique_ptr<CollectiveProvider>> Open(const std::string& path) {
  ELEPHAS_ASSIGN_OR_RETURN(void* const symbol, PluginSymbol(path, kCollectiveSymbol));
  const auto make = reinterpret_cast<MakeCollectiveProvider>(symbol);
  std::string why;
  std::unique_ptr<CollectiveProvider> provider(make(why));
  if (!provider) return Unavailable(why);
  return provider;
}

}  // namespace

Result<std::unique_ptr<CollectiveProvider>> OpenCollective(const JobSpec& spec, bool on_gpu) {
  if (spec.task != TaskKind::kTrain || spec.mode != Mode::kSynchronous) {
    return NotFound("only synchronous training uses a collective");
  }
  if (spec.transport == Transport::kRest) return NotFound("spec.transport is rest");
  if (const char* path = std::getenv(kCollectiveVariable); path != nullptr && *path != '\0') {
    ELEPHAS_ASSIGN_OR_RETURN(std::unique_ptr<CollectiveProvider> provider, Open(path));
    if (provider->on_gpu() && !on_gpu) return Unavailable(provider->name() + " needs a GPU");
    return provider;
  }
  if (!on_gpu) return Unavailable("nccl needs a GPU, this worker computes on the CPU");
  return Open(BesideProgram(kNcclLibrary));
}

}  // namespace elephas
