// The losses and metrics that spec.compile may name: one table for the parser, the cluster's rules
// and the suggestions. The worker's own tables, which hold the arithmetic, are tested against it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elephas {

struct CompileName {
  std::string_view class_name;  // "MeanSquaredError"
  std::string_view function;    // "mean_squared_error"
  std::string_view short_name;  // "mse"; its upper-case form is accepted too. May be empty
};

std::span<const CompileName> LossNames();
std::span<const CompileName> MetricNames();

// Every spelling of `names`, each once, in the table's order.
std::vector<std::string> Spellings(std::span<const CompileName> names);

// What Keras resolves by the shapes of labels and outputs; accepted in any case, as a text only.
inline constexpr std::string_view kResolvedLosses[] = {"crossentropy", "ce"};
inline constexpr std::string_view kResolvedMetrics[] = {"accuracy", "acc"};

}  // namespace elephas
