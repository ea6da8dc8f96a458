#include "operator/state/owner.h"

#include "common/json/json_at.h"
#include "common/manifest/fields.h"

namespace elephas {

namespace {

using nlohmann::json;

// Of any version: an object keeps the one that it was made with.
bool IsElephasJob(const json& reference) {
  const std::string version = TextOf(reference, "apiVersion");
  const std::string group =
      std::string(manifest::kApiVersion.substr(0, manifest::kApiVersion.find('/') + 1));
  return Says(reference, "kind", manifest::kKind) && version.starts_with(group);
}

}  // namespace

std::optional<Owner> ControllerOf(const json& object) {
  const json& references = At(object, "/metadata/ownerReferences");
  if (!references.is_array()) return std::nullopt;
  for (const json& reference : references) {
    if (!BoolIn(MemberOf(reference, "controller")) || !IsElephasJob(reference)) continue;
    Owner owner{TextOf(reference, "name"), TextOf(reference, "uid")};
    if (!owner.name.empty() && !owner.uid.empty()) return owner;
  }
  return std::nullopt;
}

}  // namespace elephas
