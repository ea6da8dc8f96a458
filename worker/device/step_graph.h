// The work of one training step on a GPU, recorded once and then started as a whole: launching its
// kernels one by one takes the host longer than a GPU takes to run those of a small model. CUDA
// graphs are one implementation, in a library that the worker opens; tests have another.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/result.h"

namespace elephas {

// Not thread-safe.
class StepGraph {
 public:
  virtual ~StepGraph() = default;

  // Runs `step` once, then records it. What it reads and writes later lies where it lies now;
  // random layers go on drawing from LibTorch's default generator. kUnavailable: it cannot be
  // recorded (it waits for the device, say), and nothing but this graph is worse for it; `step` has
  // then run once or in part.
  virtual Status Record(const std::function<void()>& step) = 0;
  // Starts what was recorded on the current stream; does not wait.
  virtual void Replay() = 0;
};

// One per process.
class StepGraphProvider {
 public:
  virtual ~StepGraphProvider() = default;
  virtual std::unique_ptr<StepGraph> Make() = 0;
};

// What a library exports as kStepGraphSymbol. The version in the name changes with the classes
// above.
using MakeStepGraphProvider = StepGraphProvider* (*)();
inline constexpr char kStepGraphSymbol[] = "elephas_step_graph_v1";

// The provider of this process, or null where steps are not to be recorded: ELEPHAS_STEP_GRAPH
// names a library, "" none; without it libelephas_cuda.so beside the program is taken, where
// `on_gpu`. kUnavailable: the library cannot be opened. It stays open for good.
Result<std::unique_ptr<StepGraphProvider>> OpenStepGraphs(bool on_gpu);

}  // namespace elephas
