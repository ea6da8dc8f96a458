// How fast ranks of this machine sum a vector: through the worker's Collective, and by NCCL's own
// calls where the collective is NCCL. With one GPU all ranks share it (NCCL_HOSTID differs), so the
// figures say what the layer above NCCL costs, not what a network carries.
//
// usage: bench-collective LIBRARY RANKS MEGABYTES REPEATS
// Prints one JSON object: seconds per sum, and the bus bandwidth 2 (n-1)/n x bytes / seconds in
// GB/s.
#include <cuda_runtime_api.h>
#include <nccl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/manifest/job_spec.h"
#include "worker/device/device.h"
#include "worker/group/collective_library.h"

namespace elephas {
namespace {

struct Settings {
  std::int64_t ranks = 2, megabytes = 64, repeats = 20;
};

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Check(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "bench-collective: %s\n", what.c_str());
  std::_Exit(1);
}

void Check(const Status& status) { Check(status.ok(), status.message()); }

// The median of `repeats` timed calls, after a few that warm up.
template <typename Function>
double Measure(std::int64_t repeats, Function&& call) {
  for (int i = 0; i < 3; ++i) call();
  std::vector<double> times;
  for (std::int64_t i = 0; i < repeats; ++i) {
    const double start = Now();
    call();
    times.push_back(Now() - start);
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

double NcclAlone(const std::string& id_bytes, std::int64_t rank, const Settings& settings,
                 std::span<float> values) {
  ncclUniqueId id;
  std::memcpy(id.internal, id_bytes.data(), sizeof id.internal);
  ncclComm_t communicator = nullptr;
  Check(ncclCommInitRank(&communicator, static_cast<int>(settings.ranks), id,
                         static_cast<int>(rank)) == ncclSuccess,
        "ncclCommInitRank");
  const double seconds = Measure(settings.repeats, [&] {
    Check(ncclAllReduce(values.data(), values.data(), values.size(), ncclFloat32, ncclSum,
                        communicator, nullptr) == ncclSuccess,
          "ncclAllReduce");
    Check(cudaStreamSynchronize(nullptr) == cudaSuccess, "cudaStreamSynchronize");
  });
  (void)ncclCommDestroy(communicator);
  return seconds;
}

std::string ReadId(int pipe, std::size_t size) {
  std::string id(size, '\0');
  std::size_t got = 0;
  while (got < size) {
    const ssize_t part = read(pipe, id.data() + got, size - got);
    Check(part > 0, "rank 0 is gone");
    got += static_cast<std::size_t>(part);
  }
  return id;
}

// Ids travel from rank 0 to the others, first their length.
std::string Share(const std::vector<int>& writers, int reader, std::int64_t rank, std::string id) {
  if (rank > 0) {
    std::uint64_t size = 0;
    const std::string length = ReadId(reader, sizeof size);
    std::memcpy(&size, length.data(), sizeof size);
    return ReadId(reader, size);
  }
  const std::uint64_t size = id.size();
  for (const int writer : writers) {
    Check(write(writer, &size, sizeof size) == static_cast<ssize_t>(sizeof size), "write");
    Check(write(writer, id.data(), id.size()) == static_cast<ssize_t>(id.size()), "write");
  }
  return id;
}

void Rank(std::int64_t rank, const Settings& settings, const std::vector<int>& writers,
          int reader) {
  setenv("NCCL_HOSTID", ("elephas-" + std::to_string(rank)).c_str(), 0);
  setenv("NCCL_SOCKET_IFNAME", "lo", 0);
  JobSpec spec;
  spec.mode = Mode::kSynchronous;
  const Result<WorkerDevice> device = OpenDevice(Device::kAuto);
  Check(device.status());
  auto provider = OpenCollective(spec, !device->device.is_cpu());
  Check(provider.status());
  const bool gpu = (*provider)->on_gpu();
  const std::size_t elements =
      static_cast<std::size_t>(settings.megabytes) * 1000000 / sizeof(float);
  std::vector<float> host(gpu ? 0 : elements);
  std::span<float> values(host);
  if (gpu) {
    void* memory = nullptr;
    Check(cudaMalloc(&memory, elements * sizeof(float)) == cudaSuccess, "cudaMalloc");
    Check(cudaMemset(memory, 0, elements * sizeof(float)) == cudaSuccess, "cudaMemset");
    values = {static_cast<float*>(memory), elements};
  }
  const auto fresh = [&] {
    if (rank > 0) return std::string();
    Result<std::string> id = (*provider)->NewId();
    Check(id.status());
    return *std::move(id);
  };
  const std::string id = Share(writers, reader, rank, fresh());
  const auto collective = (*provider)->Make(std::chrono::seconds(60));
  Check(collective->Connect({id, rank, settings.ranks}, std::chrono::seconds(60)));
  const double ours = Measure(settings.repeats, [&] {
    Check(collective->AllReduce(values));
    Check(collective->Finish());
  });
  std::optional<double> alone;
  if (gpu) alone = NcclAlone(Share(writers, reader, rank, fresh()), rank, settings, values);
  if (rank > 0) return;
  const auto n = static_cast<double>(settings.ranks);
  const auto bandwidth = [&](double seconds) {
    return 2 * (n - 1) / n * static_cast<double>(elements * sizeof(float)) / seconds / 1e9;
  };
  std::printf("{\"collective\": \"%s\", \"seconds\": %.6g, \"gb_s\": %.4g",
              (*provider)->name().c_str(), ours, bandwidth(ours));
  if (alone)
    std::printf(", \"nccl_seconds\": %.6g, \"nccl_gb_s\": %.4g", *alone, bandwidth(*alone));
  std::printf("}\n");
}

int Main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s LIBRARY RANKS MEGABYTES REPEATS\n", argv[0]);
    return 2;
  }
  setenv("ELEPHAS_COLLECTIVE", argv[1], 1);
  Settings settings;
  settings.ranks = std::atoll(argv[2]);
  settings.megabytes = std::atoll(argv[3]);
  settings.repeats = std::atoll(argv[4]);
  std::vector<int> writers, readers;
  for (std::int64_t rank = 1; rank < settings.ranks; ++rank) {
    int ends[2];
    Check(pipe(ends) == 0, "pipe");
    readers.push_back(ends[0]);
    writers.push_back(ends[1]);
  }
  // Processes part before anything of CUDA starts, which does not survive it.
  std::vector<pid_t> children;
  for (std::int64_t rank = 0; rank < settings.ranks; ++rank) {
    const pid_t child = fork();
    Check(child >= 0, "fork");
    if (child == 0) {
      Rank(rank, settings, writers, rank > 0 ? readers[static_cast<std::size_t>(rank - 1)] : -1);
      std::fflush(stdout);
      std::_Exit(0);
    }
    children.push_back(child);
  }
  int failed = 0;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) failed = 1;
  }
  return failed;
}

}  // namespace
}  // namespace elephas

int main(int argc, char** argv) { return elephas::Main(argc, argv); }
