#include "cli/cluster/apply_conflicts.h"

#include <algorithm>
#include <iterator>

namespace elephas::cli {

namespace {

using nlohmann::json;

// Longer values are cut off: the field's name says enough.
constexpr std::size_t kLongestValue = 80;

std::string TextOf(const json& object, const char* field) {
  const auto found = object.is_object() ? object.find(field) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The value at `path` below `at`; null pointer: there is none.
const json* Find(const json& at, std::string_view path) {
  if (path.empty()) return &at;
  // Entries of lists are told apart by their fields there; ours are whole to a field manager.
  if (path.front() != '.' || !at.is_object()) return nullptr;
  path.remove_prefix(1);
  for (const auto& [key, value] : at.items()) {
    if (!path.starts_with(key)) continue;
    const std::string_view rest = path.substr(key.size());
    if (!rest.empty() && rest.front() != '.' && rest.front() != '[') continue;
    if (const json* found = Find(value, rest)) return found;
  }
  return nullptr;
}

// What others have written must not steer the terminal: control characters, those of C1 in UTF-8
// (C2 80 to C2 9F) included.
std::string Plain(std::string_view text) {
  std::string out;
  unsigned char before = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool c1 = before == 0xC2 && byte >= 0x80 && byte <= 0x9F;
    if (c1) out.pop_back();
    out += byte < 0x20 || byte == 0x7F || c1 ? '?' : c;
    before = byte;
  }
  return out;
}

std::string Shown(const json& value) {
  if (value.is_null()) return "nothing";
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kLongestValue) return "something else";
  return Plain(text);
}

}  // namespace

std::vector<FieldConflict> FieldConflicts(const json& refusal) {
  std::vector<FieldConflict> conflicts;
  const json::json_pointer at{"/details/causes"};
  if (!refusal.is_object() || !refusal.contains(at) || !refusal.at(at).is_array()) return {};
  for (const json& cause : refusal.at(at)) {
    if (TextOf(cause, "reason") != "FieldManagerConflict") continue;
    std::string manager = TextOf(cause, "message");
    constexpr std::string_view kWith = "conflict with ";
    if (manager.starts_with(kWith)) manager.erase(0, kWith.size());
    conflicts.push_back({TextOf(cause, "field"), std::move(manager)});
  }
  return conflicts;
}

json ValueAtPath(const json& object, std::string_view path) {
  const json* found = Find(object, path);
  return found == nullptr ? json() : *found;
}

std::vector<FieldConflict> RealConflicts(const std::vector<FieldConflict>& conflicts,
                                         const json& manifest, const json& live) {
  std::vector<FieldConflict> real;
  std::copy_if(conflicts.begin(), conflicts.end(), std::back_inserter(real),
               [&](const FieldConflict& conflict) {
                 const json* wanted = Find(manifest, conflict.path);
                 return wanted == nullptr || *wanted != ValueAtPath(live, conflict.path);
               });
  return real;
}

json WithoutLostNulls(json manifest, const json& live) {
  if (manifest.is_object() && live.is_object()) {
    for (auto it = manifest.begin(); it != manifest.end();) {
      const auto there = live.find(it.key());
      if (there == live.end() && it->is_null()) {
        it = manifest.erase(it);
        continue;
      }
      if (there != live.end()) *it = WithoutLostNulls(std::move(*it), *there);
      ++it;
    }
  } else if (manifest.is_array() && live.is_array() && manifest.size() == live.size()) {
    for (std::size_t i = 0; i < manifest.size(); ++i) {
      manifest[i] = WithoutLostNulls(std::move(manifest[i]), live[i]);
    }
  }
  return manifest;
}

std::string ConflictText(const std::vector<FieldConflict>& conflicts, const json& manifest,
                         const json& live) {
  std::string text = "Apply failed with ";
  text.append(std::to_string(conflicts.size()));
  text.append(conflicts.size() == 1 ? " conflict:\n" : " conflicts:\n");
  for (const FieldConflict& conflict : conflicts) {
    text.append("- ").append(Plain(conflict.path)).append(": ");
    text.append(Shown(ValueAtPath(live, conflict.path))).append(" on the cluster, set by ");
    text.append(Plain(conflict.manager)).append("; ");
    text.append(Shown(ValueAtPath(manifest, conflict.path))).append(" in the manifest\n");
  }
  text +=
      "Either --force-conflicts takes these fields over with the manifest's values; or take them "
      "out of\nthe manifest, or write the cluster's values into it, and they stay as they are.";
  return text;
}

}  // namespace elephas::cli
