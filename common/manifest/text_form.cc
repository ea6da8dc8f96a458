#include "common/manifest/text_form.h"

#include <algorithm>

#include "common/base/ascii.h"

namespace elephas::manifest {

namespace {

bool IsSubdomain(std::string_view name) {
  while (true) {
    const auto dot = name.find('.');
    const std::string_view part = name.substr(0, dot);
    if (part.empty() || part.front() == '-' || part.back() == '-' ||
        !std::all_of(part.begin(), part.end(),
                     [](char c) { return c == '-' || IsLower(c) || IsDigit(c); })) {
      return false;
    }
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool IsConfigMapKey(std::string_view key) {
  if (key.empty() || key == "." || key.starts_with("..")) return false;
  return std::all_of(key.begin(), key.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

bool HasForm(std::string_view text, TextForm form) {
  switch (form) {
    case TextForm::kDnsSubdomain:
      return text.size() <= kMaxFormLength && IsSubdomain(text);
    case TextForm::kConfigMapKey:
      return text.size() <= kMaxFormLength && IsConfigMapKey(text);
    case TextForm::kFree:
      break;
  }
  return true;
}

std::string_view FormPattern(TextForm form) {
  switch (form) {
    case TextForm::kDnsSubdomain:
      return R"(^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$)";
    case TextForm::kConfigMapKey:
      return R"(^([-_A-Za-z0-9]|\.[-_A-Za-z0-9])[-._A-Za-z0-9]*$)";
    case TextForm::kFree:
      break;
  }
  return "";
}

std::string_view FormWords(TextForm form) {
  switch (form) {
    case TextForm::kDnsSubdomain:
      return "must be lower-case letters, digits, '-' and '.', at most 253, each part beginning "
             "and ending with a letter or digit";
    case TextForm::kConfigMapKey:
      return "must be letters, digits, '-', '_' and '.', at most 253, not beginning with '..'";
    case TextForm::kFree:
      break;
  }
  return "";
}

}  // namespace elephas::manifest
