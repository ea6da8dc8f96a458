#include "kube/testing/fake_client.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <thread>

#include "common/base/timestamp.h"
#include "kube/testing/selector.h"

namespace elephas::kube {

namespace {

using nlohmann::json;

constexpr std::array kServersMetadata{"uid",        "resourceVersion",   "creationTimestamp",
                                      "generation", "deletionTimestamp", "managedFields"};

std::string Quoted(const Kind& kind, const std::string& name) {
  return kind.Resource() + " \"" + name + "\"";
}

Status Missing(const Kind& kind, const std::string& name) {
  return NotFound(Quoted(kind, name) + " not found");
}

std::string TextAt(const json& object, const char* pointer) {
  const json::json_pointer where{pointer};
  return object.contains(where) && object[where].is_string() ? object[where].get<std::string>()
                                                             : std::string();
}

std::string UidOf(const json& object) { return TextAt(object, "/metadata/uid"); }

std::int64_t Number(const std::string& text) {
  std::int64_t value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Takes out of `live` what `last` had and `now` has no longer.
void Prune(json& live, const json& last, const json& now) {
  if (!live.is_object() || !last.is_object()) return;
  for (const auto& [key, value] : last.items()) {
    const auto found = live.find(key);
    if (found == live.end()) continue;
    const auto kept = now.is_object() ? now.find(key) : now.end();
    if (kept != now.end() && !kept->is_null()) {
      Prune(*found, value, *kept);
      continue;
    }
    // Of an object only what this manager had put there goes.
    if (found->is_object() && value.is_object()) {
      Prune(*found, value, json::object());
      if (!found->empty()) continue;
    }
    live.erase(found);
  }
}

void Merge(json& live, const json& now) {
  for (const auto& [key, value] : now.items()) {
    if (value.is_null()) {
      live.erase(key);
    } else if (value.is_object() && live.contains(key) && live[key].is_object()) {
      Merge(live[key], value);
    } else {
      live[key] = value;
    }
  }
}

bool FieldsMatch(const json& object, const std::string& selector) {
  if (selector.empty()) return true;
  const ObjectName name = NameOf(object);
  return selector == "metadata.name=" + name.name || selector == "metadata.namespace=" + name.ns;
}

Status CheckSelectors(const std::string& labels, const std::string& fields) {
  ELEPHAS_RETURN_IF_ERROR(MatchesSelector(json::object(), labels).status());
  if (fields.empty() || fields.starts_with("metadata.name=") ||
      fields.starts_with("metadata.namespace=")) {
    return OkStatus();
  }
  return Invalid("field label not supported: " + fields);
}

bool Selected(const json& object, const std::string& ns, const std::string& labels,
              const std::string& fields) {
  if (object.is_null() || (!ns.empty() && NameOf(object).ns != ns)) return false;
  const json::json_pointer where{"/metadata/labels"};
  const auto matches =
      MatchesSelector(object.contains(where) ? object[where] : json::object(), labels);
  return matches.ok() && *matches && FieldsMatch(object, fields);
}

// The same but for what the server counts.
bool SameContent(json a, json b) {
  for (const char* field : {"resourceVersion", "generation"}) {
    if (a.contains("metadata")) a["metadata"].erase(field);
    if (b.contains("metadata")) b["metadata"].erase(field);
  }
  return a == b;
}

bool SameSpec(const json& a, const json& b) {
  const auto without = [](json object) {
    object.erase("metadata");
    object.erase("status");
    return object;
  };
  return without(a) == without(b);
}

bool HasFinalizers(const json& object) {
  const json::json_pointer where{"/metadata/finalizers"};
  return object.contains(where) && object[where].is_array() && !object[where].empty();
}

}  // namespace

// --- what the test does ----------------------------------------------------------------------

json FakeClient::Put(const Kind& kind, json object) {
  const MutexLock lock(mutex_);
  const Key key{kind.Resource(), NameOf(object)};
  return Store(kind, key, std::move(object));
}

void FakeClient::PutStatus(const Kind& kind, const ObjectName& name, json status) {
  const MutexLock lock(mutex_);
  const Key key{kind.Resource(), name};
  const auto found = objects_.find(key);
  if (found == objects_.end()) return;
  json object = found->second.object;
  object["status"] = std::move(status);
  Store(kind, key, std::move(object));
}

bool FakeClient::Remove(const Kind& kind, const ObjectName& name) {
  const MutexLock lock(mutex_);
  const Key key{kind.Resource(), name};
  if (!objects_.contains(key)) return false;
  Erase(kind, key);
  return true;
}

std::optional<json> FakeClient::Find(const Kind& kind, const ObjectName& name) const {
  const MutexLock lock(mutex_);
  const auto found = objects_.find({kind.Resource(), name});
  if (found == objects_.end()) return std::nullopt;
  return found->second.object;
}

std::vector<json> FakeClient::All(const Kind& kind) const {
  const MutexLock lock(mutex_);
  std::vector<json> all;
  for (const auto& [key, stored] : objects_) {
    if (key.resource == kind.Resource()) all.push_back(stored.object);
  }
  return all;
}

void FakeClient::FailNext(Match match, Status status, int times) {
  const MutexLock lock(mutex_);
  refusals_.push_back({std::move(match), std::move(status), times, false});
}

void FakeClient::LoseAnswer(Match match, int times) {
  const MutexLock lock(mutex_);
  refusals_.push_back({std::move(match), Unavailable("the connection was closed"), times, true});
}

void FakeClient::StopFailing() {
  const MutexLock lock(mutex_);
  refusals_.clear();
}

void FakeClient::CloseWatches() {
  const MutexLock lock(mutex_);
  ++epoch_;
  changed_.notify_all();
}

void FakeClient::Compact() {
  const MutexLock lock(mutex_);
  compacted_ = ++version_;
  changes_.clear();
}

void FakeClient::Bookmark() {
  const MutexLock lock(mutex_);
  for (const auto& [resource, kind] : kinds_) {
    changes_.push_back({resource,
                        ++version_,
                        {WatchEventType::kBookmark,
                         {{"apiVersion", kind.ApiVersion()},
                          {"kind", std::string(kind.kind)},
                          {"metadata", {{"resourceVersion", std::to_string(version_)}}}}},
                        nullptr});
  }
  changed_.notify_all();
}

bool FakeClient::WaitForWatches(const Kind& kind, std::size_t count) {
  const MutexLock lock(mutex_);
  return changed_.wait_for(mutex_, std::chrono::seconds(10), [&] {
    mutex_.AssertHeld();
    return watches_[kind.Resource()] == count;
  });
}

void FakeClient::SetPodLog(const ObjectName& pod, std::string text) {
  const MutexLock lock(mutex_);
  logs_[pod] = std::move(text);
}

std::vector<std::string> FakeClient::TakeCalls() {
  const MutexLock lock(mutex_);
  return std::exchange(writes_, {});
}

std::map<std::string, std::size_t> FakeClient::counts() const {
  const MutexLock lock(mutex_);
  return counts_;
}

// --- inside ----------------------------------------------------------------------------------

std::optional<Status> FakeClient::TakeRefusal(std::string_view verb, const Kind& kind,
                                              const std::string& name, bool after) {
  for (auto it = refusals_.begin(); it != refusals_.end(); ++it) {
    const Match& match = it->match;
    if (it->after != after || (!match.verb.empty() && match.verb != verb) ||
        (!match.kind.empty() && match.kind != kind.kind) ||
        (!match.name.empty() && match.name != name)) {
      continue;
    }
    Status status = it->status;
    if (it->times > 0 && --it->times == 0) refusals_.erase(it);
    return status;
  }
  return std::nullopt;
}

Status FakeClient::Begin(std::string_view verb, const Kind& kind, const std::string& name) {
  kinds_.emplace(kind.Resource(), kind);
  ++counts_[std::string(verb) + " " + std::string(kind.kind)];
  return TakeRefusal(verb, kind, name, false).value_or(OkStatus());
}

Result<json> FakeClient::End(std::string_view verb, const Kind& kind, const ObjectName& name,
                             const json& object) {
  writes_.push_back(std::string(verb) + " " + std::string(kind.kind) + " " + ToString(name));
  if (auto lost = TakeRefusal(verb, kind, name.name, true)) return *lost;
  return object;
}

void FakeClient::Tell(const std::string& resource, WatchEventType type, const json& object,
                      json before) {
  changes_.push_back({resource, version_, {type, object}, std::move(before)});
  changed_.notify_all();
}

const json& FakeClient::Store(const Kind& kind, const Key& key, json object) {
  kinds_.emplace(kind.Resource(), kind);
  Stored& stored = objects_[key];
  const bool is_new = stored.object.is_null();
  object["apiVersion"] = kind.ApiVersion();
  object["kind"] = kind.kind;
  json& metadata = object["metadata"];
  if (is_new) {
    metadata["uid"] = "uid-" + std::to_string(next_uid_++);
    metadata["creationTimestamp"] = TimeText(clock_.UnixMillis());
    if (object.contains("spec")) metadata["generation"] = 1;
  } else {
    const json& old = stored.object["metadata"];
    for (const char* field : {"uid", "creationTimestamp", "generation"}) {
      if (old.contains(field)) metadata[field] = old[field];
    }
    if (SameContent(stored.object, object)) return stored.object;
    if (metadata.contains("generation") && !SameSpec(stored.object, object)) {
      metadata["generation"] = metadata["generation"].get<std::int64_t>() + 1;
    }
  }
  metadata["resourceVersion"] = std::to_string(++version_);
  json before = std::exchange(stored.object, std::move(object));
  Tell(key.resource, is_new ? WatchEventType::kAdded : WatchEventType::kModified, stored.object,
       std::move(before));
  return stored.object;
}

void FakeClient::Erase(const Kind& kind, const Key& key) {
  const auto found = objects_.find(key);
  json object = std::move(found->second.object);
  objects_.erase(found);
  json before = object;
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  Tell(kind.Resource(), WatchEventType::kDeleted, object, std::move(before));
  CollectGarbage(UidOf(object));
}

void FakeClient::CollectGarbage(const std::string& owner_uid) {
  std::vector<Key> orphans;
  for (auto& [key, stored] : objects_) {
    const json::json_pointer where{"/metadata/ownerReferences"};
    if (!stored.object.contains(where)) continue;
    const json& owners = stored.object[where];
    if (owners.is_array() && !owners.empty() &&
        std::all_of(owners.begin(), owners.end(), [&](const json& owner) {
          return owner.is_object() && owner.contains("uid") && owner["uid"] == owner_uid;
        })) {
      orphans.push_back(key);
    }
  }
  for (const Key& key : orphans) {
    if (objects_.contains(key)) Erase(kinds_.at(key.resource), key);
  }
}

// --- Client ----------------------------------------------------------------------------------

Result<json> FakeClient::Get(const Kind& kind, const ObjectName& name, const CallOptions&) {
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(Begin("get", kind, name.name));
  const auto found = objects_.find({kind.Resource(), name});
  if (found == objects_.end()) return Missing(kind, name.name);
  return found->second.object;
}

Result<ListPage> FakeClient::List(const Kind& kind, const ListOptions& options) {
  auto page = ReadPage(kind, options);
  if (!page.ok() || !options.each) return page;
  for (json& object : std::exchange(page->items, {})) options.each(std::move(object));
  return page;
}

Result<ListPage> FakeClient::ReadPage(const Kind& kind, const ListOptions& options) {
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(Begin("list", kind, ""));
  ELEPHAS_RETURN_IF_ERROR(CheckSelectors(options.label_selector, options.field_selector));
  // A token is "version/namespace/name" of the last object of the page before.
  ListPage page;
  page.resource_version = std::to_string(version_);
  ObjectName after;
  if (!options.continue_token.empty()) {
    const std::string& token = options.continue_token;
    const auto first = token.find('/'), second = token.find('/', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
      return Invalid("continue key is not valid");
    }
    page.resource_version = token.substr(0, first);
    if (Number(page.resource_version) < compacted_) {
      return Gone(
          "The provided continue parameter is too old to display a consistent list result.");
    }
    after = {token.substr(first + 1, second - first - 1), token.substr(second + 1)};
  }
  for (const auto& [key, stored] : objects_) {
    if (key.resource != kind.Resource() || (!options.continue_token.empty() && key.name <= after) ||
        !Selected(stored.object, options.ns, options.label_selector, options.field_selector)) {
      continue;
    }
    if (options.limit > 0 && page.items.size() == static_cast<std::size_t>(options.limit)) {
      const ObjectName last = NameOf(page.items.back());
      page.continue_token = page.resource_version + "/" + last.ns + "/" + last.name;
      break;
    }
    page.items.push_back(stored.object);
  }
  return page;
}

Status FakeClient::Watch(const Kind& kind, const WatchOptions& options, const WatchHandler& handler,
                         const std::stop_token& stop) {
  MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(Begin("watch", kind, ""));
  ELEPHAS_RETURN_IF_ERROR(CheckSelectors(options.label_selector, options.field_selector));
  std::int64_t seen =
      options.resource_version.empty() ? version_ : Number(options.resource_version);
  const std::int64_t epoch = epoch_;
  const std::string resource = kind.Resource();
  ++watches_[resource];
  changed_.notify_all();
  Status end;
  while (!stop.stop_requested() && epoch == epoch_) {
    if (seen < compacted_) {
      end = Gone("too old resource version: " + std::to_string(seen));
      break;
    }
    const auto next = std::find_if(changes_.begin(), changes_.end(), [&](const Change& change) {
      return change.version > seen && change.resource == resource;
    });
    if (next == changes_.end()) {
      seen = version_;
      changed_.wait(mutex_, stop, [&] {
        mutex_.AssertHeld();
        return version_ > seen || epoch != epoch_;
      });
      continue;
    }
    seen = next->version;
    WatchEvent event = next->event;
    if (event.type != WatchEventType::kBookmark) {
      // What begins or ends to match comes or goes, for this watch.
      const auto selected = [&](const json& object) {
        return Selected(object, options.ns, options.label_selector, options.field_selector);
      };
      const bool before = selected(next->before), now = selected(event.object);
      if (!before && !now) continue;
      if (!before) event.type = WatchEventType::kAdded;
      if (!now) event.type = WatchEventType::kDeleted;
    }
    lock.Unlock();
    handler(std::move(event));
    lock.Lock();
  }
  --watches_[resource];
  changed_.notify_all();
  return end;
}

Result<json> FakeClient::Create(const Kind& kind, const json& object, const CallOptions&) {
  const MutexLock lock(mutex_);
  ObjectName name = NameOf(object);
  json made = object;
  if (name.name.empty()) {
    const std::string prefix = TextAt(object, "/metadata/generateName");
    if (prefix.empty()) return Invalid("name or generateName is required");
    name.name = prefix + std::to_string(next_name_++);
    made["metadata"]["name"] = name.name;
  }
  ELEPHAS_RETURN_IF_ERROR(Begin("create", kind, name.name));
  if (!TextAt(object, "/metadata/resourceVersion").empty()) {
    return Invalid("resourceVersion should not be set on objects to be created");
  }
  const Key key{kind.Resource(), name};
  if (const auto found = objects_.find(key); found != objects_.end()) {
    const bool going = found->second.object["metadata"].contains("deletionTimestamp");
    return Exists((going ? "object is being deleted: " : "") + Quoted(kind, name.name) +
                  " already exists");
  }
  if (kind.has_status) made.erase("status");
  if (kind == kPod) made["status"] = {{"phase", "Pending"}};
  return End("create", kind, name, Store(kind, key, std::move(made)));
}

Result<json> FakeClient::Update(const Kind& kind, const json& object, const CallOptions&) {
  const MutexLock lock(mutex_);
  const ObjectName name = NameOf(object);
  ELEPHAS_RETURN_IF_ERROR(Begin("update", kind, name.name));
  const Key key{kind.Resource(), name};
  const auto found = objects_.find(key);
  if (found == objects_.end()) return Missing(kind, name.name);
  const std::string version = TextAt(object, "/metadata/resourceVersion");
  if (!version.empty() && version != TextAt(found->second.object, "/metadata/resourceVersion")) {
    return Conflict("Operation cannot be fulfilled on " + Quoted(kind, name.name) +
                    ": the object has been modified; please apply your changes to the latest "
                    "version and try again");
  }
  json next = object;
  if (kind.has_status) {
    next.erase("status");
    if (found->second.object.contains("status")) next["status"] = found->second.object["status"];
  }
  const bool last = next.contains("metadata") && next["metadata"].contains("deletionTimestamp") &&
                    !HasFinalizers(next);
  const json stored = Store(kind, key, std::move(next));
  if (last) Erase(kind, key);
  return End("update", kind, name, stored);
}

Result<json> FakeClient::Apply(const Kind& kind, const json& object, const ApplyOptions& options) {
  return ApplyPart(kind, object, options, false);
}

Result<json> FakeClient::ApplyStatus(const Kind& kind, const json& object,
                                     const ApplyOptions& options) {
  return ApplyPart(kind, object, options, true);
}

Result<json> FakeClient::ApplyPart(const Kind& kind, const json& object,
                                   const ApplyOptions& options, bool status) {
  const MutexLock lock(mutex_);
  const std::string_view verb = status ? "apply-status" : "apply";
  const ObjectName name = NameOf(object);
  ELEPHAS_RETURN_IF_ERROR(Begin(verb, kind, name.name));
  if (name.name.empty()) return Invalid("name is required");
  if (options.field_manager.empty()) return Invalid("fieldManager is required for apply patch");
  if (object["metadata"].contains("managedFields")) {
    return Invalid("metadata.managedFields must be nil");
  }
  const Key key{kind.Resource(), name};
  const auto found = objects_.find(key);
  if (found == objects_.end() && status) return Missing(kind, name.name);
  const json live = found == objects_.end() ? json::object() : found->second.object;
  for (const char* field : {"uid", "resourceVersion"}) {
    const std::string wanted = object["metadata"].value(field, "");
    if (!wanted.empty() && (live.empty() || live["metadata"].value(field, "") != wanted)) {
      return Conflict("Operation cannot be fulfilled on " + Quoted(kind, name.name) +
                      ": Precondition failed: " + field + " in object: " + wanted);
    }
  }

  json part = object;
  part.erase("apiVersion");
  part.erase("kind");
  if (status) {
    part.erase("metadata");
    for (const auto& [field, value] : object.items()) {
      if (field != "status") part.erase(field);
    }
  } else {
    for (const char* field : kServersMetadata) part["metadata"].erase(field);
    if (kind.has_status) part.erase("status");
  }
  const std::string manager = options.field_manager + (status ? "/status" : "");
  json next = live;
  if (found != objects_.end()) {
    if (const auto last = found->second.applied.find(manager);
        last != found->second.applied.end()) {
      Prune(next, last->second, part);
    }
  }
  Merge(next, part);
  if (found == objects_.end() && kind == kPod) next["status"] = {{"phase", "Pending"}};
  if (options.dry_run) return next;
  const bool last = next["metadata"].contains("deletionTimestamp") && !HasFinalizers(next);
  const json stored = Store(kind, key, std::move(next));
  objects_[key].applied[manager] = std::move(part);
  if (last) Erase(kind, key);
  return End(verb, kind, name, stored);
}

Status FakeClient::Delete(const Kind& kind, const ObjectName& name, const DeleteOptions& options) {
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(Begin("delete", kind, name.name));
  const Key key{kind.Resource(), name};
  const auto found = objects_.find(key);
  if (found == objects_.end()) return Missing(kind, name.name);
  const std::string uid = UidOf(found->second.object);
  if (!options.uid.empty() && options.uid != uid) {
    return Conflict("Operation cannot be fulfilled on " + Quoted(kind, name.name) +
                    ": Precondition failed: UID in precondition: " + options.uid +
                    ", UID in object meta: " + uid);
  }
  json object = found->second.object;
  // A pod on a node goes when its kubelet says so, everything else when its finalizers are gone.
  const bool on_node = kind == kPod && !TextAt(object, "/spec/nodeName").empty() &&
                       options.grace_seconds.value_or(1) > 0;
  if (HasFinalizers(object) || on_node) {
    if (!object["metadata"].contains("deletionTimestamp")) {
      object["metadata"]["deletionTimestamp"] = TimeText(clock_.UnixMillis());
      Store(kind, key, object);
    }
  } else {
    Erase(kind, key);
  }
  return End("delete", kind, name, nullptr).status();
}

Status FakeClient::ReadPodLog(const ObjectName& pod, const PodLogOptions&, const LogSink& sink,
                              const std::stop_token& stop) {
  std::string text;
  {
    const MutexLock lock(mutex_);
    ELEPHAS_RETURN_IF_ERROR(Begin("log", kPod, pod.name));
    if (!objects_.contains({kPod.Resource(), pod})) return Missing(kPod, pod.name);
    text = logs_[pod];
  }
  if (!text.empty() && !stop.stop_requested()) sink(text);
  return OkStatus();
}

}  // namespace elephas::kube
