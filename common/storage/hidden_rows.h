// Predictions gather in a hidden file beside the one that they become; its name, for who writes it
// and for who cleans up.
#pragma once

#include <string>
#include <string_view>

namespace elephas {

// ".predictions.npy.UID.rows" of "predictions.npy": `run` (the job's uid) is in it, so that runs do
// not meet. `output` tells several outputs apart.
std::string HiddenRowsName(std::string_view final_name, std::string_view run,
                           std::string_view output);
// Is `name` one of those of this run?
bool IsHiddenRows(std::string_view name, std::string_view run);

}  // namespace elephas
