// Runs a reader that cannot be trusted with hostile input in a process of its own.
//
// libhdf5 is full of memory errors and endless loops on broken files. A child process reads the
// file and sends back plain bytes; if it dies, the file is refused, and the worker lives on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "common/base/result.h"

namespace elephas::keras_file {

// Where the child writes. Returns false when the parent has gone.
using ByteSink = std::function<bool(std::span<const std::byte>)>;

// Calls `read` in a forked child and returns what it wrote. `read` must not touch locks that other
// threads may hold. kInvalid "…" when the child was killed or used more than `cpu_seconds`; else
// the Status that `read` returned. Beyond `memory_bytes` more than the parent has, allocations of
// the child fail.
Result<std::string> ReadIsolated(const std::function<Status(const ByteSink&)>& read,
                                 unsigned cpu_seconds, std::uint64_t memory_bytes);

}  // namespace elephas::keras_file
