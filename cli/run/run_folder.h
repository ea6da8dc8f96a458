// The private folder of one local run: job document, token, port files, logs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal/process_name.h"
#include "common/base/result.h"

namespace elephas::cli {

// Readable by its owner alone. Without Keep() a folder that was made here is removed in the end,
// one that the user named stays; the token is removed either way.
class RunFolder {
 public:
  // `given` empty: a new folder below $TMPDIR or /tmp, named after the job. Otherwise that folder,
  // made when missing; logs of an earlier run in it are removed.
  static Result<RunFolder> Create(const std::string& given, const std::string& job);
  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  // Writes the job document and a fresh token of 256 random bits.
  Status Prepare(std::string_view document);
  void Keep() { remove_ = false; }
  [[nodiscard]] bool kept() const { return !remove_; }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& token() const { return token_; }
  [[nodiscard]] std::string JobFile() const { return path_ + "/job.json"; }
  [[nodiscard]] std::string TokenFile() const { return path_ + "/token"; }
  [[nodiscard]] std::string PortFile(int server) const;
  [[nodiscard]] std::string LogFile(ProcessId process) const;

  // The port that the server wrote; nullopt as long as it has not.
  [[nodiscard]] std::optional<std::uint16_t> ReadPort(int server) const;
  // The last lines of a process's log, at most `count`.
  [[nodiscard]] std::vector<std::string> LogTail(ProcessId process, std::size_t count) const;

 private:
  RunFolder(std::string path, bool remove) : path_(std::move(path)), remove_(remove) {}
  std::string path_, token_;
  bool remove_;
};

// A random (version 4) UUID.
Result<std::string> NewUid();

}  // namespace elephas::cli
