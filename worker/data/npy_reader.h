// NumPy arrays as an Array: types converted, order made row-major, values checked.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "common/base/result.h"
#include "worker/data/dataset.h"

namespace elephas::npy {

struct Header;

// The array in `file` (a whole .npy file). Row-major little-endian float32 and int64 stay where
// they are and `owner` is kept; everything else is converted into memory of its own. Messages do
// not name the file; they name the row (from 0). kInvalid: broken, not an array of rows, NaN or
// infinity, an unsigned number above 2^63 - 1.
Result<Array> Decode(std::string name, std::span<const std::byte> file,
                     std::shared_ptr<const void> owner, const MemoryBudget& memory = {});
// What an array of this header takes beside its bytes in the file: 0 when it is used where it lies.
std::uint64_t ConvertedBytes(const Header& header);

// The same for a header that has been read and its data.
Result<Array> DecodeData(std::string name, const Header& header, std::span<const std::byte> data,
                         std::shared_ptr<const void> owner);

}  // namespace elephas::npy
