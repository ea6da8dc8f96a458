#include "worker/group/collective_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

namespace elephas {

namespace {

namespace fs = std::filesystem;

constexpr char kOverride[] = "ELEPHAS_COLLECTIVE";
constexpr char kNcclLibrary[] = "libelephas_nccl.so";

std::string LastError() {
  const char* text = dlerror();
  return text == nullptr ? "unknown error" : text;
}

Result<std::unique_ptr<CollectiveProvider>> Open(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return Unavailable(LastError());
  // The one way to turn what dlsym gives into a function.
  const auto make = reinterpret_cast<MakeCollectiveProvider>(dlsym(library, kCollectiveSymbol));
  if (make == nullptr) return Unavailable(path + ": no collective inside: " + LastError());
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
  if (const char* path = std::getenv(kOverride); path != nullptr && *path != '\0') {
    ELEPHAS_ASSIGN_OR_RETURN(std::unique_ptr<CollectiveProvider> provider, Open(path));
    if (provider->on_gpu() && !on_gpu) return Unavailable(provider->name() + " needs a GPU");
    return provider;
  }
  if (!on_gpu) return Unavailable("nccl needs a GPU, this worker computes on the CPU");
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return Open((program.parent_path() / kNcclLibrary).string());
}

}  // namespace elephas
