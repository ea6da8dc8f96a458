#include "worker/session.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "worker/exchange/exchange.h"
#include "worker/exchange/metered_exchange.h"
#include "worker/exchange/rest_exchange.h"
#include "worker/files/npy_writer.h"
#include "worker/files/npz_writer.h"
#include "worker/group/group_trainer.h"
#include "worker/keras_file/keras_file.h"
#include "worker/outputs.h"
#include "worker/train/train_loop.h"
#include "worker/train/trainer.h"

namespace elephas {

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kLeaseWait{20000};

// True for the errors that say "the state moved on": joining again finds out what is left to do.
bool MeansRejoin(const Status& status) {
  return status.retryable() || status.code() == Code::kConflict || status.code() == Code::kNotFound;
}

class Session {
 public:
  Session(LoadedJob& job, const JoinReply& joined, const std::string& uid, const std::string& token,
          JobClient& client, WorkMeter& meter, CollectiveProvider* collective,
          StepGraphProvider* graphs)
      : job_(job),
        joined_(joined),
        uid_(uid),
        client_(client),
        meter_(meter),
        exchange_(
            MeterExchange(MakeRestExchange(joined.servers, token, joined.incarnation, job.layout),
                          meter, Activity::kExchange)),
        ahead_client_(joined.servers[0], token),
        ahead_exchange_(
            MeterExchange(MakeRestExchange(joined.servers, token, joined.incarnation, job.layout),
                          meter, Activity::kOverlapped)),
        trainer_(job.spec, joined.seed, *job.model, job.loss.get(), job.optimizer.get(), job.data,
                 meter, graphs, joined.worker) {
    if (job.optimizer) {
      train_loop_.emplace(
          job.spec, joined.worker, joined.incarnation,
          TrainLoop::Connections{client_, *exchange_, ahead_client_, *ahead_exchange_}, trainer_,
          job.initial_state ? *job.initial_state : trainer_.InitialState());
      if (collective != nullptr) {
        group_.emplace(GroupTrainer::Parts{job.spec, job.layout, joined, token, *collective,
                                           *exchange_, trainer_, *train_loop_},
                       trainer_.InitialState());
      }
    }
  }

  SessionEnd Run() {
    Status status = Initialise();
    while (status.ok()) {
      std::optional<Work> work;
      if (train_loop_) work = train_loop_->TakeAhead();
      if (!work) {
        const Result<LeaseReply> reply = AwaitLease();
        status = reply.status();
        if (!status.ok()) break;
        if (reply->state == LeaseReply::State::kSucceeded) {
          return {SessionEnd::Kind::kSucceeded, "", worked_};
        }
        if (reply->state == LeaseReply::State::kFailed) {
          RemoveHiddenPredictions();
          return {SessionEnd::Kind::kFailed, reply->message, worked_};
        }
        if (reply->state == LeaseReply::State::kWait) continue;
        if (reply->state == LeaseReply::State::kGroup) {
          status = TrainInGroup();
          continue;
        }
        work = Work{*reply->lease, std::nullopt};
      }
      const WorkKind kind = work->lease.task.kind;
      status = Do(*std::move(work));
      meter_.CountTask(kind, status.ok());
      worked_ = worked_ || status.ok();
    }
    return End(status);
  }

 private:
  Result<LeaseReply> AwaitLease() {
    const auto timer = meter_.Time(Activity::kLeaseWait);
    return client_.AcquireLease(joined_.worker, joined_.incarnation, kLeaseWait, false);
  }

  Status Initialise() {
    if (!job_.initial_state) {
      return exchange_->Initialise(job_.layout, job_.initial_parameters, {}, 0);
    }
    return exchange_->Initialise(job_.layout, job_.initial_parameters, job_.initial_state->slots,
                                 job_.initial_state->iterations);
  }

  Status TrainInGroup() {
    if (!group_) return Internal("the server sends a worker without a collective into a group");
    pulled_for_.reset();
    const Status status = group_->Participate();
    worked_ = worked_ || group_->committed_rounds() > 0;
    return status;
  }

