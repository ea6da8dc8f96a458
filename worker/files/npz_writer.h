// Several arrays in one .npz file (stored, as numpy.savez writes).
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"

namespace elephas {

struct NpzPart {
  std::string name;  // the array's name; the member is name + ".npy"
  std::string path;  // a whole .npy file, such as one that NpyRowFile made
};

// The archive appears whole at `path` or not at all; then the parts are removed. A repeat after
// success is fine: `path` is there and the parts are not. kNotFound when neither is; kInvalid when
// two parts have one name.
Status WriteNpz(const std::string& path, const std::vector<NpzPart>& parts);

}  // namespace elephas
