// Paths of groups and variables inside a Keras file.
#pragma once

#include <string>
#include <string_view>

namespace elephas::keras_file {

// "layers/dense" + "kernel"; a path that is empty is the file's root.
inline std::string Join(std::string_view path, std::string_view name) {
  return path.empty() ? std::string(name) : std::string(path).append("/").append(name);
}

}  // namespace elephas::keras_file
