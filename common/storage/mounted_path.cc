#include "common/storage/mounted_path.h"

#include <vector>

namespace elephas {

std::string NormalPath(std::string_view path) {
  if (!path.starts_with('/')) return "";
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  std::string normal;
  for (const std::string_view part : parts) normal.append("/").append(part);
  return normal.empty() ? "/" : normal;
}

bool IsAtOrBelow(std::string_view path, std::string_view mount) {
  const std::string normal = NormalPath(path);
  std::string above = NormalPath(mount);
  if (normal.empty() || above.empty()) return false;
  if (normal == above) return true;
  if (above != "/") above += '/';
  return normal.starts_with(above);
}

}  // namespace elephas
