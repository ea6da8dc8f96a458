#include "worker/output_guard.h"

#include <utility>

#include "common/base/log.h"
#include "common/base/names.h"
#include "common/storage/folder_probe.h"

namespace elephas {

std::string_view LastingOutputReason(const Status& status) {
  if (status.code() == Code::kConflict) return names::kOutputInUse;
  if (status.code() == Code::kForbidden) return names::kOutputNotWritable;
  return "";
}

Result<std::unique_ptr<OutputGuard>> OutputGuard::Claim(const JobSpec& spec, const std::string& uid,
                                                        const std::string& base, Lost lost) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::string folder, ResolveUri(PlacesOf(spec).folder_uri, base));
  OutputOwner owner{uid, spec.name, spec.name_space};
  Result<OutputClaim> claim = OutputClaim::Take(folder, owner);
  if (claim.status().code() == Code::kForbidden) {
    std::string message("output folder ");
    message.append(claim.status().message()).append("; ");
    return Forbidden(message.append(WayOut("spec.workers.template", "spec.output.uri")));
  }
  if (!claim.ok()) return claim.status().Annotate("output folder");
  return std::unique_ptr<OutputGuard>(
      new OutputGuard(*std::move(claim), folder, std::move(owner), std::move(lost)));
}

OutputGuard::OutputGuard(OutputClaim claim, const std::string& folder, OutputOwner owner, Lost lost)
    : folder_(folder),
      owner_(std::move(owner)),
      lost_(std::move(lost)),
      claim_(std::move(claim)),
      thread_([this] { Run(); }) {}

OutputGuard::~OutputGuard() { Stop(); }

void OutputGuard::Stop() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void OutputGuard::Release() {
  Stop();
  claim_.Release();
}

bool OutputGuard::StopsBeforeRefresh() {
  const auto deadline = std::chrono::steady_clock::now() + OutputClaimOptions().refresh;
  while (!stop_ && changed_.WaitUntil(mutex_, deadline)) {
  }
  return stop_;
}

void OutputGuard::Run() {
  MutexLock lock(mutex_);
  while (!StopsBeforeRefresh()) {
    lock.Unlock();
    const bool ours = Refresh();
    lock.Lock();
    if (!ours) return;
  }
}

bool OutputGuard::Refresh() {
  Status status = claim_.Refresh();
  if (status.code() == Code::kNotFound) {
    // Somebody cleaned up: without the claim no other job would know of this one.
    Result<OutputClaim> again = OutputClaim::Take(folder_, owner_);
    status = again.status();
    if (again.ok()) claim_ = *std::move(again);
  }
  if (status.code() == Code::kConflict) {
    lost_(status);
    return false;
  }
  if (!status.ok()) {
    LogWarning("the claim to the output folder is not refreshed", {{"message", status.message()}});
  }
  return true;
}

}  // namespace elephas
