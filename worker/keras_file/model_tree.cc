#include "worker/keras_file/model_tree.h"

#include <cctype>
#include <map>
#include <set>
#include <string_view>

#include "worker/keras_file/path.h"

namespace elephas::keras_file {

namespace {

bool IsUpper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }
bool IsLower(char c) { return std::islower(static_cast<unsigned char>(c)) != 0; }

// Attributes that hold lists, even of one member.
bool IsList(std::string_view attribute) { return attribute == "layers" || attribute == "cells"; }

class Placer {
 public:
  std::vector<Place> Run(const Object& root) {
    Visit(root, "");
    return std::move(places_);
  }

 private:
  void Visit(const Object& object, const std::string& group) {
    std::size_t index = 0;
    for (const Variable& variable : object.variables) {
      places_.push_back({&object, &variable, group, index++});
    }
    std::map<std::string, std::size_t> used;  // names within this object's lists
    for (const Object& child : object.children) {
      std::string path = Join(group, child.attribute);
      if (IsList(child.attribute)) {
        std::string name = SnakeCase(PythonClass(child.class_name));
        const std::size_t earlier = used[child.attribute + "/" + name]++;
        if (earlier > 0) name += "_" + std::to_string(earlier);
        path += "/" + name;
      }
      Visit(child, path);
    }
  }

  std::vector<Place> places_;
};

void Collect(const Object& object, std::set<std::string>& seen,
             std::vector<const Variable*>& variables) {
  for (const Variable& variable : object.variables) {
    if (seen.insert(variable.path).second) variables.push_back(&variable);
  }
  for (const Object& child : object.children) Collect(child, seen, variables);
}

}  // namespace

std::string SnakeCase(const std::string& class_name) {
  // Two passes, as Keras' two regular expressions: first a break before every capital that small
  // letters follow (not at the start), then between a small letter and a capital.
  std::string first;
  for (std::size_t i = 0; i < class_name.size(); ++i) {
    const bool word =
        i > 0 && IsUpper(class_name[i]) && i + 1 < class_name.size() && IsLower(class_name[i + 1]);
    if (word) first += '_';
    first += class_name[i];
  }
  std::string out;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (i > 0 && IsLower(first[i - 1]) && IsUpper(first[i])) out += '_';
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(first[i])));
  }
  return out;
}

std::string PythonClass(const std::string& class_name) {
  return class_name == "Model" ? "Functional" : class_name;
}

std::vector<Place> Keras3Places(const Object& root) { return Placer().Run(root); }

std::vector<const Variable*> LegacyVariables(const Object& object) {
  std::set<std::string> seen;
  std::vector<const Variable*> all;
  Collect(object, seen, all);
  std::vector<const Variable*> out;
  for (const bool trainable : {true, false}) {
    for (const Variable* variable : all) {
      if (variable->trainable == trainable) out.push_back(variable);
    }
  }
  return out;
}

std::vector<const Variable*> TrainableVariables(const Object& root) {
  std::set<std::string> seen;
  std::vector<const Variable*> all;
  Collect(root, seen, all);
  std::vector<const Variable*> out;
  for (const Variable* variable : all) {
    if (variable->trainable) out.push_back(variable);
  }
  return out;
}

}  // namespace elephas::keras_file
