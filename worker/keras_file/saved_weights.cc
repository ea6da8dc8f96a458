#include "worker/keras_file/saved_weights.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "worker/files/printable.h"
#include "worker/keras_file/path.h"

namespace elephas::keras_file {

namespace {

using nlohmann::json;

// A list of names in a group's attribute, perhaps cut into name0, name1, …
std::vector<std::string> TextList(const Hdf5Contents& contents, const std::string& group,
                                  const std::string& name) {
  std::vector<std::string> out;
  const auto append = [&](const json& list) {
    if (list.is_string()) out.push_back(list.get<std::string>());
    if (!list.is_array()) return;
    for (const json& text : list) out.push_back(text.is_string() ? text.get<std::string>() : "");
  };
  if (const json* whole = contents.Attribute(group, name)) {
    append(*whole);
    return out;
  }
  for (std::size_t part = 0;; ++part) {
    const json* list = contents.Attribute(group, name + std::to_string(part));
    if (list == nullptr) return out;
    append(*list);
  }
}

// ---- legacy: layers by name, weights in a list

struct LegacyLayer {
  std::string name;
  std::vector<const Dataset*> weights;
};

class LegacyReader {
 public:
  LegacyReader(const Hdf5Contents& contents, const std::string& root)
      : contents_(contents), root_(root) {}

  // Layers that have weights, in the file's order.
  Result<std::vector<LegacyLayer>> Layers() const {
    std::vector<LegacyLayer> layers;
    for (const std::string& name : TextList(contents_, root_, "layer_names")) {
      ELEPHAS_ASSIGN_OR_RETURN(LegacyLayer layer, ReadLayer(name));
      if (!layer.weights.empty()) layers.push_back(std::move(layer));
    }
    return layers;
  }

 private:
  Result<LegacyLayer> ReadLayer(const std::string& name) const {
    LegacyLayer layer{name, {}};
    const std::string group = Join(root_, name);
    if (!contents_.groups.contains(group)) {
      return Invalid("layer '" + Printable(name) + "' has no group in the file");
    }
    for (const std::string& weight : TextList(contents_, group, "weight_names")) {
      const auto dataset = contents_.datasets.find(Join(group, weight));
      if (dataset == contents_.datasets.end()) {
        return Invalid("layer '" + Printable(name) + "': weight '" + Printable(weight) +
                       "' is not in the file");
      }
      layer.weights.push_back(&dataset->second);
    }
    return layer;
  }

  const Hdf5Contents& contents_;
  const std::string& root_;
};

// The saved layer of each of the model's layers: by name when the file knows all of them, else by
// position, as Keras does it.
Result<std::vector<const LegacyLayer*>> MatchLayers(const std::vector<const Object*>& objects,
                                                    const std::vector<LegacyLayer>& saved) {
  if (objects.size() != saved.size()) {
    return Invalid("the model has " + std::to_string(objects.size()) +
                   " layers with weights, the file " + std::to_string(saved.size()));
  }
  std::map<std::string, const LegacyLayer*> by_name;
  for (const LegacyLayer& layer : saved) by_name.emplace(layer.name, &layer);
  const bool named = std::all_of(objects.begin(), objects.end(), [&](const Object* object) {
    return by_name.contains(object->name);
  });
  std::vector<const LegacyLayer*> out;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    out.push_back(named ? by_name.at(objects[i]->name) : &saved[i]);
  }
  return out;
}

// ---- Keras 3: a group per object

std::string Keras3Path(const std::string& group, std::size_t index) {
  return Join(group, "vars/" + std::to_string(index));
}

const Dataset* Keras3Dataset(const Hdf5Contents& contents, const Place& place) {
  // An attribute may have had an underscore in front of it in another version ("_query_dense").
  const std::size_t slash = place.group.rfind('/');
  const std::size_t start = slash == std::string::npos ? 0 : slash + 1;
  std::string other = place.group;
  if (other.compare(start, 1, "_") == 0) {
    other.erase(start, 1);
  } else {
    other.insert(start, "_");
  }
  for (const std::string& group : {place.group, other}) {
    const auto it = contents.datasets.find(Keras3Path(group, place.index));
    if (it != contents.datasets.end()) return &it->second;
  }
  return nullptr;
}

}  // namespace

SavedWeights::SavedWeights(Hdf5Contents contents, bool legacy, bool keras2, std::string root)
    : contents_(std::move(contents)), legacy_(legacy), keras2_(keras2), root_(std::move(root)) {}

