// The text format of LIBSVM and SVMlight.
//
//   line  := label *(" " index ":" value) ["#" comment]
//   index := from 1, ascending;  "qid:N" before the first index is skipped
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "worker/data/dataset.h"

namespace elephas {

// Features become one dense float32 array [rows, width], labels [rows]: int64 when all are
// integers, else float32. An index beyond `hints.libsvm_width` is refused. Without labels needed,
// lines may start with an index. kInvalid when the dense rows would take more than
// `max_dense_bytes`. `name` starts the messages: "train.libsvm:7: …".
Result<Dataset> ReadLibsvm(const std::string& name, std::string_view text,
                           const DatasetHints& hints);

}  // namespace elephas
