// What Kubernetes asks of an object's metadata. A file that `kubectl get -o yaml` printed passes.
#pragma once

#include <string_view>

#include "common/manifest/check.h"

namespace elephas::manifest {

// Of all annotations together, keys and values.
inline constexpr std::size_t kMaxAnnotationBytes = std::size_t{256} << 10;

void CheckMetadata(Checked& checked);

// "[DNS subdomain/]name": what keys of labels and annotations, and finalizers, are made of. Empty:
// it is one; otherwise what is wrong.
std::string_view QualifiedNameProblem(std::string_view key);
std::string_view LabelValueProblem(std::string_view value);

}  // namespace elephas::manifest
