// Which release this is.
#pragma once

#include <string>
#include <string_view>

namespace elephas {

// "0.1.0": of project() in the topmost CMakeLists.txt, the only place where it is written. The
// chart and the changelog are held against it by tests/structure.
std::string_view ReleaseVersion();
// What a program prints for --version: "elephas-worker 0.1.0".
std::string VersionLine(std::string_view program);

}  // namespace elephas
