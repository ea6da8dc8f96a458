// CSV text as a dataset.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "worker/data/dataset.h"

namespace elephas {

// The first record names the columns. Features are one float32 array [rows, columns] of the columns
// listed, or of all but the labels; a map gives one array per model input. Labels: [rows] for one
// column, [rows, columns] for several, a map one array per output; int64 when every cell is an
// integer, else float32. Columns that nothing names are not looked at. `name` starts the messages:
// "digits.csv:18: column 'p3': 'abc' is not a number". The arrays do not refer to `text`.
Result<Dataset> ReadCsv(const std::string& name, std::string_view text, const JobSpec::Data& data,
                        const DatasetHints& hints);

}  // namespace elephas
