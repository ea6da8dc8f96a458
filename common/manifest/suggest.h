// "Did you mean": the known word nearest to a mistyped one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace elephas::manifest {

// Edits that turn one word into the other: insert, remove, replace, swap neighbours. Upper and
// lower case, '_' and '-' make no difference, so batch_size is batchSize.
std::size_t WordDistance(std::string_view first, std::string_view second);

// The nearest of `known`, if it is near enough to be what was meant.
std::optional<std::string_view> Nearest(std::string_view word,
                                        std::span<const std::string_view> known);

}  // namespace elephas::manifest