Result<SavedWeights> SavedWeights::FromHdf5(Hdf5Contents contents, bool keras2) {
  for (const std::string root : {"model_weights", ""}) {
    const auto group = contents.groups.find(root);
    if (group == contents.groups.end()) continue;
    if (group->second.contains("layer_names") || group->second.contains("layer_names0")) {
      return SavedWeights(std::move(contents), /*legacy=*/true, keras2, root);
    }
  }
  for (const char* group : {"layers", "vars", "_layer_checkpoint_dependencies"}) {
    if (contents.groups.contains(group)) {
      return SavedWeights(std::move(contents), /*legacy=*/false, keras2, "");
    }
  }
  return Invalid("holds no Keras weights");
}

Status SavedWeights::Assign(const Object& tree, const ModelLayout& layout,
                            std::span<float> arena) const {
  return legacy_ ? AssignLegacy(tree, layout, arena) : AssignKeras3(tree, layout, arena);
}

Status SavedWeights::AssignKeras3(const Object& tree, const ModelLayout& layout,
                                  std::span<float> arena) const {
  const VariableStore store(layout);
  const std::vector<Place> places = Keras3Places(tree);
  std::set<std::string_view> done;
  for (const Place& place : places) {
    const Dataset* dataset = Keras3Dataset(contents_, place);
    if (dataset == nullptr) continue;
    ELEPHAS_RETURN_IF_ERROR(store.Set(*place.variable, *dataset, arena));
    done.insert(place.variable->path);
  }
  for (const Place& place : places) {
    if (done.contains(place.variable->path)) continue;
    return Invalid("weight '" + place.variable->path + "' is not in the file: '" +
                   Keras3Path(place.group, place.index) + "' is missing");
  }
  return OkStatus();
}

Status SavedWeights::AssignLegacy(const Object& tree, const ModelLayout& layout,
                                  std::span<float> arena) const {
  ELEPHAS_ASSIGN_OR_RETURN(const std::vector<LegacyLayer> saved,
                           LegacyReader(contents_, root_).Layers());
  std::vector<const Object*> objects;
  for (const Object& child : tree.children) {
    if (!LegacyVariables(child).empty()) objects.push_back(&child);
  }
  ELEPHAS_ASSIGN_OR_RETURN(const std::vector<const LegacyLayer*> matched,
                           MatchLayers(objects, saved));
  const VariableStore store(layout);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const std::vector<const Variable*> variables = LegacyVariables(*objects[i]);
    if (variables.size() != matched[i]->weights.size()) {
      return Invalid("layer '" + objects[i]->name + "' has " + std::to_string(variables.size()) +
                     " weights, layer '" + Printable(matched[i]->name) + "' of the file " +
                     std::to_string(matched[i]->weights.size()));
    }
    for (std::size_t k = 0; k < variables.size(); ++k) {
      ELEPHAS_RETURN_IF_ERROR(store.Set(*variables[k], *matched[i]->weights[k], arena));
    }
  }
  return OkStatus();
}

std::vector<std::string> SavedWeights::OptimizerPaths() const {
  std::vector<std::string> paths;
  if (legacy_) {
    for (const std::string& name : TextList(contents_, "optimizer_weights", "weight_names")) {
      paths.push_back("optimizer_weights/" + name);
    }
    return paths;
  }
  // Numbers without a gap from 0; the directory is sorted as text.
  while (contents_.datasets.contains("optimizer/vars/" + std::to_string(paths.size()))) {
    paths.push_back("optimizer/vars/" + std::to_string(paths.size()));
  }
  return paths;
}

bool SavedWeights::has_optimizer() const { return !OptimizerPaths().empty(); }

Result<OptimizerState> SavedWeights::ReadOptimizer(const Object& tree, const ModelLayout& layout,
                                                   const Optimizer& optimizer) const {
  std::vector<const Dataset*> variables;
  const std::vector<std::string> paths = OptimizerPaths();
  if (paths.empty()) return NotFound("the file holds no optimizer state");
  for (const std::string& path : paths) {
    const auto it = contents_.datasets.find(path);
    if (it == contents_.datasets.end()) return Invalid("'" + Printable(path) + "' is missing");
    variables.push_back(&it->second);
  }
  // Keras 2 kept its slots in another order, or more of them, and no learning rate beside. In .h5
  // it named its counter "Adam/iter:0", from 2.11 on "iteration:0".
  if (keras2_ ||
      (legacy_ && (paths[0].find("iteration") == std::string::npos || paths[0].ends_with(":0")))) {
    return NotFound("the optimizer state is one of Keras 2");
  }
  return UnpackOptimizer(variables, TrainableVariables(tree), layout, optimizer);
}

}  // namespace elephas::keras_file
