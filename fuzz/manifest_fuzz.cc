// Any bytes are a manifest or are refused with a reason; an accepted one survives being written
// down.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/job_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const elephas::ParsedManifest parsed = elephas::ParseManifest(text, "fuzz.yaml");
  for (const elephas::ManifestProblem& problem : parsed.problems) {
    // One line each, whatever the input holds.
    if (elephas::ToString(problem).find('\n') != std::string::npos) std::abort();
  }
  if (!parsed.problems.empty()) return 0;
  const elephas::ParsedManifest again =
      elephas::ParseManifest(parsed.document.dump(), "again.json");
  if (!again.problems.empty() || again.document != parsed.document) std::abort();

  // The same bytes as the value of an override.
  static_cast<void>(
      elephas::ParseManifest("{}", "fuzz.yaml", {{"spec.compile.loss", std::string(text)}}));
  return 0;
}
