// Arrays out of an .npz archive (a zip of .npy members, stored or deflated).
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "worker/data/dataset.h"
#include "worker/files/zip_reader.h"

namespace elephas {

// Features are the arrays listed or mapped, or "x"; labels likewise, or "y". Arrays that nothing
// names are not read. `name` starts the messages: "digits.npz: array 'x': row 17, element 3: NaN".
Result<Dataset> ReadNpz(const std::string& name, ZipReader& archive, const JobSpec::Data& data,
                        const DatasetHints& hints);

}  // namespace elephas
