#include "kube/api_answer.h"

#include <array>

#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "common/yaml/yaml_tree.h"
#include "kube/object_text.h"

namespace elephas::kube {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxQuoted = 300;

Code CodeOf(int http_status, std::string_view reason) {
  switch (http_status) {
    case 401:
      return Code::kUnauthorized;
    case 403:
      return Code::kForbidden;
    case 404:
      return Code::kNotFound;
    case 409:
      return reason == "AlreadyExists" ? Code::kExists : Code::kConflict;
    case 410:
      return Code::kGone;
    case 408:
    case 504:
      return Code::kTimeout;
    case 429:
      return Code::kUnavailable;
    default:
      // A 5xx may be a webhook or etcd that is away for a moment.
      return http_status >= 500 ? Code::kUnavailable : Code::kInvalid;
  }
}

std::string Escaped(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                       (byte >= 'A' && byte <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return out;
}

constexpr std::array<std::pair<std::string_view, WatchEventType>, 4> kEventTypes{{
    {"ADDED", WatchEventType::kAdded},
    {"MODIFIED", WatchEventType::kModified},
    {"DELETED", WatchEventType::kDeleted},
    {"BOOKMARK", WatchEventType::kBookmark},
}};

}  // namespace

Status StatusOfObject(const json& status, int http_status) {
  int code = http_status;
  if (const std::int64_t value = IntegerAt(status, "/code"); value >= 400 && value < 600) {
    code = static_cast<int>(value);
  }
  const std::string reason = TextOf(status, "reason");
  std::string message = TextOf(status, "message");
  if (message.empty()) {
    message = reason.empty() ? "the API server answered " + std::to_string(code) : reason;
  }
  // Some servers send an expired watch without its number.
  const bool expired = reason == "Expired" || reason == "Gone";
  Status result(expired ? Code::kGone : CodeOf(code, reason), std::move(message));
  const std::int64_t wait = IntegerAt(status, "/details/retryAfterSeconds");
  if (wait > 0 && wait < 86'400) return result.WithRetryAfter(std::chrono::seconds(wait));
  return result;
}

Status StatusOfAnswer(int http_status, std::string_view body,
                      std::chrono::milliseconds retry_after) {
  const auto object = ParseBounded(body, {.bytes = std::size_t{1} << 20});
  Status status;
  if (object.ok() && TextOf(*object, "kind") == "Status") {
    status = StatusOfObject(*object, http_status);
  } else {
    std::string message = "the server answered " + std::to_string(http_status);
    if (!body.empty()) message += ": " + manifest::Printable(ValidUtf8(Utf8Head(body, kMaxQuoted)));
    status = Status(CodeOf(http_status, ""), std::move(message));
  }
  return retry_after.count() > 0 ? status.WithRetryAfter(retry_after) : status;
}

Result<WatchEvent> ParseWatchLine(std::string_view line, const std::optional<JsonBounds>& bounds) {
  json event = json::object();
  if (bounds) {
    const Status read = ForEachMember(line, [&](std::string_view key, std::string_view value) {
      auto part = key == "object" ? ParseObject(value, *bounds) : ParseBounded(value, *bounds);
      if (part.ok()) event[std::string(key)] = *std::move(part);
      return part.status();
    });
    if (!read.ok()) event = nullptr;
  } else {
    event = json::parse(line, nullptr, false);
  }
  if (!event.is_object()) return Unavailable("the watch sent something that is not JSON");
  const std::string type = TextOf(event, "type");
  const auto object = event.find("object");
  if (object == event.end() || !object->is_object()) {
    return Unavailable("the watch sent an event without an object");
  }
  if (type == "ERROR") return StatusOfObject(*object, 500);
  for (const auto& [word, value] : kEventTypes) {
    if (type == word) return WatchEvent{value, std::move(*object)};
  }
  return Unavailable("the watch sent an event of unknown type " + manifest::Printable(type));
}

Result<ListPage> ParseList(std::string_view body, const std::optional<JsonBounds>& bounds,
                           const std::function<void(json)>& each) {
  const JsonBounds wide{.bytes = body.size(), .depth = SIZE_MAX, .nodes = SIZE_MAX};
  ListPage page;
  bool has_items = false;
  const auto take = [&](std::string_view, std::string_view text) -> Status {
    auto object = bounds ? ParseObject(text, *bounds) : ParseBounded(text, wide);
    if (object.ok() && each) {
      each(*std::move(object));
      return OkStatus();
    }
    if (object.ok()) page.items.push_back(*std::move(object));
    // One object that cannot be read must not hide the others.
    if (!object.ok() && bounds) ++page.unreadable;
    return object.ok() || bounds ? OkStatus() : object.status();
  };
  const Status read = ForEachMember(body, [&](std::string_view key, std::string_view value) {
    if (key == "items") {
      has_items = true;
      return value == "null" ? OkStatus() : ForEachEntry(value, take);
    }
    if (key != "metadata") return OkStatus();
    ELEPHAS_ASSIGN_OR_RETURN(const json metadata, ParseBounded(value, bounds.value_or(wide)));
    page.resource_version = TextOf(metadata, "resourceVersion");
    page.continue_token = TextOf(metadata, "continue");
    return OkStatus();
  });
  if (!read.ok()) return Unavailable("the answer is not JSON, or was cut short");
  if (!has_items) return Unavailable("there are no items in it");
  return page;
}

Status LineSplitter::Add(std::string_view bytes) {
  for (;;) {
    const auto end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (rest_.size() + part.size() > max_line_) {
      return Unavailable("the server sent a line of more than " + std::to_string(max_line_) +
                         " bytes");
    }
    if (end == std::string_view::npos) {
      rest_ += part;
      return OkStatus();
    }
    bytes.remove_prefix(end + 1);
    if (rest_.empty()) {
      if (!part.empty()) ELEPHAS_RETURN_IF_ERROR(take_(part));
      continue;
    }
    rest_ += part;
    const std::string line = std::exchange(rest_, {});
    ELEPHAS_RETURN_IF_ERROR(take_(line));
  }
}

std::string ResourcePath(const Kind& kind, const ObjectName& name, std::string_view subresource,
                         const Query& query) {
  std::string path = kind.group.empty() ? "/api/" : "/apis/" + std::string(kind.group) + "/";
  path += kind.version;
  if (kind.namespaced && !name.ns.empty()) path += "/namespaces/" + Escaped(name.ns);
  path += "/" + std::string(kind.plural);
  if (!name.name.empty()) path += "/" + Escaped(name.name);
  if (!subresource.empty()) path += "/" + std::string(subresource);
  char separator = '?';
  for (const auto& [key, value] : query) {
    if (value.empty()) continue;
    path += separator + key + "=" + Escaped(value);
    separator = '&';
  }
  return path;
}

}  // namespace elephas::kube
