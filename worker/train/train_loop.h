// The three ways to train a leased task. Each shows the same steps: pull, forward and backward over
// the batches, exchange.
//
//   asynchronous, hogwild   frequency batch: after each batch the delta is pushed, and the
//                           parameters that result come back in the same exchange.
//                           frequency epoch: one delta per task. While a task computes, a second
//                           thread pushes the delta of the one before and fetches the next one's
//                           lease, parameters and rows.
//   synchronous             one contribution to the open round: a gradient (batch), or what local
//                           training changed (epoch, fit).
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/protocol.h"
#include "worker/exchange/exchange.h"
#include "worker/exchange/job_client.h"
#include "worker/train/trainer.h"

namespace elephas {

// A lease, with what could be fetched for it in advance.
struct Work {
  Lease lease;
  struct Fetched {
    Version version;
    std::vector<float> parameters;
    Batches batches;
  };
  std::optional<Fetched> fetched;
};

class TrainLoop {
 public:
  // Second connections for the thread that fetches ahead. All references must outlive the loop.
  struct Connections {
    JobClient& client;
    Exchange& exchange;
    JobClient& ahead_client;
    Exchange& ahead_exchange;
  };
  TrainLoop(const JobSpec& spec, std::string worker, Incarnation incarnation,
            Connections connections, Trainer& trainer, OptimizerState initial_state);

  // Trains and pushes one task. Errors: as Exchange and Trainer.
  Status Train(Work work);
  // What was fetched ahead during the last Train(), if anything.
  std::optional<Work> TakeAhead() { return std::exchange(ahead_, std::nullopt); }
  // Everything that was computed has been pushed.
  Status Flush();
  // Local steps over header.batches of header.task, whose rows are `rows`, with what is on the
  // device; fills header.metrics, examples and steps.
  Status Steps(const Batches& rows, UpdateHeader& header, OptimizerState& state);
  // The same from and to the host's parameters and `state`.
  Status TrainLocally(const Batches& rows, UpdateHeader& header, OptimizerState& state);
  // Asynchronous: this worker's slots and step count.
  [[nodiscard]] const OptimizerState& state() const { return state_; }

 private:
  // What the second thread does during a task.
  struct Background {
    Status pushed;
    std::optional<Work> next;
  };
  struct Outgoing {
    UpdateHeader header;
    std::vector<float> delta;
  };

  Status TrainAndPushEachBatch(const Work& work);
  Status TrainAndPushOnce(Work work);
  Status Contribute(const Work& work);
  Background PushAndFetchNext(const std::optional<Outgoing>& outgoing);
  [[nodiscard]] UpdateHeader Header(const Lease& lease, Version base, Range batches) const;

  const JobSpec& spec_;
  const std::string worker_;
  const Incarnation incarnation_;
  const Connections connections_;
  Trainer& trainer_;

  // Asynchronous: slots live with the worker, from task to task.
  OptimizerState state_;
  std::vector<float> before_;  // the parameters a task or round started from
  std::vector<float> delta_;
  std::optional<Work> ahead_;
  std::optional<Outgoing> outgoing_;  // computed, not pushed yet
  // Synchronous: what `before_` and `state_` hold; nullopt: nothing.
  std::optional<Version> held_version_;
};

}  // namespace elephas
