#include "common/manifest/pod_template_schema.h"

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace elephas {

extern const std::string_view
    kPodTemplateTable;  // pod_template_schema.json, by cmake/EmbedText.cmake

namespace manifest {

namespace {

using nlohmann::json;
using Kind = PodField::Kind;
using Shape = PodField::Shape;

struct Table {
  std::string version;
  std::map<std::string, std::unique_ptr<PodType>, std::less<>> types;
  const PodType* root = nullptr;
};

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

void AddWords(std::string_view text, std::vector<std::string>& words) {
  while (true) {
    const auto bar = text.find('|');
    words.emplace_back(text.substr(0, bar));
    if (bar == std::string_view::npos) return;
    text.remove_prefix(bar + 1);
  }
}

// By the grammar in the table's note, such as "[]string=a|b!". Only the program's own table comes
// here, so what does not fit is a broken build and not an input.
PodField ReadField(const std::string& name, std::string_view text, const Table& table) {
  static const std::map<std::string_view, Kind> kKinds{
      {"string", Kind::kText}, {"boolean", Kind::kBoolean},   {"int32", Kind::kInt32},
      {"int64", Kind::kInt64}, {"quantity", Kind::kQuantity}, {"intOrString", Kind::kIntOrText},
  };
  PodField field;
  field.name = name;
  if (text.ends_with('!')) {
    field.required = true;
    text.remove_suffix(1);
  }
  if (TakePrefix(text, "[]")) field.shape = Shape::kList;
  if (TakePrefix(text, "{}")) field.shape = Shape::kMap;
  if (const auto equals = text.find('='); equals != std::string_view::npos) {
    AddWords(text.substr(equals + 1), field.words);
    text = text.substr(0, equals);
  }
  if (const auto kind = kKinds.find(text); kind != kKinds.end()) {
    field.kind = kind->second;
    return field;
  }
  const auto type = table.types.find(text);
  if (type == table.types.end()) {
    throw std::logic_error("pod_template_schema.json: unknown type " + std::string(text));
  }
  field.kind = Kind::kObject;
  field.type = type->second.get();
  return field;
}

Table ReadTable() {
  const json text = json::parse(kPodTemplateTable);
  Table table;
  table.version = text.at("kubernetes").get<std::string>();
  for (const auto& [name, fields] : text.at("types").items()) {
    table.types[name] = std::make_unique<PodType>(PodType{name, {}});
  }
  for (const auto& [name, fields] : text.at("types").items()) {
    for (const auto& [field, value] : fields.items()) {
      table.types[name]->fields.push_back(
          ReadField(field, value.get_ref<const std::string&>(), table));
    }
  }
  table.root = table.types.at(text.at("root").get<std::string>()).get();
  return table;
}

const Table& TheTable() {
  static const Table kTable = ReadTable();
  return kTable;
}

}  // namespace

const PodField* PodType::Find(std::string_view field) const {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const PodField& each) { return each.name == field; });
  return found == fields.end() ? nullptr : &*found;
}

const PodType& PodTemplateType() { return *TheTable().root; }

const std::string& PodTemplateVersion() { return TheTable().version; }

}  // namespace manifest

}  // namespace elephas
