// The tree of a manifest that is JSON already, as a cluster hands it out: what ReadYaml would make
// of its text, without the text and without yaml-cpp, which need many times the memory.
#include "common/job_spec_yaml.h"
#include "common/utf8.h"

namespace elephas::manifest {

namespace {

using nlohmann::json;

// As ReadYaml's; the checks that follow the tree recurse.
constexpr std::size_t kMaxDepth = 128;

// Null when it is nested too deep.
NodePtr TreeOf(const json& value, std::size_t depth) {
  if (depth > kMaxDepth) return nullptr;
  auto node = std::make_shared<Node>();
  if (value.is_object()) {
    node->kind = Node::Kind::kMapping;
    node->entries.reserve(value.size());
    for (const auto& [key, member] : value.items()) {
      NodePtr child = TreeOf(member, depth + 1);
      if (child == nullptr) return nullptr;
      node->entries.push_back({key, {}, std::move(child)});
    }
  } else if (value.is_array()) {
    node->kind = Node::Kind::kSequence;
    node->items.reserve(value.size());
    for (const json& entry : value) {
      NodePtr child = TreeOf(entry, depth + 1);
      if (child == nullptr) return nullptr;
      node->items.push_back(std::move(child));
    }
  } else if (value.is_string()) {
    node->text = value.get_ref<const std::string&>();
  } else {
    node->plain = true;
    node->text = JsonText(value);
  }
  return node;
}

}  // namespace

YamlText ReadJson(const json& document, std::string_view name) {
  YamlText result;
  result.root = TreeOf(document, 1);
  if (result.root == nullptr) {
    result.problems.push_back({std::string(name), 0, "",
                               "nested deeper than " + std::to_string(kMaxDepth) + " levels"});
  }
  return result;
}

}  // namespace elephas::manifest
