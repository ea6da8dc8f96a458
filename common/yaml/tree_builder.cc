#include "common/yaml/tree_builder.h"

#include <utility>

#include "common/yaml/scalar.h"

namespace elephas::manifest {

namespace {

// What all aliases together may stand for: a few kilobytes of nested aliases can mean terabytes.
constexpr std::uint64_t kMaxAliasedNodes = 100'000;
constexpr std::uint64_t kMaxAliasedBytes = std::uint64_t{16} << 20;

}  // namespace

bool IsUtf8(std::string_view text) {
  const auto continuation = [&](std::size_t i) {
    return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
  };
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int length = lead < 0x80                   ? 1
                       : lead >= 0xC2 && lead < 0xE0 ? 2
                       : (lead & 0xF0U) == 0xE0U     ? 3
                       : lead >= 0xF0 && lead < 0xF5 ? 4
                                                     : 0;
    if (length == 0) return false;
    for (int k = 1; k < length; ++k) {
      if (!continuation(i + static_cast<std::size_t>(k))) return false;
    }
    // Overlong forms, surrogates and what lies beyond U+10FFFF.
    const auto second = length > 2 ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
        (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
      return false;
    }
    i += static_cast<std::size_t>(length);
  }
  return true;
}

TreeBuilder::TreeBuilder(std::string_view file, int source, bool with_lines, std::string where,
                         YamlText* out)
    : file_(file), source_(source), with_lines_(with_lines), where_(std::move(where)), out_(*out) {}

void TreeBuilder::Scalar(int line, ScalarText scalar, const std::string& anchor) {
  CountNode(line);
  Sized sized{MakeScalar(line, std::move(scalar.text), scalar.plain), 1, 0};
  sized.bytes = sized.node->text.size();
  if (!anchor.empty()) anchors_[anchor] = {++anchor_count_, sized};
  Add(sized, line, false, scalar.merge);
}

// Without lines, scalars that say the same are the same: a list of numbers has few different ones,
// and objects' keys are often the same.
NodePtr TreeBuilder::MakeScalar(int line, std::string text, bool plain) {
  constexpr std::size_t kLongestShared = 32, kMostShared = 4096;
  const bool shared = !with_lines_ && text.size() <= kLongestShared;
  std::map<std::string, NodePtr, std::less<>>& known = plain ? plain_scalars_ : quoted_scalars_;
  if (shared) {
    if (const auto found = known.find(text); found != known.end()) return found->second;
  }
  auto node = std::make_shared<Node>();
  node->kind = Node::Kind::kScalar;
  node->place = At(line);
  node->text = std::move(text);
  node->plain = plain;
  if (shared && known.size() < kMostShared) known.emplace(node->text, node);
  return node;
}

void TreeBuilder::Open(Node::Kind kind, int line, std::string anchor) {
  if (stack_.size() >= kMaxDepth) {
    throw Refusal{line, "nested deeper than " + std::to_string(kMaxDepth) + " levels"};
  }
  CountNode(line);
  Frame frame;
  frame.node = std::make_shared<Node>();
  frame.node->kind = kind;
  frame.node->place = At(line);
  if (!anchor.empty()) {
    frame.anchor_id = ++anchor_count_;
    anchors_[anchor] = {frame.anchor_id};
  }
  frame.anchor = std::move(anchor);
  stack_.push_back(std::move(frame));
}

void TreeBuilder::Close() {
  Frame frame = std::move(stack_.back());
  stack_.pop_back();
  const int line = frame.node->place.line;
  const Sized whole{std::move(frame.node), frame.nodes, frame.bytes};
  if (frame.anchor_id != 0) {
    Anchor& anchor = anchors_[frame.anchor];
    if (anchor.id == frame.anchor_id) anchor.what = whole;
  }
  Add(whole, line);
}

void TreeBuilder::Alias(int line, const std::string& anchor) {
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end()) {
    throw Refusal{line, "is not valid YAML: no anchor is named '" + Printable(anchor) + "'"};
  }
  const Sized& what = found->second.what;
  if (what.node == nullptr) throw Refusal{line, "an alias inside its own anchor"};
  aliased_nodes_ += what.nodes;
  aliased_bytes_ += what.bytes;
  if (aliased_nodes_ > kMaxAliasedNodes || aliased_bytes_ > kMaxAliasedBytes) {
    throw Refusal{line, "aliases stand for more than a manifest may hold"};
  }
  Add(Sized(what), line, true);
}

