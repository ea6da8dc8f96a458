// Base 64 with the standard alphabet, as Secrets and kubeconfig files carry bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace elephas::kube {

std::string EncodeBase64(std::string_view bytes);
// Line breaks and blanks are skipped; nullopt for any other character or wrong padding.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace elephas::kube
