#include "kube/object_text.h"

#include <algorithm>
#include <array>
#include <string>

namespace elephas::kube {

namespace {

using nlohmann::json;
using std::string_view_literals::operator""sv;

// What is left of an object's metadata, whatever else is in it.
constexpr std::array kIdentity{"name"sv,       "namespace"sv,        "uid"sv, "resourceVersion"sv,
                               "generation"sv, "deletionTimestamp"sv};
// Every one of them is a short text or a number.
constexpr JsonBounds kIdentityBounds{.bytes = 1'024, .depth = 0, .nodes = 1};

Status ParseMember(std::string_view key, std::string_view text, const JsonBounds& bounds,
                   json& out) {
  auto value = ParseBounded(text, bounds);
  if (!value.ok()) return value.status().Annotate(key);
  out[std::string(key)] = *std::move(value);
  return OkStatus();
}

// In Go's JSON a mapping without members may be null.
Status ParseMetadata(std::string_view text, const JsonBounds& bounds, json& metadata) {
  if (text == "null") return OkStatus();
  const Status parsed = ForEachMember(text, [&](std::string_view key, std::string_view value) {
    return key == "managedFields" ? OkStatus() : ParseMember(key, value, bounds, metadata);
  });
  return parsed.Annotate("metadata");
}

Status ParseWhole(std::string_view text, const JsonBounds& bounds, json& object) {
  return ForEachMember(text, [&](std::string_view key, std::string_view value) {
    if (key != "metadata") return ParseMember(key, value, bounds, object);
    json metadata = json::object();
    ELEPHAS_RETURN_IF_ERROR(ParseMetadata(value, bounds, metadata));
    object["metadata"] = std::move(metadata);
    return OkStatus();
  });
}

Result<json> Identity(std::string_view text, const JsonBounds& bounds, const Status& why) {
  json object = json::object(), metadata = json::object();
  ELEPHAS_RETURN_IF_ERROR(
      ForEachMember(text, [&](std::string_view key, std::string_view value) -> Status {
        if (key == "apiVersion" || key == "kind") {
          return ParseMember(key, value, kIdentityBounds, object);
        }
        if (key == "status") {
          // Left out, it is only written anew.
          (void)ParseMember(key, value, bounds, object);
        }
        if (key != "metadata") return OkStatus();
        return ForEachMember(value, [&](std::string_view field, std::string_view part) {
          const bool kept = std::find(kIdentity.begin(), kIdentity.end(), field) != kIdentity.end();
          return kept ? ParseMember(field, part, kIdentityBounds, metadata) : OkStatus();
        });
      }));
  object["metadata"] = std::move(metadata);
  object[kClipped] = why.message();
  return object;
}

}  // namespace

Result<json> ParseObject(std::string_view text, const JsonBounds& bounds) {
  Status whole;
  {
    json object = json::object();
    whole = ParseWhole(text, bounds, object);
    if (whole.ok()) return object;
  }  // its memory goes back first
  return Identity(text, bounds, whole);
}

}  // namespace elephas::kube
