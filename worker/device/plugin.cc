#include "worker/device/plugin.h"

#include <dlfcn.h>

#include <filesystem>
#include <system_error>

namespace elephas {

namespace fs = std::filesystem;

std::string BesideProgram(const std::string& library) {
  std::error_code error;
  return (fs::read_symlink("/proc/self/exe", error).parent_path() / library).string();
}

std::string LoaderError() {
  const char* text = dlerror();
  return text == nullptr ? "unknown error" : text;
}

Result<void*> PluginSymbol(const std::string& path, const char* symbol) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return Unavailable(LoaderError());
  void* const found = dlsym(library, symbol);
  if (found == nullptr) return Unavailable(path + " has no " + symbol + ": " + LoaderError());
  return found;
}

}  // namespace elephas
