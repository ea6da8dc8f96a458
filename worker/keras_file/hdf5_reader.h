// All numbers and texts of an HDF5 file that Keras wrote.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas::keras_file {

struct Dataset {
  std::vector<std::int64_t> shape;  // empty: one number
  bool integer = false;
  // The values are in `floats`, of an integer dataset in `ints`; views into the contents.
  std::span<const float> floats;
  std::span<const std::int64_t> ints;
};

// The views of its datasets live as long as it and move with it.
struct Hdf5Contents {
  Hdf5Contents() = default;
  Hdf5Contents(Hdf5Contents&&) = default;
  Hdf5Contents& operator=(Hdf5Contents&&) = default;
  Hdf5Contents(const Hdf5Contents&) = delete;
  Hdf5Contents& operator=(const Hdf5Contents&) = delete;

  // By path without a leading slash: "layers/dense/vars/0". Floats of any width are float32,
  // bfloat16 of Keras included, integers int64. Other datasets (texts, …) are left out.
  std::map<std::string, Dataset, std::less<>> datasets;
  // Paths of all groups, the root ("") included, and their text attributes: a string, or a list of
  // strings. An empty attribute of any type is an empty list.
  std::map<std::string, nlohmann::json, std::less<>> groups;

  // Null when there is none.
  [[nodiscard]] const nlohmann::json* Attribute(std::string_view group,
                                                std::string_view name) const;

  std::string bytes;  // what the views point into
};

// kNotFound; kInvalid when the file is broken, links elsewhere (soft, external or virtual), holds
// datasets whose claimed size cannot come out of the bytes that are there, or makes the HDF5
// library crash or loop; also when the datasets claim more than `max_bytes`, which bounds the
// memory that reading takes, whatever the file inflates to. Messages do not name the file.
Result<Hdf5Contents> ReadHdf5File(const std::string& path, std::uint64_t max_bytes);
Result<Hdf5Contents> ReadHdf5Bytes(std::string_view file, std::uint64_t max_bytes);
// Only the root group and its attributes.
Result<Hdf5Contents> ReadHdf5Root(const std::string& path);

}  // namespace elephas::keras_file
