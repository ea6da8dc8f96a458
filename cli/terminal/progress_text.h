// How a run looks on a terminal: pure functions from the server's status to text.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace elephas::cli {

// 24310 -> "24,310".
std::string CountText(double count);
// As Keras prints a metric: four decimals, or an exponent for what is smaller; null is "nan".
std::string MetricText(const nlohmann::json& value);
// "0.4 s", "12 s", "3 min 20 s", "2 h 05 min".
std::string DurationText(double seconds);
// "loss 0.1234 accuracy 0.9612 val_loss 0.2": the loss first, validation last.
std::vector<std::string> MetricTexts(const nlohmann::json& metrics);
std::string MetricsText(const nlohmann::json& metrics);

// Columns that `text` takes on a terminal, colour codes not counted.
std::size_t DisplayWidth(std::string_view text);

// The live line of an unfinished job, at most `width` columns; parts are left out, the least
// important first, when they do not fit.
//   Epoch 3/10 [=====>    ] 812/1437  loss 0.1234 accuracy 0.9612  24,310 examples/s  2 s left
std::string ProgressLine(const nlohmann::json& status, std::size_t width, bool colour);

// An epoch that is over. `number` counts from 1; no examples: not known.
struct FinishedEpoch {
  std::int64_t number = 0, epochs = 0;
  nlohmann::json metrics = nlohmann::json::object();
  double examples = 0, seconds = 0;
};
// "Epoch 3/10  1,437 examples in 0.6 s  loss 0.1234 accuracy 0.9612".
std::string EpochLine(const FinishedEpoch& epoch);

// Finds the epochs that were finished since it last looked. After a server went back to a
// checkpoint, repeated epochs are reported again: their numbers may differ. In the history an empty
// object stands for a value that is not known.
class EpochLog {
 public:
  std::vector<FinishedEpoch> Take(const nlohmann::json& status);

 private:
  std::size_t reported_ = 0;
};

// The job's final metrics: the last epoch's, or what an evaluation gave.
nlohmann::json FinalMetrics(const nlohmann::json& status);

}  // namespace elephas::cli
