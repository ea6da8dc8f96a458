// Opens the shared library that holds a CollectiveProvider.
#pragma once

#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "worker/group/collective.h"

namespace elephas {

// The provider that a worker of this job can use, or why there is none (kNotFound: the job does not
// want one; kUnavailable: it cannot be had here). ELEPHAS_COLLECTIVE names a library; without it
// libelephas_nccl.so beside the program is taken, where `on_gpu`. The library stays open for good.
Result<std::unique_ptr<CollectiveProvider>> OpenCollective(const JobSpec& spec, bool on_gpu);

}  // namespace elephas
