#include "common/base/version.h"

#ifndef ELEPHAS_VERSION
#error "ELEPHAS_VERSION comes from CMake"
#endif

namespace elephas {

std::string_view ReleaseVersion() { return ELEPHAS_VERSION; }

std::string VersionLine(std::string_view program) {
  return std::string(program).append(" ").append(ReleaseVersion());
}

}  // namespace elephas
