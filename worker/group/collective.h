// How the workers of a group add up vectors among themselves, without the parameter server. NCCL is
// one implementation; tests have another over loopback sockets.
//
// An implementation is a shared library that the worker opens when it could use it (see
// collective_library.h), so that the program itself needs neither CUDA nor NCCL.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/base/result.h"

namespace elephas {

// One communicator: a fixed set of ranks. Spans are float32 in the memory of the provider's device.
//
// Operations are called by all ranks in the same order, by one thread. They may return before they
// are done (on a GPU they follow each other on the current stream); Finish() waits. Nothing waits
// for ever: after `timeout` without progress, after an error of a peer, and after Abort() every
// call fails with kUnavailable or kTimeout, the communicator is of no use any more, and what the
// spans hold is not defined.
class Collective {
 public:
  virtual ~Collective() = default;

  struct Seat {
    std::string id;  // the same bytes for all
    std::int64_t rank = 0, world = 1;
  };
  // Blocks until all ranks are there.
  virtual Status Connect(const Seat& seat, std::chrono::milliseconds timeout) = 0;

  // values = sum over all ranks.
  virtual Status AllReduce(std::span<float> values) = 0;
  virtual Status Send(std::span<const float> values, std::int64_t to) = 0;
  virtual Status Receive(std::span<float> values, std::int64_t from) = 0;
  // values = those of rank `root`.
  virtual Status Broadcast(std::span<float> values, std::int64_t root) = 0;
  // All operations so far are done: their results are there, and no error is known.
  virtual Status Finish() = 0;

  // Any thread, any number of times.
  virtual void Abort() = 0;
};

// One per process.
class CollectiveProvider {
 public:
  virtual ~CollectiveProvider() = default;

  // "nccl"; members of a group have the same.
  [[nodiscard]] virtual std::string name() const = 0;
  // The spans lie in GPU memory (of the current device), not in the host's.
  [[nodiscard]] virtual bool on_gpu() const = 0;
  // Sums are to be made rank after rank, in partition order, which gives the same bits for any
  // number of ranks; else by AllReduce, which is faster.
  [[nodiscard]] virtual bool ordered() const = 0;
  // For rank 0: fresh bytes by which others find it.
  virtual Result<std::string> NewId() = 0;
  // `timeout`: without progress of an operation.
  virtual std::unique_ptr<Collective> Make(std::chrono::milliseconds timeout) = 0;
};

// What a library exports as kCollectiveSymbol. Null when it cannot work on this machine; `why` then
// says why. The version in the name changes with the classes above.
using MakeCollectiveProvider = CollectiveProvider* (*)(std::string& why);
inline constexpr char kCollectiveSymbol[] = "elephas_collective_v1";

}  // namespace elephas
