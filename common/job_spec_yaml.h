// A manifest's text as a tree whose every node knows its line. Only job_spec_yaml.cc knows
// yaml-cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/job_spec.h"

namespace elephas::manifest {

// Where something was written: `source` indexes the caller's list of texts (the file, then the
// overrides); `line` counts from 1, 0 in texts that have no lines.
struct Place {
  int source = 0;
  int line = 0;
};

struct Node;
using NodePtr = std::shared_ptr<const Node>;

struct Entry {
  std::string key;
  Place place;
  NodePtr value;
};

// Immutable once built, so aliases share nodes.
struct Node {
  enum class Kind : std::uint8_t { kScalar, kSequence, kMapping };
  Kind kind = Kind::kScalar;
  Place place;
  std::string text;    // of a scalar
  bool plain = false;  // a scalar without quotes: may be null, a boolean or a number
  std::vector<NodePtr> items;
  std::vector<Entry> entries;  // keys are unique
};

struct YamlText {
  NodePtr root;  // null when the text is not one YAML document; then `problems` says why
  std::vector<ManifestProblem> problems;
};

// Reads one YAML 1.2 document (JSON is one) and ignores empty ones beside it. Bounded in size,
// depth and in what aliases may expand to. Never throws. `file` is what problems carry; `where` is
// the path of the root ("" for a whole manifest).
YamlText ReadYaml(std::string_view text, std::string_view file, int source, bool with_lines,
                  const std::string& where);

// The same tree of a document that is JSON already, without lines. Bounded in depth. Never throws but
// for want of memory.
YamlText ReadJson(const nlohmann::json& document, std::string_view name);

// A plain scalar by YAML 1.2's core schema; quoted ones are strings. nullopt: a number that JSON
// cannot hold (infinite, not a number, out of range).
std::optional<nlohmann::json> ScalarValue(const Node& scalar);

// `root` with `value` put at the dotted path; mappings on the way are made. Returns null and fills
// `problem` when a part of the path is not a mapping.
NodePtr WithValueAt(const NodePtr& root, const std::vector<std::string>& path, const NodePtr& value,
                    Place place, std::string* problem);

// "spec.fit" + "epochs", "" + "spec".
std::string JoinPath(std::string_view parent, std::string_view key);

// `text` in one line of bounded length, fit for a message: control characters are escaped.
std::string Printable(std::string_view text);

}  // namespace elephas::manifest
