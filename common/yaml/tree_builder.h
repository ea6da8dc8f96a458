// Builds a manifest's tree from what a reader of YAML or JSON meets, within bounds: nothing is
// expanded or recursed into before its size is known.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/yaml/yaml_tree.h"

namespace elephas::manifest {

inline constexpr std::size_t kMaxTextBytes = std::size_t{8} << 20;
inline constexpr std::size_t kMaxNodes = 500'000;
inline constexpr std::size_t kMaxDepth = 128;

// Thrown to leave a reader; caught where the reading began.
struct Refusal {
  int line;
  std::string message;
};

bool IsUtf8(std::string_view text);

// How a scalar is written.
struct ScalarText {
  std::string text;
  bool plain = false;  // means what it looks like: null, a boolean, a number or text
  bool merge = false;  // << where a key is expected takes in the fields of the value
};

// Called in the order of the text. Throws a Refusal where a bound is passed.
class TreeBuilder {
 public:
  // As for ReadYaml; what is wrong without ending the reading goes to `out`.
  TreeBuilder(std::string_view file, int source, bool with_lines, std::string where, YamlText* out);

  // `anchor` is what aliases call the node; empty: nothing.
  void Scalar(int line, ScalarText scalar, const std::string& anchor = {});
  void Open(Node::Kind kind, int line, std::string anchor = {});
  void Close();
  void Alias(int line, const std::string& anchor);

  // Forgets the anchors; those of one document mean nothing in the next.
  void StartDocument() { anchors_.clear(); }
  // The finished document; null when there was none.
  NodePtr TakeRoot() { return std::move(root_); }

 private:
  struct Sized {
    NodePtr node = nullptr;
    std::uint64_t nodes = 1, bytes = 0;  // aliases below it expanded
  };
  // An anchor means the node that began last under its name, also while that is still open.
  struct Anchor {
    std::uint64_t id = 0;
    Sized what = {};  // without a node until it is whole
  };
  struct Frame {
    std::shared_ptr<Node> node;
    std::string anchor;
    std::uint64_t anchor_id = 0;
    std::uint64_t nodes = 1, bytes = 0;
    // Of a mapping: the key whose value is to come.
    bool has_key = false, skip = false;  // skip: the key was refused, its value is dropped
    bool merge = false;                  // the value's fields are taken in
    std::string key;
    Place key_place;
    struct Known {
      std::size_t index = 0;
      bool written = false;  // by a key of its own, not by a merge
    };
    std::map<std::string, Known, std::less<>> known;
  };

  [[nodiscard]] Place At(int line) const { return {source_, with_lines_ ? line : 0}; }
  void Report(Place place, std::string path, std::string message);
  [[nodiscard]] std::string Path() const;
  void CountNode(int line);
  NodePtr MakeScalar(int line, std::string text, bool plain);
  void Add(const Sized& child, int line, bool alias = false, bool merge_key = false);
  void TakeKey(Frame& frame, const Node& key, bool merge, Place place);
  void TakeValue(Frame& frame, const Sized& child, int line, bool alias);
  static void Merge(Frame& frame, const Node& from);

  std::string_view file_;
  int source_;
  bool with_lines_;
  std::string where_;
  YamlText& out_;
  std::vector<Frame> stack_;
  std::map<std::string, Anchor, std::less<>> anchors_;
  std::uint64_t anchor_count_ = 0;
  std::map<std::string, NodePtr, std::less<>> plain_scalars_, quoted_scalars_;
  NodePtr root_;
  std::size_t nodes_ = 0;
  std::uint64_t aliased_nodes_ = 0, aliased_bytes_ = 0;
};

}  // namespace elephas::manifest
