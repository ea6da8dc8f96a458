// What Kubernetes takes as a pod template, as types and fields: the parser's check and the schema
// of the CRD are both made from it, so they cannot disagree. The facts are in
// pod_template_schema.json, which scripts/pod_template_schema.py makes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace elephas::manifest {

struct PodType;

struct PodField {
  enum class Kind : std::uint8_t {
    kText,
    kBoolean,
    kInt32,
    kInt64,
    kQuantity,   // 1, "500m", "2Gi"
    kIntOrText,  // a port's number or name
    kObject,     // of `type`
  };
  enum class Shape : std::uint8_t { kOne, kList, kMap };

  std::string name;
  Kind kind = Kind::kText;
  Shape shape = Shape::kOne;
  // In a whole pod. A template is merged into one, so what ours has already need not be there.
  bool required = false;
  std::vector<std::string> words;  // of a text that must be one of them
  const PodType* type = nullptr;   // of kObject; lives as long as the program
};

struct PodType {
  std::string name;  // "Container"
  std::vector<PodField> fields;

  // Null when there is none of that name.
  [[nodiscard]] const PodField* Find(std::string_view field) const;
};

// The type of a whole template: metadata and spec.
const PodType& PodTemplateType();
// "v1.34.4": whose types these are.
const std::string& PodTemplateVersion();

}  // namespace elephas::manifest
