// Amounts as Kubernetes writes them: "100m", "1.5Gi", "2e3".
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace elephas {

// Its value in units (cores, bytes); nullopt when it is no quantity. As exact as a double, which is
// enough to compare amounts that people write.
std::optional<double> ParseQuantity(std::string_view text);
// The same of a field of a pod, where a quantity may also be a number.
std::optional<double> QuantityOf(const nlohmann::json& value);

}  // namespace elephas
