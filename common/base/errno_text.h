// What errno means, in words.
#pragma once

#include <string>
#include <system_error>

namespace elephas {

// strerror() that threads may call at the same time.
inline std::string ErrnoText(int error) { return std::generic_category().message(error); }

}  // namespace elephas
