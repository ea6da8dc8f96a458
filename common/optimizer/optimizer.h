// Keras' optimizers as loops over flat float32 vectors. The worker uses them for local training,
// the parameter server for `synchronous` / `frequency: batch`; there is one implementation, without
// LibTorch, so both give the same numbers. Formulas follow keras/src/optimizers (Keras 3).
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/optimizer/options.h"

namespace elephas {

// What an optimizer must know of one weight: clipnorm is per variable, decay may exclude some.
struct WeightSlice {
  std::string name;
  std::int64_t offset = 0, size = 0;  // elements into the trainable part
};

class Optimizer {
 public:
  // `config` is Keras' own: "adam", or {"class_name": "Adam", "config": {…}}; null means rmsprop.
  // kInvalid names an unknown class or option, and options that exist in Keras but not here.
  static Result<std::unique_ptr<Optimizer>> FromConfig(const nlohmann::json& config);
  virtual ~Optimizer() = default;

  // {"class_name", "config", …} with every default filled in, as keras.optimizers.serialize gives
  // it.
  [[nodiscard]] virtual nlohmann::json Config() const = 0;
  // Names of the slot vectors, in order ("momentum", "velocity"); each as long as the trainable
  // part.
  [[nodiscard]] virtual std::vector<std::string> SlotNames() const = 0;
  // Initial value of every element of slot `index` (0 but for Adagrad-like optimizers).
  [[nodiscard]] virtual float SlotInitialValue(std::size_t /*index*/) const { return 0.0F; }
  // Learning rate at `iteration` (from 0), schedules evaluated.
  [[nodiscard]] virtual double LearningRate(std::int64_t iteration) const = 0;
  // The step looks at whole weights or at all of them (clipnorm, global_clipnorm), so it must not
  // be called on a part of the trainable vector.
  [[nodiscard]] virtual bool NeedsWholeGradient() const = 0;

  // One step. All spans are trainable elements [0, parameters.size()) of the caller's range;
  // slots[i] belongs to SlotNames()[i]. `iteration` counts steps done before, from 0.
  // `gradients` is scratch: it may be changed (clipping). Not thread-safe on the same spans.
  // Precondition: slots.size() == SlotNames().size(), all spans of equal length; with
  // NeedsWholeGradient, `weights` covers them.
  virtual void Step(std::int64_t iteration, std::span<float> parameters, std::span<float> gradients,
                    std::span<const std::span<float>> slots,
                    std::span<const WeightSlice> weights) const = 0;
  // What Keras does when fit ends: with use_ema the weights become their moving averages. Does
  // nothing otherwise.
  virtual void Finalize(std::span<float> parameters,
                        std::span<const std::span<float>> slots) const = 0;

  // For readers and writers of Keras files. keras.Optimizer.variables is: iteration; learning_rate
  // unless it is a schedule; the slots, group by group, within a group weight by weight and there
  // slot by slot; the trailing scalars (their value after `iterations` steps).
  [[nodiscard]] virtual std::vector<std::vector<std::string>> SlotGroups() const = 0;
  [[nodiscard]] virtual std::vector<float> TrailingScalars(std::int64_t iterations) const = 0;
  [[nodiscard]] virtual bool HasSchedule() const = 0;
};

// What each optimizer's config may hold.
std::vector<OptionTable> OptimizerTables();

// The same optimizer with another, constant learning rate. kInvalid when its own is a schedule,
// which Keras does not let anyone replace either.
Result<std::unique_ptr<Optimizer>> WithLearningRate(const Optimizer& optimizer, double rate);

}  // namespace elephas
