// Who writes into an output folder. Two jobs that run at once must not mix their results, so each
// says that it is there with a hidden file, which goes when the job is over.
//
//   file name   .elephas-owner-<number>.json; the highest number counts
//   content     uid, name, namespace, host; boot: of the machine whose processes hold the file,
//               empty when those of several do; made: folders that were made for it
//
// The number makes taking over exclusive: whoever finds the highest one given up creates the next
// one, and a file is created once. A claim lasts while a process of its job locks the file (flock;
// a process that dies lets go at once), or, where the lock of another machine cannot be seen,
// while its time of change is young. A claim that was left behind therefore stops nobody.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace elephas {

struct OutputOwner {
  std::string uid;
  std::string name, name_space = {};  // of the job
};

struct OutputClaimOptions {
  // How often Refresh() is to be called, at least.
  std::chrono::milliseconds refresh{5'000};
  // A claim that no process of this machine holds is given up when it was not refreshed for so
  // long.
  std::chrono::milliseconds silence{30'000};
  // How long another job's claim is waited for. Whoever waits for a job to succeed and then starts
  // the next one meets the first one's processes at their end, which a busy machine draws out.
  std::chrono::milliseconds patience{20'000};
};

// Not thread-safe.
class OutputClaim {
 public:
  // Makes `folder`, looks whether it can be written, and claims it for the job; the processes of
  // one job share a claim. kConflict: another job that runs has it, the message names it.
  // kForbidden: it cannot be written and trying again will not help. kUnavailable: it may. After
  // an error the folder is as it was before.
  static Result<OutputClaim> Take(const std::string& folder, const OutputOwner& owner,
                                  const OutputClaimOptions& options = {});
  OutputClaim(OutputClaim&& other) noexcept;
  OutputClaim& operator=(OutputClaim&& other) noexcept;
  OutputClaim(const OutputClaim&) = delete;
  OutputClaim& operator=(const OutputClaim&) = delete;
  ~OutputClaim();  // lets go of the lock, leaves the file to the job's other processes

  // Says that the job is still there. kConflict: another job has taken the folder over; kNotFound:
  // somebody removed the claim.
  Status Refresh();
  // The job is over: removes the claim, and the folders that were made for it when they are empty.
  void Release();
  // The same for a job whose processes are gone.
  static void Remove(const std::string& folder, const std::string& uid);

 private:
  OutputClaim(std::string folder, std::string uid, std::string path, int fd)
      : folder_(std::move(folder)), uid_(std::move(uid)), path_(std::move(path)), fd_(fd) {}
  std::string folder_, uid_, path_;
  int fd_ = -1;
};

}  // namespace elephas
