// A manifest's text as a tree whose every node knows its line, read as kubectl reads it: the same
// values, and the same texts refused. On top of that refused is what kubectl drops without a word
// (a key given twice, what follows "...", characters that are none) and what passes the bounds.
//
// Only yaml_tree.cc knows libyaml, of which kubectl's reader is a translation.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/yaml/problem.h"

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

// Problems beyond these are counted and not told: nobody reads them, and a status has to hold them.
inline constexpr std::size_t kMaxProblems = 100;

struct YamlText {
  NodePtr root;  // null when the text is not one document; then `problems` says why
  std::vector<ManifestProblem> problems;
  std::size_t untold = 0;  // problems beyond kMaxProblems
};

// Reads one document of YAML or JSON and ignores empty ones beside it. Bounded in size, depth and
// in what aliases may expand to. Never throws. `file` is what problems carry; `where` is the path
// of the root ("" for a whole manifest).
YamlText ReadYaml(std::string_view text, std::string_view file, int source, bool with_lines,
                  const std::string& where);

// The same tree from JSON that is parsed already, without lines.
YamlText ReadJson(const nlohmann::json& document, std::string_view file);

// What a scalar is in the JSON that kubectl would send. nullopt: a number that JSON cannot hold
// (infinite, not a number).
std::optional<nlohmann::json> ScalarValue(const Node& scalar);

// `root` with `value` put at the dotted path; mappings on the way are made. Returns null and fills
// `problem` when a part of the path is not a mapping.
NodePtr WithValueAt(const NodePtr& root, const std::vector<std::string>& path, const NodePtr& value,
                    Place place, std::string* problem);

// The tree as the JSON that kubectl would send. kInvalid for a number that JSON cannot hold.
Result<nlohmann::json> JsonOf(const Node& node);

// How many bytes the tree has as compact JSON, as kubectl writes it.
std::size_t JsonBytes(const Node& node);

// "spec.fit" + "epochs", "" + "spec".
std::string JoinPath(std::string_view parent, std::string_view key);

// `text` in one line of bounded length, fit for a message: control characters are escaped.
std::string Printable(std::string_view text);
// The same in quotation marks.
inline std::string Quoted(std::string_view text) { return "'" + Printable(text) + "'"; }

}  // namespace elephas::manifest
