// Files of ours in folders where others may write too: a link that somebody has put in the place
// must not lead the writing somewhere else.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/base/result.h"

namespace elephas {

// A descriptor, the caller's to close, of the file at `path`, opened with `flags` of open(2) (never
// followed through a link at its end, closed on exec). kInvalid: a symbolic link, a file with
// another name besides, or no plain file; kInternal with the system's reason otherwise.
Result<int> OpenOwnFile(const std::string& path, int flags, mode_t mode = 0600);

}  // namespace elephas
