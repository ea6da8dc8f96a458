// The programs' verdicts for tests in Python.
//
//   verdicts-judge           reads a manifest's text as JSON, a line each, and writes a line with
//   the
//                            list of its problems, or [] for one that is accepted
//   verdicts-judge --fields  writes the table of the manifest's fields
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "common/manifest/fields.h"
#include "common/manifest/job_spec.h"

namespace {

using elephas::manifest::FieldInfo;
using elephas::manifest::FieldType;
using elephas::manifest::Mutability;
using nlohmann::json;

const char* Name(FieldType type) {
  switch (type) {
    case FieldType::kSection:
      return "section";
    case FieldType::kText:
      return "text";
    case FieldType::kUri:
      return "uri";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kNumber:
      return "number";
    case FieldType::kBoolean:
      return "boolean";
    case FieldType::kWord:
      return "word";
    case FieldType::kNames:
      return "names";
    case FieldType::kTextMap:
      return "text-map";
    case FieldType::kWeights:
      return "weights";
    case FieldType::kObject:
      return "object";
    case FieldType::kPodTemplate:
      return "pod-template";
    case FieldType::kAny:
      return "any";
  }
  return "unknown";
}

const char* Name(Mutability mutability) {
  switch (mutability) {
    case Mutability::kImmutable:
      return "immutable";
    case Mutability::kMutable:
      return "mutable";
    case Mutability::kWhileSuspended:
      return "while-suspended";
  }
  return "unknown";
}

json Fields() {
  json fields = json::array();
  for (const FieldInfo& field : elephas::manifest::ManifestFields()) {
    json row{{"path", field.path},
             {"type", Name(field.type)},
             {"mutability", Name(field.mutability)},
             {"words", field.words}};
    // JSON has no infinity.
    if (field.minimum > -1e300) row["minimum"] = field.minimum;
    if (field.maximum < 1e300) row["maximum"] = field.maximum;
    if (!field.default_json.empty()) row["default"] = json::parse(field.default_json);
    fields.push_back(std::move(row));
  }
  return fields;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--fields") == 0) {
    std::cout << Fields().dump() << "\n";
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);) {
    const std::string text = json::parse(line).get<std::string>();
    json problems = json::array();
    for (const auto& problem : elephas::ParseManifest(text, "job.yaml").problems) {
      problems.push_back(elephas::ToString(problem));
    }
    std::cout << problems.dump(-1, ' ', false, json::error_handler_t::replace) << "\n";
  }
  return 0;
}
