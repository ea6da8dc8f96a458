// The forms that a text of the manifest may have to have, each once: as a check, as a regular
// expression and in words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace elephas::manifest {

// What a text must look like besides.
enum class TextForm : std::uint8_t {
  kFree,
  kDnsSubdomain,  // a name of an object in a cluster
  kConfigMapKey,
};
bool HasForm(std::string_view text, TextForm form);
// What HasForm() asks for: as a regular expression that the API server can read, and in words.
std::string_view FormPattern(TextForm form);
std::string_view FormWords(TextForm form);
inline constexpr std::size_t kMaxFormLength = 253;  // of every form but kFree

}  // namespace elephas::manifest
