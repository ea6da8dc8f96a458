// history.json and metric values as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "common/protocol/protocol.h"
#include "paramserver/callbacks/monitor.h"
#include "paramserver/ledger/ledger.h"

namespace elephas {

// Name to value. A value that JSON cannot hold (NaN, infinity) is null.
nlohmann::json MetricValues(const MetricSums& sums);

// What training callbacks see of an epoch: metrics and their "val_" twins.
EpochLogs LogsOf(const EpochSummary& epoch);

// One list per name, one value per epoch, null where an epoch has none: "loss", metrics, their
// "val_" twins, "examples", "seconds", and "learning_rate" unless `learning_rates` is empty.
nlohmann::json HistoryLists(const std::vector<EpochSummary>& history,
                            const std::vector<double>& learning_rates = {});

}  // namespace elephas
