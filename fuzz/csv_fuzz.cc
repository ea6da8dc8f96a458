// The first byte chooses what the manifest selects, the rest is the file.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "fuzz/dataset_check.h"
#include "worker/data/csv_reader.h"

using elephas::DatasetHints;
using elephas::JobSpec;
using nlohmann::json;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array<std::pair<json, json>, 5> kSelections = {{
      {nullptr, json::array({"label"})},
      {nullptr, nullptr},
      {json{"a", "b"}, "label"},
      {json{{"left", "a"}, {"right", {"b", "a"}}}, json{{"out", {"label", "b"}}}},
      {json{"a", "label"}, json{"a", "label"}},
  }};
  if (size == 0) return 0;
  const auto& [features, labels] = kSelections[data[0] % kSelections.size()];
  JobSpec::Data selection;
  selection.features = features;
  selection.labels = labels;
  const DatasetHints hints{.need_labels = data[0] < 128, .memory = {.bytes = 1 << 16}};
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  elephas::FuzzCheckDataset(elephas::ReadCsv("f.csv", text, selection, hints));
  return 0;
}
