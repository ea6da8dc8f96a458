// Values of stateful metrics from their summed states. What a batch adds is computed by the worker
// (worker/keras/metrics/); everything here is arithmetic on the totals, so any program that has
// them can tell the value.
//
// A state's kind names the formula and carries its options, separated by colons. N thresholds, C
// classes, L labels:
//   root_mean              {sum, count}; sqrt(sum / count)
//   sum                    {total}
//   share                  {a, b}; a / (a + b): precision and recall
//   auc:CURVE:SUMMATION:N  L times {tp[N], fp[N], tn[N], fn[N]}; the mean over labels
//   best:OF:UNDER:LIMIT:N  {tp[N], fp[N], tn[N], fn[N]}; the largest OF where UNDER >= LIMIT
//   fbeta:AVERAGE:BETA     {tp[C], fp[C], fn[C], weight[C]}
//   iou:CLASS,CLASS,…      a confusion matrix [C x C], one row per true class
//   r2:AGGREGATION:P       {elements, sum[C], squares[C], residual[C], count[C]}, P regressors
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"

namespace elephas {

// kInvalid for an unknown kind, bad options or a wrong number of values. Not for "mean", which
// protocol.cc knows itself. NaN and infinities follow Keras.
Result<double> StatefulMetricValue(const std::string& kind, const std::vector<double>& values);

}  // namespace elephas
