// How much memory a reader of files may still take. In a container the machine's memory says
// nothing: who takes more than the container's limit is killed, and its job learns no reason.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace elephas {

struct MemoryBudget {
  std::uint64_t bytes = UINT64_MAX;  // without a limit
  std::string limit = {};            // "the container's 256.0 MiB", "the machine's 24.0 GiB"
};

// What the limit of the control group (version 1 or 2) that this process is in, or that group's
// parents, leaves to it beside what it holds already; without such a limit, what the machine's
// memory does. `root` stands for "/" in tests.
MemoryBudget FreeMemory(const std::string& root = "");

// kInvalid "WHAT would take 1.1 GiB of memory, and 220.0 MiB are left of the container's 256.0 MiB:
// …", with the way out, when it would be more than the budget.
Status CheckMemory(const MemoryBudget& budget, std::uint64_t bytes, std::string_view what);

// "1.1 GiB".
std::string BytesText(std::uint64_t bytes);

}  // namespace elephas
