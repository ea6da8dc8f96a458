// Writes zip archives of stored members, the same bytes every time: no clock goes into them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace elephas {

struct ZipMember {
  std::string name;
  std::span<const std::byte> bytes;  // must live until the archive is written
};

// The archive appears whole at `path` or not at all (atomic_file.h). Sizes beyond 4 GiB are written
// as zip64. kInternal with the system's reason, a full disk included.
Status WriteZip(const std::string& path, const std::vector<ZipMember>& members);

}  // namespace elephas
