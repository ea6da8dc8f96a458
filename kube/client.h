// What the operator and the command line may ask of a Kubernetes API server.
//
// Objects are JSON, as the server sends them. Every call ends by its timeout at the latest, and
// answers with a code that says what to do next:
//
//   kNotFound      there is no such object (or no such kind: the CRD is missing)
//   kExists        Create found an object of that name
//   kConflict      the object changed meanwhile, a precondition (uid, resourceVersion) failed, or
//                  another field manager owns a field: read again and decide again
//   kGone          List, Watch: the resourceVersion or continue token is too old; list anew
//   kInvalid       the server will refuse this object every time; of a List, too: a page of so many
//                  objects is larger than is read at once, ask for fewer
//   kForbidden     RBAC, an admission policy or a ResourceQuota is in the way
//   kUnauthorized  the credentials are not accepted
//   kUnavailable   429, 5xx, no connection, an answer cut short; retry_after() is what the server
//                  asked for. Whether a write took place is then unknown
//   kTimeout       the call's timeout passed, or the server's; here, too, nobody knows whether a
//                  write took place
//
// The message is the server's own, ready for a person. Implementations are thread-safe and do not
// retry by themselves; callers have a queue that does.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "kube/kind.h"

namespace elephas::kube {

// Who wrote a field, in server-side apply.
inline constexpr std::string_view kOperatorFieldManager = "elephas-operator";

struct ObjectName {
  std::string ns = {};  // empty for kinds without namespaces
  std::string name = {};

  friend auto operator<=>(const ObjectName&, const ObjectName&) = default;
};
// "namespace/name", or "name".
std::string ToString(const ObjectName& name);
// metadata.namespace and metadata.name; empty where they are missing.
ObjectName NameOf(const nlohmann::json& object);

struct CallOptions {
  std::chrono::milliseconds timeout{10'000};
};

struct ListOptions {
  std::string ns = {};  // empty: all namespaces
  std::string label_selector = {}, field_selector = {};
  std::int64_t limit = 0;           // objects per page; 0: all in one
  std::string continue_token = {};  // of the page before
  // Empty: the newest state. "0": any that the server has at hand, which costs it least.
  std::string resource_version = {};
  std::chrono::milliseconds timeout{30'000};
  // Where there is one, each object goes to it in turn, so that one at a time is in memory, and the
  // page holds none. Of a page that fails some may have been told.
  std::function<void(nlohmann::json)> each = {};
};

struct ListPage {
  // Without apiVersion and kind in built-in kinds: the server leaves them out inside lists.
  std::vector<nlohmann::json> items;
  std::string resource_version;  // where a watch goes on from
  std::string continue_token;    // empty: this was the last page
  std::int64_t unreadable = 0;   // objects that are no JSON objects; they are left out
};

enum class WatchEventType : std::uint8_t { kAdded, kModified, kDeleted, kBookmark };

struct WatchEvent {
  WatchEventType type = WatchEventType::kAdded;
  nlohmann::json object;  // of a bookmark only metadata.resourceVersion counts
};
using WatchHandler = std::function<void(WatchEvent)>;

struct WatchOptions {
  std::string ns = {};  // empty: all namespaces
  std::string label_selector = {}, field_selector = {};
  std::string resource_version = {};  // what happened after it is told
  // The watch ends by itself after this, without an error.
  std::chrono::milliseconds duration{300'000};
  // Without a byte from the server for this long the connection counts as lost.
  std::chrono::milliseconds silence{90'000};
};

struct ApplyOptions {
  std::string field_manager{kOperatorFieldManager};
  bool force = true;  // takes fields over from other managers; otherwise kConflict names them
  bool dry_run = false;
  std::chrono::milliseconds timeout{10'000};
};

enum class Propagation : std::uint8_t { kBackground, kForeground, kOrphan };

struct DeleteOptions {
  std::string uid = {};  // only the object with this uid; another one of that name: kConflict
  Propagation propagation = Propagation::kBackground;
  std::optional<std::int64_t> grace_seconds = {};  // unset: the object's own
  std::chrono::milliseconds timeout{10'000};
};

struct PodLogOptions {
  std::string container = {};  // empty: the pod's only one
  bool follow = false;         // until the container ends or `stop`
  bool previous = false;       // of the container's run before this one
  bool timestamps = false;
  std::optional<std::int64_t> tail_lines = {};
  std::chrono::milliseconds timeout{30'000};  // without follow; with it, until the first byte
};
// Called with what has arrived, in pieces that need not be whole lines; false ends the reading.
using LogSink = std::function<bool(std::string_view)>;

class Client {
 public:
  virtual ~Client() = default;

  virtual Result<nlohmann::json> Get(const Kind& kind, const ObjectName& name,
                                     const CallOptions& options = {}) = 0;
  virtual Result<ListPage> List(const Kind& kind, const ListOptions& options) = 0;

  // Blocks, and calls `handler` on this thread with every change since resource_version. Ok: the
  // watch ended as watches do (its time was up, the server closed it, `stop`), go on from the last
  // resourceVersion seen. kGone: that is too old, list anew.
  virtual Status Watch(const Kind& kind, const WatchOptions& options, const WatchHandler& handler,
                       const std::stop_token& stop) = 0;

  // These answer with the object as it is now. Name and namespace are the object's own; Create also
  // takes metadata.generateName.
  virtual Result<nlohmann::json> Create(const Kind& kind, const nlohmann::json& object,
                                        const CallOptions& options = {}) = 0;
  // Replaces the object; with metadata.resourceVersion only the one that was read (kConflict).
  virtual Result<nlohmann::json> Update(const Kind& kind, const nlohmann::json& object,
                                        const CallOptions& options = {}) = 0;
  // Server-side apply: makes the object, or makes the fields named in `object` so, and takes away
  // those that the same field manager applied before and no longer names. apiVersion and kind are
  // filled in. With metadata.resourceVersion or metadata.uid only that object (kConflict).
  virtual Result<nlohmann::json> Apply(const Kind& kind, const nlohmann::json& object,
                                       const ApplyOptions& options = {}) = 0;
  // The same for the status subresource: of `object` only metadata and status count. It makes
  // nothing (kNotFound).
  virtual Result<nlohmann::json> ApplyStatus(const Kind& kind, const nlohmann::json& object,
                                             const ApplyOptions& options = {}) = 0;
  // Ok: the object is gone or going (finalizers, a pod's grace period). kNotFound: it was not
  // there.
  virtual Status Delete(const Kind& kind, const ObjectName& name,
                        const DeleteOptions& options = {}) = 0;

  // Blocks. Ok: all of the log was handed to `sink`, or `sink` or `stop` ended it.
  virtual Status ReadPodLog(const ObjectName& pod, const PodLogOptions& options,
                            const LogSink& sink, const std::stop_token& stop) = 0;
};

}  // namespace elephas::kube
