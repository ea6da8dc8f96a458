// A small API server in memory, for tests of what talks to a Client: resource versions, uids, watch
// events, server-side apply that takes away what its manager no longer names, optimistic locking,
// finalizers, and garbage collection of owned objects. It can be told to refuse. Thread-safe.
//
//   FakeClient client(clock);
//   client.Put(kElephasJob, job);                       // as a user would, never refused
//   client.FailNext({.verb = "create", .kind = "Pod"}, Forbidden("exceeded quota: compute"));
//   …
//   EXPECT_EQ(client.Find(kPod, {"default", "digits-worker-0"}), …);
//   EXPECT_THAT(client.TakeCalls(), ElementsAre("apply Service default/digits", …));
//
// What it leaves out: admission, defaults of built-in kinds, conflicts between field managers,
// merging of lists (an applied list replaces the old one), field selectors other than metadata.name
// and metadata.namespace.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <set>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "kube/client.h"

namespace elephas::kube {

class FakeClient final : public Client {
 public:
  explicit FakeClient(const Clock& clock) : clock_(clock) {}  // `clock` outlives it

  // --- what the test does ------------------------------------------------------------------------

  // Makes or replaces an object, status included, as the user, the kubelet or a controller would.
  nlohmann::json Put(const Kind& kind, nlohmann::json object);
  // Replaces an object's status.
  void PutStatus(const Kind& kind, const ObjectName& name, nlohmann::json status);
  // Takes an object away at once, finalizers or not. False: it was not there.
  bool Remove(const Kind& kind, const ObjectName& name);
  // nullopt when there is none.
  [[nodiscard]] std::optional<nlohmann::json> Find(const Kind& kind, const ObjectName& name) const;
  // All objects of a kind, by namespace and name.
  [[nodiscard]] std::vector<nlohmann::json> All(const Kind& kind) const;

  // Which calls are meant; empty fields match everything. Verbs: get, list, watch, create, update,
  // apply, apply-status, delete, log. `kind` as in manifests ("Pod").
  struct Match {
    std::string verb = {}, kind = {}, name = {};
  };
  // The next `times` calls that match answer with `status`, and change nothing. In order of the
  // FailNext calls. times < 0: from now on.
  void FailNext(Match match, Status status, int times = 1);
  // The next `times` matching writes take place, and their answer is lost (kUnavailable).
  void LoseAnswer(Match match, int times = 1);
  void StopFailing();

  // Ends the watches under way, as a server does that restarts.
  void CloseWatches();
  // Forgets what happened so far: a watch or a continue token from before gets kGone.
  void Compact();
  // Sends a bookmark to every watch.
  void Bookmark();
  // Blocks until `count` watches of the kind are under way; false when that takes longer than 10 s.
  bool WaitForWatches(const Kind& kind, std::size_t count);
  // The text that ReadPodLog gives.
  void SetPodLog(const ObjectName& pod, std::string text);

  // The writes since the last call, refused ones left out: "apply Service default/digits".
  // Reads are not listed.
  std::vector<std::string> TakeCalls();
  // Every call since the start, reads and refused ones included, by verb and kind: "get Pod".
  [[nodiscard]] std::map<std::string, std::size_t> counts() const;

  // --- Client ------------------------------------------------------------------------------------

  Result<nlohmann::json> Get(const Kind& kind, const ObjectName& name,
                             const CallOptions& options = {}) override;
  Result<ListPage> List(const Kind& kind, const ListOptions& options) override;
  Status Watch(const Kind& kind, const WatchOptions& options, const WatchHandler& handler,
               const std::stop_token& stop) override;
  Result<nlohmann::json> Create(const Kind& kind, const nlohmann::json& object,
                                const CallOptions& options = {}) override;
  Result<nlohmann::json> Update(const Kind& kind, const nlohmann::json& object,
                                const CallOptions& options = {}) override;
  Result<nlohmann::json> Apply(const Kind& kind, const nlohmann::json& object,
                               const ApplyOptions& options = {}) override;
  Result<nlohmann::json> ApplyStatus(const Kind& kind, const nlohmann::json& object,
                                     const ApplyOptions& options = {}) override;
  Status Delete(const Kind& kind, const ObjectName& name,
                const DeleteOptions& options = {}) override;
  Status ReadPodLog(const ObjectName& pod, const PodLogOptions& options, const LogSink& sink,
                    const std::stop_token& stop) override;

 private:
  struct Key {
    std::string resource;  // Kind::Resource()
    ObjectName name;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Stored {
    nlohmann::json object;
    // Field manager and subresource -> what it applied last.
    std::map<std::string, nlohmann::json> applied;
  };
  struct Change {
    std::string resource;
    std::int64_t version = 0;
    WatchEvent event;
    nlohmann::json before;  // null: the object is new
  };
  struct Refusal {
    Match match;
    Status status;
    int times = 0;
    bool after = false;  // the call takes place first
  };

  Result<ListPage> ReadPage(const Kind& kind, const ListOptions& options);
  Status Begin(std::string_view verb, const Kind& kind, const std::string& name)
      ELEPHAS_REQUIRES(mutex_);
  Result<nlohmann::json> End(std::string_view verb, const Kind& kind, const ObjectName& name,
                             const nlohmann::json& object) ELEPHAS_REQUIRES(mutex_);
  std::optional<Status> TakeRefusal(std::string_view verb, const Kind& kind,
                                    const std::string& name, bool after) ELEPHAS_REQUIRES(mutex_);
  // Gives the object its metadata, stores it and tells the watches. Answers with what is stored.
  const nlohmann::json& Store(const Kind& kind, const Key& key, nlohmann::json object)
      ELEPHAS_REQUIRES(mutex_);
  Result<nlohmann::json> ApplyPart(const Kind& kind, const nlohmann::json& object,
                                   const ApplyOptions& options, bool status);
  void Erase(const Kind& kind, const Key& key) ELEPHAS_REQUIRES(mutex_);
  void CollectGarbage(const std::string& owner_uid) ELEPHAS_REQUIRES(mutex_);
  void Tell(const std::string& resource, WatchEventType type, const nlohmann::json& object,
            nlohmann::json before) ELEPHAS_REQUIRES(mutex_);

  const Clock& clock_;
  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::map<Key, Stored> objects_ ELEPHAS_GUARDED_BY(mutex_);
  // By resource, of the objects seen.
  std::map<std::string, Kind> kinds_ ELEPHAS_GUARDED_BY(mutex_);
  std::deque<Change> changes_ ELEPHAS_GUARDED_BY(mutex_);
  std::int64_t version_ ELEPHAS_GUARDED_BY(mutex_) = 1;
  std::int64_t compacted_ ELEPHAS_GUARDED_BY(mutex_) = 0;
  std::int64_t next_uid_ ELEPHAS_GUARDED_BY(mutex_) = 1;
  std::int64_t next_name_ ELEPHAS_GUARDED_BY(mutex_) = 1;
  std::int64_t epoch_ ELEPHAS_GUARDED_BY(mutex_) = 0;
  std::map<std::string, std::size_t> watches_ ELEPHAS_GUARDED_BY(mutex_);  // by resource
  std::deque<Refusal> refusals_ ELEPHAS_GUARDED_BY(mutex_);
  std::vector<std::string> writes_ ELEPHAS_GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> counts_ ELEPHAS_GUARDED_BY(mutex_);
  std::map<ObjectName, std::string> logs_ ELEPHAS_GUARDED_BY(mutex_);
};

}  // namespace elephas::kube
