// The job's claim to its output folder (common/storage/output_claim.h), held by each of its workers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/mutex.h"
#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/storage/output_claim.h"

namespace elephas {

// Refreshes on a thread of its own until it is destroyed.
class OutputGuard {
 public:
  // Called once, on the guard's thread: another job has taken the folder over.
  using Lost = std::function<void(const Status& why)>;

  // Before the first lease: makes the folder, looks whether it can be written, and claims it. The
  // errors are those of OutputClaim::Take, with what a person can do.
  static Result<std::unique_ptr<OutputGuard>> Claim(const JobSpec& spec, const std::string& uid,
                                                    const std::string& base, Lost lost);
  OutputGuard(const OutputGuard&) = delete;
  OutputGuard& operator=(const OutputGuard&) = delete;
  ~OutputGuard();  // the claim stays for the job's other workers

  // The job is over: the claim goes, and folders that were made for nothing.
  void Release();

 private:
  OutputGuard(OutputClaim claim, const std::string& folder, OutputOwner owner, Lost lost);
  void Run();
  void Stop();
  // Waits until the claim is to be refreshed; true at once when the guard ends.
  bool StopsBeforeRefresh() ELEPHAS_REQUIRES(mutex_);
  // Nothing that is wrong for a moment matters: false when the folder is lost.
  bool Refresh();

  const std::string folder_;
  const OutputOwner owner_;
  const Lost lost_;
  OutputClaim claim_;  // used by the thread while it runs
  Mutex mutex_;
  CondVar changed_;
  bool stop_ ELEPHAS_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// The word for a failure that no retry mends; empty: one may.
std::string_view LastingOutputReason(const Status& status);

}  // namespace elephas