void TreeBuilder::Report(Place place, std::string path, std::string message) {
  if (out_.problems.size() >= kMaxProblems) {
    ++out_.untold;
    return;
  }
  out_.problems.push_back({std::string(file_), place.line, std::move(path), std::move(message)});
}

// The path of what is being added to the innermost frame.
std::string TreeBuilder::Path() const {
  std::string path = where_;
  for (const Frame& frame : stack_) {
    if (frame.node->kind == Node::Kind::kMapping) {
      if (frame.has_key) path = JoinPath(path, frame.key);
    } else {
      path += "[" + std::to_string(frame.node->items.size()) + "]";
    }
  }
  return path;
}

void TreeBuilder::CountNode(int line) {
  if (++nodes_ > kMaxNodes) {
    throw Refusal{line, "more than " + std::to_string(kMaxNodes) + " values"};
  }
}

void TreeBuilder::Add(const Sized& child, int line, bool alias, bool merge_key) {
  if (stack_.empty()) {
    root_ = child.node;
    return;
  }
  Frame& frame = stack_.back();
  frame.nodes += child.nodes;
  frame.bytes += child.bytes;
  if (frame.node->kind == Node::Kind::kSequence) {
    frame.node->items.push_back(child.node);
  } else if (frame.has_key) {
    TakeValue(frame, child, line, alias);
  } else {
    TakeKey(frame, *child.node, merge_key, At(line));
  }
}

void TreeBuilder::TakeKey(Frame& frame, const Node& key, bool merge, Place place) {
  std::optional<std::string> name;
  if (key.kind == Node::Kind::kScalar) {
    name = key.plain ? KeyName(key.text) : std::optional(key.text);
  }
  if (!name) Report(place, Path(), "a key must be text");
  frame.has_key = true;
  frame.skip = !name;
  frame.merge = merge;
  frame.key = name.value_or("?");
  frame.key_place = place;
  if (frame.skip || merge) return;
  const auto known = frame.known.find(frame.key);
  if (known == frame.known.end() || !known->second.written) return;
  const int first = frame.node->entries[known->second.index].place.line;
  Report(place, Path(),
         "is given twice" +
             (first > 0 ? "; the first is on line " + std::to_string(first) : std::string()));
  frame.skip = true;
}

void TreeBuilder::TakeValue(Frame& frame, const Sized& child, int line, bool alias) {
  if (frame.merge) {
    const Node& from = *child.node;
    const bool list = from.kind == Node::Kind::kSequence && !alias;
    // As go-yaml: a mapping, an alias of one, or a list of these; the first of a list wins.
    bool fits = from.kind == Node::Kind::kMapping || list;
    for (const NodePtr& item : list ? from.items : std::vector<NodePtr>()) {
      fits = fits && item->kind == Node::Kind::kMapping;
    }
    if (!fits) throw Refusal{line, "a merge key (<<) takes a mapping or a list of mappings"};
    if (list) {
      for (auto item = from.items.rbegin(); item != from.items.rend(); ++item) Merge(frame, **item);
    } else {
      Merge(frame, from);
    }
  } else if (!frame.skip) {
    const auto [known, fresh] = frame.known.try_emplace(frame.key);
    if (fresh) {
      known->second.index = frame.node->entries.size();
      frame.node->entries.push_back({frame.key, frame.key_place, child.node});
    } else {
      Entry& entry = frame.node->entries[known->second.index];
      entry.place = frame.key_place;
      entry.value = child.node;
    }
    known->second.written = true;
  }
  frame.has_key = frame.skip = frame.merge = false;
}

// kubectl's reader takes the fields in where the merge key stands: they replace those before it,
// and those after it replace them.
void TreeBuilder::Merge(Frame& frame, const Node& from) {
  for (const Entry& entry : from.entries) {
    const auto [known, fresh] = frame.known.try_emplace(entry.key);
    if (fresh) {
      known->second.index = frame.node->entries.size();
      frame.node->entries.push_back(entry);
    } else {
      frame.node->entries[known->second.index].value = entry.value;
    }
  }
}

}  // namespace elephas::manifest
