#include "kube/testing/selector.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace elephas::kube {

namespace {

std::string_view Trim(std::string_view text) {
  const auto begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// Splits at the commas outside parentheses.
std::vector<std::string_view> Parts(std::string_view selector) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t at = 0; at <= selector.size(); ++at) {
    const char c = at < selector.size() ? selector[at] : ',';
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (c == ',' && (depth == 0 || at == selector.size())) {
      parts.push_back(Trim(selector.substr(begin, at - begin)));
      begin = at + 1;
    }
  }
  return parts;
}

std::optional<std::string> LabelOf(const nlohmann::json& labels, std::string_view key) {
  const auto found = labels.is_object() ? labels.find(key) : labels.end();
  if (found == labels.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

// "key in (a,b)", once `word` (" in " or " notin ") was found at `at`.
Result<bool> InSet(const nlohmann::json& labels, std::string_view part, std::size_t at,
                   std::string_view word) {
  const std::string_view set = Trim(part.substr(at + word.size()));
  if (!set.starts_with('(') || !set.ends_with(')')) {
    return Invalid("label selector: '" + std::string(part) + "' has no values in parentheses");
  }
  const auto value = LabelOf(labels, Trim(part.substr(0, at)));
  const auto values = Parts(set.substr(1, set.size() - 2));
  return value && std::find(values.begin(), values.end(), *value) != values.end();
}

Result<bool> MatchesPart(const nlohmann::json& labels, std::string_view part) {
  if (const auto at = part.find(" notin "); at != std::string_view::npos) {
    auto in = InSet(labels, part, at, " notin ");
    if (!in.ok()) return in;
    return !*in;
  }
  if (const auto at = part.find(" in "); at != std::string_view::npos) {
    return InSet(labels, part, at, " in ");
  }
  if (const auto at = part.find("!="); at != std::string_view::npos) {
    return LabelOf(labels, Trim(part.substr(0, at))) != std::string(Trim(part.substr(at + 2)));
  }
  if (const auto at = part.find('='); at != std::string_view::npos) {
    const std::string_view value = part.substr(part.substr(at).starts_with("==") ? at + 2 : at + 1);
    return LabelOf(labels, Trim(part.substr(0, at))) == std::string(Trim(value));
  }
  if (part.starts_with('!')) return !LabelOf(labels, Trim(part.substr(1))).has_value();
  if (part.empty()) return Invalid("label selector: an empty part");
  return LabelOf(labels, part).has_value();
}

}  // namespace

Result<bool> MatchesSelector(const nlohmann::json& labels, std::string_view selector) {
  if (Trim(selector).empty()) return true;
  bool all = true;
  for (const std::string_view part : Parts(selector)) {
    ELEPHAS_ASSIGN_OR_RETURN(const bool matches, MatchesPart(labels, part));
    all = all && matches;
  }
  return all;
}

}  // namespace elephas::kube
