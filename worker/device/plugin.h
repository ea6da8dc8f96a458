// Libraries that the worker opens when it could use them, so that the program itself needs neither
// CUDA nor NCCL.
#pragma once

#include <string>

#include "common/base/result.h"

namespace elephas {

// The path of `library` in the folder of this program.
std::string BesideProgram(const std::string& library);

// What dlerror() says, never empty.
std::string LoaderError();

// kUnavailable: the library cannot be opened, or has no such symbol. It stays open for good.
// What is found is cast to the type that the symbol is known to have.
Result<void*> PluginSymbol(const std::string& path, const char* symbol);

}  // namespace elephas