  SessionEnd End(const Status& status) {
    if (MeansRejoin(status)) return {SessionEnd::Kind::kRejoin, status.message(), worked_};
    const Status told = client_.Fail(joined_.worker, "WorkerError", status.message());
    if (!told.ok()) {
      LogError("failure could not be told",
               {{"worker", joined_.worker}, {"message", told.message()}});
    }
    RemoveHiddenPredictions();
    return {SessionEnd::Kind::kFailed, status.message(), worked_};
  }

  Status Do(Work work) {
    const Lease lease = work.lease;
    LogDebug("task leased", {{"worker", joined_.worker},
                             {"task", Word(lease.task.kind)},
                             {"epoch", lease.task.epoch.value()},
                             {"partition", lease.task.partition.value()}});
    switch (lease.task.kind) {
      case WorkKind::kTrain:
        pulled_for_.reset();
        return train_loop_->Train(std::move(work));
      case WorkKind::kValidate:
      case WorkKind::kEvaluate:
        return Evaluate(lease);
      case WorkKind::kPredict:
        return Predict(lease);
      case WorkKind::kFinalize:
        return Finalize(lease);
    }
    return Internal("unknown task");
  }

  // The parameters of exactly the lease's version; they do not change while such a task is open.
  Status PullFor(const Lease& lease) {
    if (pulled_for_ == lease.version) return OkStatus();
    ELEPHAS_ASSIGN_OR_RETURN(const Exchange::Pulled pulled,
                             exchange_->Pull(lease.version, trainer_.parameters(), {}));
    if (pulled.version != lease.version) {
      return Conflict("version " + std::to_string(lease.version.value()) + " is over");
    }
    trainer_.ToDevice(nullptr);
    pulled_for_ = lease.version;
    return OkStatus();
  }

  Status Evaluate(const Lease& lease) {
    ELEPHAS_RETURN_IF_ERROR(PullFor(lease));
    ELEPHAS_ASSIGN_OR_RETURN(const MetricSums sums, trainer_.Evaluate(lease));
    return client_.Finish(lease, lease.rows.size(), sums, {}).status();
  }

  // ---- predict: rows go into hidden files of the whole result, finalize publishes them

  struct PredictionFile {
    std::string array;  // name in predictions.npz; empty for predictions.npy
    std::string hidden;
    std::vector<std::int64_t> shape;  // all rows
  };

  Result<std::string> Output(const std::string& name) const {
    ELEPHAS_ASSIGN_OR_RETURN(const std::string folder,
                             ResolveUri(PlacesOf(job_.spec).folder_uri, job_.base));
    return (fs::path(folder) / name).string();
  }

  Result<std::vector<PredictionFile>> PredictionFiles() {
    ELEPHAS_ASSIGN_OR_RETURN(const auto shapes, trainer_.OutputShapes());
    const bool several = shapes.size() > 1;
    ELEPHAS_ASSIGN_OR_RETURN(const std::string path,
                             Output(several ? "predictions.npz" : "predictions.npy"));
    std::vector<PredictionFile> files;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      PredictionFile file;
      file.array = several ? job_.model->outputs()[i].name : "";
      file.hidden = HiddenPath(path, uid_, file.array);
      file.shape = {job_.dataset.rows};
      file.shape.insert(file.shape.end(), shapes[i].begin(), shapes[i].end());
      files.push_back(std::move(file));
    }
    return files;
  }

  Status Predict(const Lease& lease) {
    ELEPHAS_RETURN_IF_ERROR(PullFor(lease));
    ELEPHAS_ASSIGN_OR_RETURN(const std::vector<PredictionFile> files, PredictionFiles());
    std::vector<NpyRowFile> open;
    for (const PredictionFile& file : files) {
      ELEPHAS_ASSIGN_OR_RETURN(NpyRowFile opened, NpyRowFile::Open(file.hidden, file.shape));
      open.push_back(std::move(opened));
    }
    const auto write = [&](std::size_t output, std::int64_t row, std::span<const float> values) {
      return open[output].WriteRows(row, values);
    };
    ELEPHAS_RETURN_IF_ERROR(trainer_.Predict(lease, write));
    for (NpyRowFile& file : open) ELEPHAS_RETURN_IF_ERROR(file.Sync());
    return client_.Finish(lease, lease.rows.size(), {}, {}).status();
  }

