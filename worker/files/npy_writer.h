// Writes NumPy arrays of float32: at once, or by several processes row by row into one file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace elephas {

// magic, version 1.0 and the dict for row-major little-endian float32 (the grammar is in
// worker/data/npy_format.h); data follows directly, at a multiple of 64 bytes.
std::string NpyHeader(const std::vector<std::int64_t>& shape);

// Appears whole or not at all. Precondition: values.size() is the product of `shape`.
Status WriteNpy(const std::string& path, const std::vector<std::int64_t>& shape,
                std::span<const float> values);

// An array whose rows are written by several processes, in any order and possibly twice, into one
// file that is hidden until all of them are there:
//
//   worker i:   Open(hidden, shape); WriteRows(first, values); Sync(); report the task as done
//   finalize:   PublishHidden(hidden, final)
//
// Single-threaded; processes may open the same path at the same time.
class NpyRowFile {
 public:
  // Creates the file, header and full size included, unless it is there. Space is allocated at
  // once, so a full disk is told here. kInternal with the system's reason; kConflict when a file of
  // another shape is there. Precondition: shape has rows first and every extent is positive.
  static Result<NpyRowFile> Open(std::string path, std::vector<std::int64_t> shape);
  NpyRowFile(NpyRowFile&& other) noexcept;
  NpyRowFile& operator=(NpyRowFile&& other) noexcept;
  NpyRowFile(const NpyRowFile&) = delete;
  NpyRowFile& operator=(const NpyRowFile&) = delete;
  ~NpyRowFile();

  // kInvalid when the rows lie outside or `values` is not whole rows.
  Status WriteRows(std::int64_t first_row, std::span<const float> values);
  // After it what was written survives a crash of the machine.
  Status Sync();

 private:
  NpyRowFile(std::string path, std::vector<std::int64_t> shape, int fd);
  std::string path_;
  std::vector<std::int64_t> shape_;
  std::uint64_t data_offset_ = 0;
  int fd_ = -1;
};

// Where the rows of `final_path` gather: beside it, hidden, `run` (the job's uid) in its name, so
// that runs do not meet. `output` tells several outputs apart.
std::string HiddenPath(const std::string& final_path, const std::string& run,
                       const std::string& output = {});

// Syncs and renames. A repeat after success is fine: `final_path` is there and `hidden` is not.
// kNotFound when neither is.
Status PublishHidden(const std::string& hidden, const std::string& final_path);

}  // namespace elephas
