#include "worker/group/group_watch.h"

#include <chrono>
#include <utility>

#include "common/base/log.h"
#include "worker/group/group_client.h"

namespace elephas {

namespace {

using std::chrono::milliseconds;

// How long one question waits, and so how long the end of a watch may take.
constexpr milliseconds kQuestion{1000};
constexpr milliseconds kPause{200};

}  // namespace

GroupWatch::GroupWatch(std::string server, std::string token, std::string worker,
                       Incarnation incarnation, Generation generation, Collective& collective)
    : thread_([this, server = std::move(server), token = std::move(token),
               worker = std::move(worker), incarnation, generation, &collective] {
        GroupClient client(server, token, worker, incarnation);
        while (!stop_) {
          const Result<bool> over = client.AwaitEnd(generation, kQuestion);
          // A conflict is a new incarnation. Other errors: the worker's own calls meet them too.
          if ((over.ok() && *over) || over.status().code() == Code::kConflict) {
            LogInfo("group generation over", {{"generation", generation.value()}});
            collective.Abort();
            return;
          }
          if (!over.ok()) std::this_thread::sleep_for(kPause);
        }
      }) {}

GroupWatch::~GroupWatch() {
  stop_ = true;
  thread_.join();
}

}  // namespace elephas
