// history.json and metric values as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "common/protocol.h"
#include "paramserver/ledger.h"

namespace elephas {

// Name to value. A value that JSON cannot hold (NaN, infinity) is null.
nlohmann::json MetricValues(const MetricSums& sums);

// One list per name, one value per epoch, null where an epoch has none: "loss", metrics, their
// "val_" twins, "examples", "seconds".
nlohmann::json HistoryLists(const std::vector<EpochSummary>& history);

}  // namespace elephas