  // A failed job leaves nothing behind.
  void RemoveHiddenPredictions() {
    if (job_.spec.task != TaskKind::kPredict) return;
    const Result<std::vector<PredictionFile>> files = PredictionFiles();
    if (!files.ok()) return;
    for (const PredictionFile& file : *files) {
      std::error_code error;
      fs::remove(file.hidden, error);
      if (error)
        LogWarning(
            "file left behind",
            {{"worker", joined_.worker}, {"path", file.hidden}, {"message", error.message()}});
    }
  }

  // ---- finalize

  Status Finalize(const Lease& lease) {
    if (train_loop_) ELEPHAS_RETURN_IF_ERROR(train_loop_->Flush());
    std::vector<std::string> outputs;
    switch (job_.spec.task) {
      case TaskKind::kTrain:
        ELEPHAS_RETURN_IF_ERROR(WriteModel(lease, outputs));
        break;
      case TaskKind::kEvaluate:
        ELEPHAS_RETURN_IF_ERROR(WriteMetrics(outputs));
        break;
      case TaskKind::kPredict:
        ELEPHAS_RETURN_IF_ERROR(PublishPredictions(outputs));
        break;
    }
    return client_.Finish(lease, 0, {}, outputs).status();
  }

  // A model file carries what training needs to go on: the job's compile and the optimizer's state.
  Status WriteKerasModel(const std::string& path, const OptimizerState& state) {
    nlohmann::json compile = job_.compile;
    compile["optimizer"] = trainer_.optimizer().Config();
    keras_file::ModelToSave model{
        job_.config,           compile,          job_.tree, job_.layout, trainer_.parameters(),
        &trainer_.optimizer(), state.iterations, {}};
    const auto row = static_cast<std::size_t>(job_.layout.trainable_elements);
    for (std::size_t i = 0; i < job_.layout.slot_names.size(); ++i) {
      model.slots.push_back(std::span(state.slots).subspan(i * row, row));
    }
    return keras_file::WriteModelFile(path, model);
  }

  // What Keras does when fit ends: with use_ema the weights become their averages.
  void FinalizeWeights(OptimizerState& state) {
    const auto row = static_cast<std::size_t>(job_.layout.trainable_elements);
    std::vector<std::span<float>> slots;
    for (std::size_t first = 0; first + row <= state.slots.size() && row > 0; first += row) {
      slots.push_back(std::span(state.slots).subspan(first, row));
    }
    if (slots.size() == job_.layout.slot_names.size()) {
      trainer_.optimizer().Finalize(trainer_.parameters().first(row), slots);
    }
  }

  // The arena and the state of the model that the job ends with. In synchronous mode the
  // optimizer's state is the server's; in the others each worker has its own, and this one's is as
  // good as any.
  Result<OptimizerState> PullFinal(const Lease& lease) {
    OptimizerState state = train_loop_->state();
    const bool on_server = job_.spec.mode == Mode::kSynchronous;
    ELEPHAS_ASSIGN_OR_RETURN(
        const Exchange::Pulled pulled,
        exchange_->Pull(lease.version, trainer_.parameters(),
                        on_server ? std::span(state.slots) : std::span<float>()));
    if (pulled.version != lease.version) return Conflict("the model has moved on");
    if (on_server) {
      state.iterations = pulled.iterations;
      // A worker's own averages are of its own steps, so they are not the model's.
      FinalizeWeights(state);
    }
    if (lease.decisions.restore) {
      // Weights only: the optimizer goes on from where training stopped, as in Keras.
      ELEPHAS_RETURN_IF_ERROR(
          exchange_->PullEpoch(*lease.decisions.restore, trainer_.parameters(), {}).status());
    }
    ELEPHAS_RETURN_IF_ERROR(trainer_.UseLearningRate(lease.decisions.learning_rate));
    return state;
  }

