// metav1.Conditions, kept across writes.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace elephas {

// The conditions of a status under construction.
class Conditions {
 public:
  // `before`: the status as it is on the cluster.
  Conditions(const nlohmann::json& before, std::int64_t generation, std::int64_t now_ms);

  // `status`: "True", "False" or "Unknown". lastTransitionTime is that of `before` while it stays
  // the same. A message that is too long is cut, and a reason that is none becomes part of it.
  void Set(std::string_view type, std::string_view status, std::string_view reason,
           std::string_view message);
  // In the order of the Set calls.
  [[nodiscard]] const nlohmann::json& json() const { return list_; }

 private:
  const nlohmann::json& before_;
  std::int64_t generation_, now_ms_;
  nlohmann::json list_ = nlohmann::json::array();
};

}  // namespace elephas
