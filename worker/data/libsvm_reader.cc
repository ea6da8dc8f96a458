#include "worker/data/libsvm_reader.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "worker/data/number_text.h"

namespace elephas {

namespace {

struct Entry {
  std::int64_t column;  // from 0
  float value;
};

class LibsvmParser {
 public:
  LibsvmParser(const std::string& name, const DatasetHints& hints) : name_(name), hints_(hints) {}

  Status Parse(std::string_view text) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    while (!text.empty()) {
      ++line_;
      const std::size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      line = line.substr(0, line.find('#'));
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (!TrimBlanks(line).empty()) ELEPHAS_RETURN_IF_ERROR(ParseLine(line));
    }
    if (lines_.empty()) return Invalid(name_ + ": holds no rows");
    return OkStatus();
  }

  Result<Dataset> Finish() && {
    Dataset dataset;
    dataset.text = true;
    dataset.rows = static_cast<std::int64_t>(lines_.size());
    ELEPHAS_RETURN_IF_ERROR(AddFeatures(dataset));
    if (hints_.need_labels) AddLabels(dataset);
    dataset.lines = std::move(lines_);
    return dataset;
  }

 private:
  Status Refuse(const std::string& message) const {
    return Invalid(name_ + ":" + std::to_string(line_) + ": " + message);
  }

  static std::string_view NextWord(std::string_view& line) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!line.empty() && blank(line.front())) line.remove_prefix(1);
    std::size_t end = 0;
    while (end < line.size() && !blank(line[end])) ++end;
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    return word;
  }

  Status ParseLine(std::string_view line) {
    std::string_view rest = line;
    const std::string_view first = NextWord(rest);
    const bool has_label = first.find(':') == std::string_view::npos;
    if (has_label) {
      line = rest;
    } else if (hints_.need_labels) {
      return Refuse("the line does not start with a label");
    }
    if (hints_.need_labels) ELEPHAS_RETURN_IF_ERROR(ParseLabel(first));
    std::int64_t last = 0;
    for (std::string_view word = NextWord(line); !word.empty(); word = NextWord(line)) {
      if (last == 0 && word.starts_with("qid:")) continue;
      ELEPHAS_RETURN_IF_ERROR(ParseEntry(word, last));
    }
    lines_.push_back(line_);
    row_ends_.push_back(entries_.size());
    // Half as much again for vectors that grow.
    const std::uint64_t held = (entries_.size() * sizeof(Entry) + lines_.size() * 32) * 3 / 2;
    if (held <= hints_.memory.bytes) return OkStatus();
    return CheckMemory(hints_.memory, held,
                       name_ + ": the first " + std::to_string(lines_.size()) + " rows");
  }

  Status ParseLabel(std::string_view word) {
    float value = 0;
    const NumberError error = ParseFloat(word, value);
    if (error != NumberError::kNone) return Refuse("label: " + Describe(error, word));
    float_labels_.push_back(value);
    if (!integers_) return OkStatus();
    if (const std::optional<std::int64_t> integer = ParseInteger(word)) {
      int_labels_.push_back(*integer);
    } else {
      integers_ = false;
      int_labels_ = {};
    }
    return OkStatus();
  }

  Status ParseEntry(std::string_view word, std::int64_t& last) {
    const std::size_t colon = word.find(':');
    const std::string_view index_text = word.substr(0, colon);
    const std::optional<std::int64_t> index = ParseInteger(index_text);
    if (colon == std::string_view::npos || !index) {
      return Refuse(Describe(NumberError::kNotANumber, index_text) +
                    ", where index:value is expected");
    }
    if (*index < 1) return Refuse("index " + std::to_string(*index) + ": indices start at 1");
    if (*index <= last) {
      return Refuse("index " + std::to_string(*index) + " comes after " + std::to_string(last) +
                    ": indices must ascend");
    }
    if (hints_.libsvm_width > 0 && *index > hints_.libsvm_width) {
      return Refuse("index " + std::to_string(*index) + ": the model takes " +
                    std::to_string(hints_.libsvm_width) + " features");
    }
    last = *index;
    width_ = std::max(width_, last);
    float value = 0;
    const std::string_view value_text = word.substr(colon + 1);
    const NumberError error = ParseFloat(value_text, value);
    if (error != NumberError::kNone) {
      return Refuse("index " + std::to_string(last) + ": " + Describe(error, value_text));
    }
    entries_.push_back({last - 1, value});
    return OkStatus();
  }

  Status AddFeatures(Dataset& dataset) {
    const std::int64_t width = hints_.libsvm_width > 0 ? hints_.libsvm_width : width_;
    if (width == 0) return Invalid(name_ + ": no line has a feature");
    const auto rows = static_cast<std::uint64_t>(dataset.rows);
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(rows * sizeof(float), static_cast<std::uint64_t>(width), &bytes)) {
      bytes = UINT64_MAX;
    }
    const std::uint64_t held = entries_.size() * sizeof(Entry);
    const std::uint64_t both = bytes > UINT64_MAX - held ? UINT64_MAX : bytes + held;
    ELEPHAS_RETURN_IF_ERROR(CheckMemory(hints_.memory, both,
                                        name_ + ": " + std::to_string(rows) + " rows of " +
                                            std::to_string(width) + " features, as dense rows,"));
    // calloc: pages that stay zero are never touched. NOLINTNEXTLINE(cppcoreguidelines-no-malloc)
    std::shared_ptr<void> owner(std::calloc(bytes, 1), &std::free);
    if (owner == nullptr) throw std::bad_alloc();
    auto* const values = static_cast<float*>(owner.get());
    std::size_t entry = 0;
    for (std::size_t row = 0; row < row_ends_.size(); ++row) {
      float* const out = values + row * static_cast<std::size_t>(width);
      for (; entry < row_ends_[row]; ++entry) out[entries_[entry].column] = entries_[entry].value;
    }
    dataset.features.emplace_back("features", ElementType::kFloat32,
                                  std::vector<std::int64_t>{dataset.rows, width}, owner, values);
    return OkStatus();
  }

  void AddLabels(Dataset& dataset) {
    const auto add = [&](ElementType type, auto values) {
      auto owner = std::make_shared<decltype(values)>(std::move(values));
      const void* data = owner->data();
      dataset.labels.emplace_back("label", type, std::vector<std::int64_t>{dataset.rows},
                                  std::move(owner), data);
    };
    if (integers_) {
      add(ElementType::kInt64, std::move(int_labels_));
    } else {
      add(ElementType::kFloat32, std::move(float_labels_));
    }
  }

  const std::string& name_;
  const DatasetHints& hints_;
  std::int64_t line_ = 0;
  std::int64_t width_ = 0;
  bool integers_ = true;
  std::vector<std::int64_t> lines_, int_labels_;
  std::vector<float> float_labels_;
  std::vector<Entry> entries_;  // of all rows
  std::vector<std::size_t> row_ends_;
};

}  // namespace

Result<Dataset> ReadLibsvm(const std::string& name, std::string_view text,
                           const DatasetHints& hints) {
  try {
    LibsvmParser parser(name, hints);
    ELEPHAS_RETURN_IF_ERROR(parser.Parse(text));
    return std::move(parser).Finish();
  } catch (const std::bad_alloc&) {
    return Internal(name + ": not enough memory for its rows");
  }
}

}  // namespace elephas
