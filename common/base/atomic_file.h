// Files that appear whole or not at all: written aside in the same folder, fsynced, renamed, and
// the folder fsynced.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas {

// Single-threaded. Without Commit() the destructor removes what was written aside.
class AtomicFile {
 public:
  // Creates missing parent folders. kInternal with the system's reason otherwise.
  static Result<AtomicFile> Create(std::string path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  // Appends. A full disk is kInternal "…: No space left on device".
  Status Write(std::span<const std::byte> bytes);
  Status Write(std::string_view text);
  // Writes at `offset`, extending the file where needed.
  Status WriteAt(std::uint64_t offset, std::span<const std::byte> bytes);
  // After it the file is at `path` and survives a crash of the machine.
  Status Commit();
  // Where the bytes are until Commit(), for a library that writes by name.
  [[nodiscard]] const std::string& temporary_path() const { return temporary_; }

 private:
  AtomicFile(std::string path, std::string temporary, int fd);
  void Discard();
  std::string path_, temporary_;
  int fd_ = -1;
};

// The whole of a file; kNotFound, kInvalid when longer than `limit` bytes, kInternal otherwise.
Result<std::string> ReadWholeFile(const std::string& path, std::uint64_t limit);
Status WriteWholeFile(const std::string& path, std::string_view text);

// Makes `folder` and what is missing above it; each new entry is fsynced into its parent, so that a
// crash of the machine does not take a folder away with the files that were put into it. Returns
// the folders that it made, the outermost first.
Result<std::vector<std::string>> MakeFolders(const std::string& folder);
// Makes a file that is not there yet, whole and durable, like AtomicFile. False, and nothing is
// changed, when something has that name: of several callers, on whatever machines, one gets true.
Result<bool> CreateWholeFile(const std::string& path, std::string_view text);

}  // namespace elephas