  // The model of the best epoch. Changes the arena. Optimizer slots of workers are not kept: they
  // start again.
  Status WriteBestModel(const FitDecisions& decided, std::vector<std::string>& outputs) {
    OptimizerState state = trainer_.InitialState();
    const bool on_server = job_.spec.mode == Mode::kSynchronous;
    ELEPHAS_ASSIGN_OR_RETURN(
        const Exchange::Pulled pulled,
        exchange_->PullEpoch(*decided.best, trainer_.parameters(),
                             on_server ? std::span(state.slots) : std::span<float>()));
    if (on_server) state.iterations = pulled.iterations;
    ELEPHAS_RETURN_IF_ERROR(trainer_.UseLearningRate(decided.best_learning_rate));
    ELEPHAS_ASSIGN_OR_RETURN(const std::string path, Output(PlacesOf(job_.spec).best_file));
    ELEPHAS_RETURN_IF_ERROR(WriteKerasModel(path, state));
    outputs.push_back(path);
    return OkStatus();
  }

  Status WriteModel(const Lease& lease, std::vector<std::string>& outputs) {
    ELEPHAS_ASSIGN_OR_RETURN(const OptimizerState state, PullFinal(lease));
    ELEPHAS_ASSIGN_OR_RETURN(const std::string keras, Output(PlacesOf(job_.spec).model_file));
    ELEPHAS_RETURN_IF_ERROR(WriteKerasModel(keras, state));
    outputs.push_back(keras);
    ELEPHAS_ASSIGN_OR_RETURN(const std::string tensors, Output("model.safetensors"));
    ELEPHAS_RETURN_IF_ERROR(WriteModelSafetensors(tensors, job_.layout, trainer_.parameters()));
    outputs.push_back(tensors);
    ELEPHAS_ASSIGN_OR_RETURN(const nlohmann::json history, client_.History());
    ELEPHAS_ASSIGN_OR_RETURN(const std::string path, Output("history.json"));
    ELEPHAS_RETURN_IF_ERROR(WriteJsonFile(path, history));
    outputs.push_back(path);
    if (lease.decisions.best) return WriteBestModel(lease.decisions, outputs);
    return OkStatus();
  }

  Status WriteMetrics(std::vector<std::string>& outputs) {
    ELEPHAS_ASSIGN_OR_RETURN(const nlohmann::json status, client_.JobStatus());
    const nlohmann::json metrics = status.value("/result/metrics"_json_pointer, nlohmann::json());
    if (!metrics.is_object()) return Conflict("the server has no result yet");
    ELEPHAS_ASSIGN_OR_RETURN(const std::string path, Output("metrics.json"));
    ELEPHAS_RETURN_IF_ERROR(WriteJsonFile(path, metrics));
    outputs.push_back(path);
    return OkStatus();
  }

  Status PublishPredictions(std::vector<std::string>& outputs) {
    ELEPHAS_ASSIGN_OR_RETURN(const std::vector<PredictionFile> files, PredictionFiles());
    if (files.size() == 1) {
      ELEPHAS_ASSIGN_OR_RETURN(const std::string path, Output("predictions.npy"));
      ELEPHAS_RETURN_IF_ERROR(PublishHidden(files[0].hidden, path));
      outputs.push_back(path);
      return OkStatus();
    }
    ELEPHAS_ASSIGN_OR_RETURN(const std::string path, Output("predictions.npz"));
    std::vector<NpzPart> parts;
    for (const PredictionFile& file : files) parts.push_back({file.array, file.hidden});
    ELEPHAS_RETURN_IF_ERROR(WriteNpz(path, parts));
    outputs.push_back(path);
    return OkStatus();
  }

  LoadedJob& job_;
  const JoinReply& joined_;
  const std::string& uid_;
  JobClient& client_;
  WorkMeter& meter_;
  std::unique_ptr<Exchange> exchange_;
  JobClient ahead_client_;
  std::unique_ptr<Exchange> ahead_exchange_;
  Trainer trainer_;
  std::optional<TrainLoop> train_loop_;
  std::optional<GroupTrainer> group_;
  std::optional<Version> pulled_for_;
  bool worked_ = false;
};

}  // namespace

SessionEnd RunSession(LoadedJob& job, const JoinReply& joined, const std::string& uid,
                      const std::string& token, JobClient& client, WorkMeter& meter,
                      CollectiveProvider* collective, StepGraphProvider* graphs) {
  return Session(job, joined, uid, token, client, meter, collective, graphs).Run();
}

}  // namespace elephas
