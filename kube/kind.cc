#include "kube/kind.h"

namespace elephas::kube {

std::string Kind::ApiVersion() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

std::string Kind::Resource() const {
  return group.empty() ? std::string(plural) : std::string(plural) + "." + std::string(group);
}

}  // namespace elephas::kube
