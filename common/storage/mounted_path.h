// Paths inside pods, compared as what they mean and not as how they are written.
#pragma once

#include <string>
#include <string_view>

namespace elephas {

// The absolute path without `.`, `..`, doubled slashes and one at the end: "/data/../x/" is "/x".
// "" for a path that is not absolute. Looks at no file, so it knows no links.
std::string NormalPath(std::string_view path);

// Is `path` what is mounted at `mount`, or below it? Both absolute; false otherwise.
bool IsAtOrBelow(std::string_view path, std::string_view mount);

}  // namespace elephas
