// Events, as `kubectl describe` shows them: one per change.
//
// Repetitions are counted in one Event rather than written anew, as client-go does: the same
// message about the same object within ten minutes raises that Event's count; more than ten
// different messages with one reason become one "(combined from similar events)". An object that
// has too much to say (25 at once, then one every five minutes) is not listened to. Everything that
// is remembered is bounded.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <stop_token>
#include <string>
#include <thread>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "kube/client.h"
#include "kube/observer.h"

namespace elephas::kube {

// What an Event is about.
struct EventSubject {
  Kind kind;
  ObjectName name;
  std::string uid;
  std::string resource_version = {};
};

enum class EventType : std::uint8_t { kNormal, kWarning };

class EventRecorder {
 public:
  struct Options {
    std::string component = "elephas-operator";
    std::string instance = {};      // the pod's name
    std::size_t max_waiting = 500;  // beyond it the oldest are dropped, and that is logged
    std::size_t max_remembered = 1'000;
    int burst = 25;  // per object
    std::chrono::milliseconds refill{300'000};
    std::chrono::milliseconds same_within{600'000};
    int similar = 10;
  };
  // `client`, `clock` and `observer` outlive it.
  EventRecorder(Client& client, const Clock& clock) : EventRecorder(client, clock, Options{}) {}
  EventRecorder(Client& client, const Clock& clock, Options options,
                ClientObserver& observer = NoObserver());
  ~EventRecorder() { Stop(); }
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  // Never blocks. Thread-safe. `reason` is one word, `message` a sentence (cut after 1024 bytes).
  void Record(const EventSubject& subject, EventType type, const std::string& reason,
              const std::string& message);

  // Writes what waits, on a thread of its own.
  void Start();
  // Writes what still waits, for two seconds at most, and ends the thread.
  void Stop();
  // Writes what waits now, on this thread; for tests and for programs without Start. A failure is
  // logged; the Event is dropped unless the server may take it later.
  void Flush();

 private:
  // What makes two Events the same one.
  struct Identity {
    std::string uid, type, reason, message;
    friend auto operator<=>(const Identity&, const Identity&) = default;
  };
  struct Waiting {
    EventSubject subject;
    Identity identity;
    std::int64_t unix_millis = 0;
    int tries = 0;
  };
  struct Written {
    ObjectName name;
    std::string uid;
    std::int64_t count = 0;
    Clock::TimePoint last{};
    std::list<Identity>::iterator age;
  };
  struct Similar {
    int messages = 0;
    Clock::TimePoint since{};
  };
  struct Bucket {
    double tokens = 0;
    Clock::TimePoint filled{};
  };

  bool Admit(const EventSubject& subject, Clock::TimePoint now) ELEPHAS_REQUIRES(mutex_);
  void Combine(Identity& identity, Clock::TimePoint now) ELEPHAS_REQUIRES(mutex_);

  Status Write(const Waiting& event) ELEPHAS_REQUIRES(write_mutex_) ELEPHAS_EXCLUDES(mutex_);
  Status WriteNew(const Waiting& event, Clock::TimePoint now) ELEPHAS_REQUIRES(write_mutex_)
      ELEPHAS_EXCLUDES(mutex_);
  void Run(const std::stop_token& stop);

  Client& client_;
  const Clock& clock_;
  const Options options_;
  ClientObserver& observer_;

  Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Waiting> waiting_ ELEPHAS_GUARDED_BY(mutex_);
  // By the subject's uid.
  std::map<std::string, Bucket> buckets_ ELEPHAS_GUARDED_BY(mutex_);
  // By uid, type and reason.
  std::map<std::string, Similar> similar_ ELEPHAS_GUARDED_BY(mutex_);
  std::uint64_t dropped_ ELEPHAS_GUARDED_BY(mutex_) = 0;

  Mutex write_mutex_ ELEPHAS_ACQUIRED_BEFORE(mutex_);  // one writer at a time
  std::map<Identity, Written> written_ ELEPHAS_GUARDED_BY(write_mutex_);
  std::list<Identity> ages_ ELEPHAS_GUARDED_BY(write_mutex_);  // the oldest first
  std::uint64_t next_ ELEPHAS_GUARDED_BY(write_mutex_) = 0;    // makes names different
  std::jthread thread_;                                        // last: it uses the others
};

}  // namespace elephas::kube
