// What the parameter server does for an asynchronous push besides the sockets: a job of one worker
// and a model of a few elements, driven through JobService. So small a model leaves the judging,
// the locks and the records. One update covers one batch.
//
// usage: bench-push-path UPDATES
// The instructions of one push are the difference of two runs by that of their updates:
//   valgrind --tool=callgrind --callgrind-out-file=/dev/null bench-push-path 1000   ("Collected")
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/optimizer/optimizer.h"
#include "paramserver/job/job_service.h"

namespace elephas {
namespace {

constexpr std::int64_t kElements = 8;

JobSpec Spec() {
  JobSpec spec;
  spec.name = "push-path";
  spec.mode = Mode::kAsynchronous;
  spec.frequency = Frequency::kBatch;
  spec.fit.epochs = 1;
  spec.fit.batch_size = 1;
  spec.fit.seed = 1;
  spec.data.partitions = 1;
  return spec;
}

Result<ModelLayout> Layout(std::int64_t updates) {
  ModelLayout layout;
  layout.weights = {{"dense/kernel", {kElements}, true, 0, kElements}};
  layout.trainable_elements = kElements;
  layout.total_elements = kElements;
  layout.examples = updates;
  ELEPHAS_ASSIGN_OR_RETURN(
      const std::unique_ptr<Optimizer> optimizer,
      Optimizer::FromConfig({{"class_name", "SGD"}, {"config", {{"learning_rate", 1.0}}}}));
  layout.optimizer = optimizer->Config();
  layout.slot_names = optimizer->SlotNames();
  return layout;
}

Status Push(JobService& service, Incarnation incarnation, const Lease& lease) {
  for (std::int64_t batch = lease.batches.first; batch < lease.batches.last; ++batch) {
    ELEPHAS_ASSIGN_OR_RETURN(const auto delta, service.AcquireBuffer(kElements));
    std::ranges::fill(delta->floats(), 1.0F);
    UpdateHeader header;
    header.incarnation = incarnation;
    header.lease = lease.id;
    header.task = lease.task;
    header.batches = {batch, batch + 1};
    header.base = Version(batch);
    header.examples = 1;
    header.steps = 1;
    header.metrics = {{{"loss", {"mean", {1.0, 1.0}}}}};
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome admitted, service.AdmitUpdate(header));
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateReply reply, service.ApplyUpdate(header, delta, {}));
    if (admitted != UpdateOutcome::kApplied || reply.outcome != UpdateOutcome::kApplied) {
      return Internal("update " + std::to_string(batch) + " was not applied");
    }
  }
  return OkStatus();
}

Status Run(std::int64_t updates) {
  const SystemClock clock;
  JobServiceOptions options;
  options.uid = "bench";
  ELEPHAS_ASSIGN_OR_RETURN(const std::unique_ptr<JobService> service,
                           JobService::Create(Spec(), options, clock));
  ELEPHAS_ASSIGN_OR_RETURN(const JoinReply joined, service->Join("w"));
  ELEPHAS_ASSIGN_OR_RETURN(const ModelLayout layout, Layout(updates));
  ELEPHAS_RETURN_IF_ERROR(service->SetLayout(joined.incarnation, layout));
  ELEPHAS_ASSIGN_OR_RETURN(const auto parameters, service->AcquireBuffer(kElements));
  std::ranges::fill(parameters->floats(), 0.0F);
  ELEPHAS_RETURN_IF_ERROR(service->SetParameters(joined.incarnation, parameters, {}, 0));
  ELEPHAS_ASSIGN_OR_RETURN(
      const LeaseReply reply,
      service->AcquireLease("w", joined.incarnation, std::chrono::milliseconds(0), false));
  if (!reply.lease) return Internal("there is no lease");
  return Push(*service, joined.incarnation, *reply.lease);
}

}  // namespace
}  // namespace elephas

int main(int argc, char** argv) {
  const std::int64_t updates = argc == 2 ? std::atoll(argv[1]) : 0;
  if (updates < 1) {
    std::fprintf(stderr, "usage: bench-push-path UPDATES\n");
    return 2;
  }
  const elephas::Status status = elephas::Run(updates);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
