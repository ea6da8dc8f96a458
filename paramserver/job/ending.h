// How a job has ended, and who knows of it. The caller synchronises.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace elephas {

class JobEnding {
 public:
  // The first failure is the job's: false, and nothing changes, after another one.
  bool Fail(const std::string& reason, const std::string& message);
  // The files that the job has written.
  void SetOutputs(std::vector<std::string> outputs);
  // `worker` knows that the job is over.
  void Told(const std::string& worker) { told_.insert(worker); }

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }  // empty: not failed
  [[nodiscard]] const std::string& message() const { return message_; }
  [[nodiscard]] const std::vector<std::string>& outputs() const { return outputs_; }
  [[nodiscard]] bool Knows(const std::string& worker) const { return told_.contains(worker); }

 private:
  bool failed_ = false;
  std::string reason_, message_;
  std::vector<std::string> outputs_;
  std::set<std::string> told_;
};

}  // namespace elephas
