// libelephas_nccl.so: a Collective over NCCL. Host code only; opened by a worker that has a GPU.
//
// The communicator is a non-blocking one, so no call of NCCL waits for a peer: what is in progress
// is asked for, with a deadline, and an asynchronous error or Abort() ends the waiting. A
// communicator in trouble is aborted, never destroyed in order: that could wait for the peer that
// is lost.
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include "common/base/mutex.h"
#include "worker/group/collective.h"

namespace elephas {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Operations that may be under way at once. The host runs ahead of the GPU, but never so far that a
// full launch queue could hold it where no deadline is looked at.
constexpr std::size_t kInFlight = 4;

Status CudaError(const char* what, cudaError_t error) {
  return Unavailable(std::string(what) + ": " + cudaGetErrorString(error));
}

// Waits longer the longer it takes: a sum is done in microseconds, a lost peer takes seconds.
class Backoff {
 public:
  void Pause() {
    if (++turns_ < 200) {
      std::this_thread::yield();
      return;
    }
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(pause_ * 2, microseconds(1000));
  }

 private:
  int turns_ = 0;
  microseconds pause_{20};
};

class NcclCollective final : public Collective {
 public:
  explicit NcclCollective(milliseconds timeout) : timeout_(timeout) {}
  NcclCollective(const NcclCollective&) = delete;
  NcclCollective& operator=(const NcclCollective&) = delete;
  ~NcclCollective() override {
    AbortCommunicator();
    for (cudaEvent_t event : events_) {
      if (event != nullptr) (void)cudaEventDestroy(event);
    }
  }

  Status Connect(const Seat& seat, milliseconds timeout) override {
    ncclUniqueId id;
    if (seat.id.size() != sizeof id.internal) {
      return Invalid("an NCCL id has " + std::to_string(sizeof id.internal) + " bytes, not " +
                     std::to_string(seat.id.size()));
    }
    std::memcpy(id.internal, seat.id.data(), sizeof id.internal);
    for (cudaEvent_t& event : events_) {
      if (const cudaError_t error = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
          error != cudaSuccess) {
        return CudaError("cudaEventCreate", error);
      }
    }
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    return Begin("ncclCommInitRankConfig", timeout, [&](ncclComm_t* communicator) {
      return ncclCommInitRankConfig(communicator, static_cast<int>(seat.world), id,
                                    static_cast<int>(seat.rank), &config);
    });
  }

  Status AllReduce(std::span<float> values) override {
    return Enqueue("ncclAllReduce", [&](ncclComm_t communicator, cudaStream_t stream) {
      return ncclAllReduce(values.data(), values.data(), values.size(), ncclFloat32, ncclSum,
                           communicator, stream);
    });
  }
  Status Send(std::span<const float> values, std::int64_t to) override {
    return Enqueue("ncclSend", [&](ncclComm_t communicator, cudaStream_t stream) {
      return ncclSend(values.data(), values.size(), ncclFloat32, static_cast<int>(to), communicator,
                      stream);
    });
  }
  Status Receive(std::span<float> values, std::int64_t from) override {
    return Enqueue("ncclRecv", [&](ncclComm_t communicator, cudaStream_t stream) {
      return ncclRecv(values.data(), values.size(), ncclFloat32, static_cast<int>(from),
                      communicator, stream);
    });
  }
  Status Broadcast(std::span<float> values, std::int64_t root) override {
    return Enqueue("ncclBroadcast", [&](ncclComm_t communicator, cudaStream_t stream) {
      return ncclBroadcast(values.data(), values.data(), values.size(), ncclFloat32,
                           static_cast<int>(root), communicator, stream);
    });
  }

  Status Finish() override {
    for (std::size_t i = 0; i < kInFlight; ++i) {
      ELEPHAS_RETURN_IF_ERROR(AwaitEvent((next_event_ + i) % kInFlight));
    }
    return AskForErrors("ncclCommGetAsyncError");
  }

  void Abort() override {
    aborted_ = true;
    AbortCommunicator();
  }

 private:
  template <typename Function>
  Status Begin(const char* what, milliseconds timeout, Function&& call) {
    ncclResult_t result = ncclSuccess;
    {
      const MutexLock lock(mutex_);
      if (aborted_) return Unavailable("aborted");
      result = call(&communicator_);
    }
    return Settle(what, result, timeout);
  }

