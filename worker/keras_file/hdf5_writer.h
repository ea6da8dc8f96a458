// Makes HDF5 files as h5py does for Keras, in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace elephas::keras_file {

// Not thread-safe, and libhdf5 is not: writers of different threads take turns.
class Hdf5Writer {
 public:
  static Result<Hdf5Writer> Create();
  Hdf5Writer(Hdf5Writer&&) noexcept;
  Hdf5Writer& operator=(Hdf5Writer&&) noexcept;
  ~Hdf5Writer();

  // Paths are as in hdf5_reader.h; groups on the way are made.
  Status AddGroup(const std::string& path);
  Status AddFloats(const std::string& path, const std::vector<std::int64_t>& shape,
                   std::span<const float> values);
  // One number: int32, as Keras' counters are.
  Status AddInteger(const std::string& path, std::int32_t value);
  // Attributes of a group that exists; "" is the root.
  Status SetText(const std::string& group, const std::string& name, const std::string& text);
  // A list of texts, cut into name0, name1, … when it is longer than an HDF5 header takes, as Keras
  // does. kInvalid for a single text longer than that.
  Status SetTexts(const std::string& group, const std::string& name,
                  const std::vector<std::string>& texts);
  // The whole file. The writer is used up.
  Result<std::string> Finish() &&;

 private:
  struct File;
  explicit Hdf5Writer(std::unique_ptr<File> file);
  std::unique_ptr<File> file_;
};

}  // namespace elephas::keras_file
