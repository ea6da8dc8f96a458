// Any bytes are a manifest or are refused with a reason; an accepted one survives being written
// down, and JSON says the same as text and parsed already.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/manifest/job_spec.h"
#include "common/yaml/yaml_tree.h"

namespace {

using nlohmann::json;

// nullopt for what is not JSON, or says a key twice, which only the text tells.
std::optional<json> ParsedAlready(std::string_view text) {
  std::vector<std::set<std::string>> keys;
  bool twice = false;
  const json value = json::parse(
      text,
      [&](int /*depth*/, json::parse_event_t event, json& parsed) {
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        if (event == json::parse_event_t::object_end) keys.pop_back();
        if (event == json::parse_event_t::key) {
          twice = !keys.back().insert(parsed.get<std::string>()).second || twice;
        }
        return true;
      },
      false);
  if (value.is_discarded() || twice || !value.is_object()) return std::nullopt;
  return value;
}

std::multiset<std::string> Told(const elephas::ParsedManifest& manifest) {
  std::multiset<std::string> told;
  for (const elephas::ManifestProblem& problem : manifest.problems) {
    told.insert(problem.path + ": " + problem.message);
  }
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const elephas::ParsedManifest parsed = elephas::ParseManifest(text, "fuzz.yaml");
  for (const elephas::ManifestProblem& problem : parsed.problems) {
    // One line each, whatever the input holds.
    if (elephas::ToString(problem).find('\n') != std::string::npos) std::abort();
  }
  const bool json_begins = text.find('{') == text.find_first_not_of(" \t\r\n");
  const auto value = json_begins ? ParsedAlready(text) : std::nullopt;
  if (value && parsed.problems.size() <= elephas::manifest::kMaxProblems) {
    const elephas::ParsedManifest direct = elephas::ParseManifestJson(*value, "fuzz.yaml");
    if (Told(direct) != Told(parsed) || direct.document != parsed.document) std::abort();
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
