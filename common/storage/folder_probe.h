// May this process write into a folder? Asked before a job begins, because a volume that its pods'
// user cannot write would otherwise show when the results of hours are to be saved.
#pragma once

#include <optional>
#include <string>

namespace elephas {

struct FolderProblem {
  // The same try will fail again: permissions, a read-only or full volume, a file in the way. Else
  // the storage may come back.
  bool lasting = false;
  std::string message;  // the path, what failed, and who this process is
};

// Creates, writes, fsyncs and removes a hidden file in `folder`, which must exist. nullopt: it can
// be written.
std::optional<FolderProblem> ProbeFolder(const std::string& folder);
// The same for a failure to make or open something in `folder`, by its errno.
FolderProblem ProblemOf(const std::string& folder, int error);

// What helps a job on a cluster: the fields of `pod_template` ("spec.workers.template") and of the
// path itself ("spec.output.uri").
std::string WayOut(const std::string& pod_template, const std::string& uri_field);

}  // namespace elephas