  template <typename Function>
  Status Enqueue(const char* what, Function&& call) {
    // The operation kInFlight before this one is done, or something is wrong with it.
    ELEPHAS_RETURN_IF_ERROR(AwaitEvent(next_event_));
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    ncclResult_t result = ncclSuccess;
    {
      const MutexLock lock(mutex_);
      if (aborted_ || communicator_ == nullptr) return Unavailable("aborted");
      result = call(communicator_, stream);
    }
    ELEPHAS_RETURN_IF_ERROR(Settle(what, result, timeout_));
    const cudaError_t recorded = cudaEventRecord(events_[next_event_], stream);
    if (recorded != cudaSuccess) return CudaError("cudaEventRecord", recorded);
    recorded_[next_event_] = true;
    next_event_ = (next_event_ + 1) % kInFlight;
    return OkStatus();
  }

  // Until a call that was taken on is carried out by NCCL's own thread.
  Status Settle(const char* what, ncclResult_t result, milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    Backoff backoff;
    while (result == ncclInProgress) {
      if (Clock::now() > deadline) {
        AbortCommunicator();
        return Timeout(std::string(what) + ": no progress within " +
                       std::to_string(timeout.count() / 1000) + " s");
      }
      backoff.Pause();
      const MutexLock lock(mutex_);
      if (aborted_ || communicator_ == nullptr) return Unavailable("aborted");
      const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &result);
      if (asked != ncclSuccess) result = asked;
    }
    return result == ncclSuccess ? OkStatus() : Broken(what, result);
  }

  Status AwaitEvent(std::size_t index) {
    if (!recorded_[index]) return OkStatus();
    const auto deadline = Clock::now() + timeout_;
    Backoff backoff;
    for (;;) {
      const cudaError_t state = cudaEventQuery(events_[index]);
      if (state == cudaSuccess) {
        recorded_[index] = false;
        return OkStatus();
      }
      if (state != cudaErrorNotReady) return CudaError("cudaEventQuery", state);
      ELEPHAS_RETURN_IF_ERROR(AskForErrors("ncclCommGetAsyncError"));
      if (Clock::now() > deadline) {
        AbortCommunicator();
        return Timeout("a collective operation made no progress within " +
                       std::to_string(timeout_.count() / 1000) + " s");
      }
      backoff.Pause();
    }
  }

  Status AskForErrors(const char* what) {
    ncclResult_t state = ncclSuccess;
    {
      const MutexLock lock(mutex_);
      if (aborted_ || communicator_ == nullptr) return Unavailable("aborted");
      const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &state);
      if (asked != ncclSuccess) state = asked;
    }
    return state == ncclSuccess || state == ncclInProgress ? OkStatus() : Broken(what, state);
  }

  Status Broken(const char* what, ncclResult_t result) {
    std::string message = std::string(what) + ": " + ncclGetErrorString(result);
    {
      const MutexLock lock(mutex_);
      if (communicator_ != nullptr) {
        if (const char* last = ncclGetLastError(communicator_); last != nullptr && *last != '\0') {
          message += std::string(" (") + last + ")";
        }
      }
    }
    AbortCommunicator();
    return Unavailable(std::move(message));
  }

  void AbortCommunicator() {
    const MutexLock lock(mutex_);
    aborted_ = true;
    if (communicator_ == nullptr) return;
    (void)ncclCommAbort(communicator_);  // there is nothing left to do about an error here
    communicator_ = nullptr;
  }

  const milliseconds timeout_;
  std::atomic<bool> aborted_ = false;
  Mutex mutex_;  // around calls of NCCL, none of which waits
  ncclComm_t communicator_ ELEPHAS_GUARDED_BY(mutex_) = nullptr;
  // Of the training thread:
  std::array<cudaEvent_t, kInFlight> events_{};  // after each of the last operations
  std::array<bool, kInFlight> recorded_{};
  std::size_t next_event_ = 0;
};

class NcclProvider final : public CollectiveProvider {
 public:
  [[nodiscard]] std::string name() const override { return "nccl"; }
  [[nodiscard]] bool on_gpu() const override { return true; }
  [[nodiscard]] bool ordered() const override { return false; }
  Result<std::string> NewId() override {
    ncclUniqueId id;
    const ncclResult_t result = ncclGetUniqueId(&id);
    if (result != ncclSuccess) {
      return Unavailable(std::string("ncclGetUniqueId: ") + ncclGetErrorString(result));
    }
    return std::string(id.internal, sizeof id.internal);
  }
  std::unique_ptr<Collective> Make(milliseconds timeout) override {
    return std::make_unique<NcclCollective>(timeout);
  }
};

}  // namespace
}  // namespace elephas

extern "C" elephas::CollectiveProvider* elephas_collective_v1(std::string& why) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess) {
    why = std::string("NCCL cannot be used: ") + cudaGetErrorString(error);
    return nullptr;
  }
  if (devices == 0) {
    why = "NCCL cannot be used: there is no GPU";
    return nullptr;
  }
  // The caller owns it.
  return new elephas::NcclProvider;  // NOLINT(cppcoreguidelines-owning-memory)
}
