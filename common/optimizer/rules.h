// The update rules themselves: what one optimizer does to each element, after clipping and weight
// decay. A rule is one class and one row in the table of rules.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/optimizer/options.h"

namespace elephas {

class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  // Groups of slots in Keras' order; within a group Keras interleaves them weight by weight.
  [[nodiscard]] virtual std::vector<std::vector<std::string>> SlotGroups() const = 0;
  [[nodiscard]] virtual float SlotInitialValue(std::size_t /*index*/) const { return 0.0F; }
  // One step over `size` elements; slots in the order of SlotGroups, flattened. `iteration` from 0.
  virtual void Update(std::int64_t iteration, float learning_rate, std::size_t size,
                      float* parameters, const float* gradients, float* const* slots) const = 0;
  // Scalars that Keras keeps after all slots (Nadam's running product), after `iterations` steps.
  [[nodiscard]] virtual std::vector<float> TrailingScalars(std::int64_t /*iterations*/) const {
    return {};
  }
};

struct UpdateRuleEntry {
  std::string_view class_name;  // Keras' spelling; any case is accepted
  std::string_view default_name;
  double learning_rate;  // Keras' default
  double weight_decay;   // Keras' default; negative: none
  std::unique_ptr<UpdateRule> (*make)(OptimizerOptions& options);
};
std::span<const UpdateRuleEntry> UpdateRules();

}  // namespace elephas
