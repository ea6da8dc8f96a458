#include "common/storage/hidden_rows.h"

#include <algorithm>

namespace elephas {

namespace {

constexpr std::string_view kRowsSuffix = ".rows";

}  // namespace

std::string HiddenRowsName(std::string_view final_name, std::string_view run,
                           std::string_view output) {
  std::string tag(run);
  if (!output.empty()) tag.append("-").append(output);
  std::replace(tag.begin(), tag.end(), '/', '_');
  return std::string(".").append(final_name).append(".").append(tag).append(kRowsSuffix);
}

bool IsHiddenRows(std::string_view name, std::string_view run) {
  return name.starts_with(".") && name.ends_with(kRowsSuffix) &&
         name.find("." + std::string(run)) != std::string_view::npos;
}

}  // namespace elephas
