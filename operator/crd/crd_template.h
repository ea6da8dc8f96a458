// The part of the CustomResourceDefinition that describes pod templates, made from the types of
// common/manifest/pod_template_schema.h.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace elephas {

// "type", "properties" and rules of a template for pods whose container of ours is called
// `container`. A definition cannot refer to a type, so every use of one is a copy; what is large
// and seldom used is an object of any fields, whose fields the parser knows
// (docs/design/operator.md).
nlohmann::ordered_json PodTemplateSchema(std::string_view container);

}  // namespace elephas
