#include "worker/data/csv_reader.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <new>
#include <set>
#include <utility>
#include <vector>

#include "worker/data/csv_records.h"
#include "worker/data/number_text.h"
#include "worker/data/selection.h"
#include "worker/files/printable.h"

namespace elephas {

namespace {

using Columns = std::map<std::string, std::size_t, std::less<>>;

// One array in the making.
struct Output {
  std::string key, name;
  std::vector<std::size_t> columns;
  bool label = false;
  bool weight = false;    // of samples
  bool integers = false;  // label: so far every cell was an integer
  std::vector<float> floats;
  std::vector<std::int64_t> ints;
};

// What the reader does with a column.
struct ColumnUse {
  std::string name;
  bool used = false;
  bool label = false;
};

Status Refuse(const std::string& name, std::int64_t line, const std::string& message) {
  return Invalid(name + ":" + std::to_string(line) + ": " + message);
}

// What a column costs before its first row, its name in four places not counted: entries of a list,
// a set, a map and the plan, and a row's cell.
constexpr std::uint64_t kColumnBytes = 320;

Result<std::vector<std::string>> ReadHeader(const std::string& name, CsvCursor& cursor,
                                            const MemoryBudget& memory) {
  std::uint64_t bytes = 0;
  std::vector<std::string> header;
  std::set<std::string, std::less<>> seen;
  const std::int64_t line = cursor.line();
  CsvCell cell;
  do {
    if (const Status status = cursor.Next(cell); !status.ok()) {
      return Refuse(name, line, status.message());
    }
    std::string column(cell.quoted ? cell.text : TrimBlanks(cell.text));
    if (column.empty()) {
      return Refuse(name, line,
                    "column " + std::to_string(header.size() + 1) + " has no name in the header");
    }
    bytes += kColumnBytes + 4 * column.size();
    if (bytes > memory.bytes) {
      const std::string what =
          ": a header of more than " + std::to_string(header.size()) + " columns";
      return CheckMemory(memory, bytes, name + what);
    }
    if (!seen.insert(column).second) {
      return Refuse(name, line, "two columns are named '" + Printable(column) + "'");
    }
    header.push_back(std::move(column));
  } while (!cell.ends_record);
  return header;
}

std::string ListOf(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 12;
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    out += (i == 0 ? "" : ", ") + Printable(names[i]);
  }
  return names.size() > kShown ? out + ", … (" + std::to_string(names.size()) + ")" : out;
}

// The plan: which columns go into which arrays.
class Planner {
 public:
  Planner(const std::string& name, const std::vector<std::string>& header)
      : name_(name), header_(header) {
    for (std::size_t i = 0; i < header.size(); ++i) columns_.emplace(header[i], i);
  }

  Result<std::vector<Output>> Plan(const Selection& features, const Selection& labels,
                                   const Selection& weights, bool need_labels) {
    std::vector<Output> outputs;
    if (features.given) {
      ELEPHAS_RETURN_IF_ERROR(AddSelected(features, /*label=*/false, outputs));
    } else {
      ELEPHAS_RETURN_IF_ERROR(AddAllBut({&labels, &weights}, outputs));
    }
    if (need_labels) {
      if (!labels.given) {
        return Invalid(name_ + ": spec.data.labels must name the label columns; columns are: " +
                       ListOf(header_));
      }
      ELEPHAS_RETURN_IF_ERROR(AddSelected(labels, /*label=*/true, outputs));
      ELEPHAS_RETURN_IF_ERROR(AddWeights(weights, outputs));
    }
    return outputs;
  }

 private:
  Result<Output> Select(const std::vector<std::string>& names, bool label) {
    Output output;
    output.label = label;
    output.integers = label;
    output.name = names.size() == 1 ? names[0] : label ? "labels" : "features";
    for (const std::string& column : names) {
      const auto it = columns_.find(column);
      if (it == columns_.end()) {
        return Invalid(name_ + ": no column '" + Printable(column) +
                       "'; columns are: " + ListOf(header_));
      }
      if (std::find(output.columns.begin(), output.columns.end(), it->second) !=
          output.columns.end()) {
        return Invalid(name_ + ": column '" + Printable(column) + "' is selected twice");
      }
      output.columns.push_back(it->second);
    }
    return output;
  }

  // A list's columns make one array, a map's one per key.
  Status AddSelected(const Selection& selection, bool label, std::vector<Output>& outputs) {
    if (selection.map) {
      for (const SelectedArray& array : selection.arrays) {
        ELEPHAS_ASSIGN_OR_RETURN(Output output, Select(array.names, label));
        output.key = array.key;
        outputs.push_back(std::move(output));
      }
      return OkStatus();
    }
    std::vector<std::string> names;
    for (const SelectedArray& array : selection.arrays) names.push_back(array.names[0]);
    ELEPHAS_ASSIGN_OR_RETURN(Output output, Select(names, label));
    outputs.push_back(std::move(output));
    return OkStatus();
  }

  // An array for each column.
  Status AddWeights(const Selection& weights, std::vector<Output>& outputs) {
    for (const SelectedArray& array : weights.arrays) {
      ELEPHAS_ASSIGN_OR_RETURN(Output output, Select(array.names, /*label=*/false));
      output.key = array.key;
      output.weight = true;
      outputs.push_back(std::move(output));
    }
    return OkStatus();
  }

  Status AddAllBut(std::initializer_list<const Selection*> others, std::vector<Output>& outputs) {
    std::set<std::string, std::less<>> excluded;
    for (const Selection* other : others) {
      for (const SelectedArray& array : other->arrays) {
        excluded.insert(array.names.begin(), array.names.end());
      }
    }
    Output output;
    output.name = "features";
    for (std::size_t i = 0; i < header_.size(); ++i) {
      if (!excluded.contains(header_[i])) output.columns.push_back(i);
    }
    if (output.columns.empty()) {
      return Invalid(name_ + ": every column is a label, none is left as a feature");
    }
    outputs.push_back(std::move(output));
    return OkStatus();
  }

  const std::string& name_;
  const std::vector<std::string>& header_;
  Columns columns_;
};

// Reads the records behind the header.
class RecordReader {
 public:
  RecordReader(const std::string& name, const std::vector<std::string>& header,
               std::vector<Output>& outputs, const MemoryBudget& memory)
      : name_(name),
        outputs_(outputs),
        memory_(memory),
        row_(header.size()),
        row_ints_(header.size()) {
    for (const std::string& column : header) uses_.push_back({column});
    for (const Output& output : outputs) {
      for (const std::size_t column : output.columns) {
        uses_[column].used = true;
        uses_[column].label |= output.label;
      }
    }
  }

  Status ReadAll(CsvCursor& cursor, std::vector<std::int64_t>& lines) {
    const std::size_t all = cursor.remaining();
    while (!cursor.AtEnd()) {
      const std::uint64_t held = HeldWithOneMore(lines);
      if (held > memory_.bytes) {
        return CheckMemory(memory_, held,
                           name_ + ": the first " + std::to_string(lines.size() + 1) + " rows");
      }
      lines.push_back(cursor.line());
      ELEPHAS_RETURN_IF_ERROR(ReadRecord(cursor));
      for (Output& output : outputs_) Append(output);
      if (lines.size() == 1) Reserve(all, all - cursor.remaining(), lines);
    }
    return OkStatus();
  }

 private:
  Status ReadRecord(CsvCursor& cursor) {
    line_ = cursor.line();
    bool ends = false;
    std::size_t column = 0;
    for (; column < uses_.size() && !ends; ++column) {
      const ColumnUse& use = uses_[column];
      // An integer label must not lose digits in a float, so labels take the slow way.
      const bool plain = use.used && !use.label && cursor.NextNumber(row_[column], ends);
      if (plain) continue;
      CsvCell cell;
      if (const Status status = cursor.Next(cell); !status.ok()) {
        return Refuse(name_, line_, status.message());
      }
      ends = cell.ends_record;
      if (use.used) ELEPHAS_RETURN_IF_ERROR(ReadCell(cell, column));
    }
    if (ends && column == uses_.size()) return OkStatus();
    while (!ends) {
      CsvCell cell;
      if (const Status status = cursor.Next(cell); !status.ok()) {
        return Refuse(name_, line_, status.message());
      }
      ends = cell.ends_record;
      ++column;
    }
    return Refuse(name_, line_,
                  std::to_string(column) + " cells, the header has " +
                      std::to_string(uses_.size()) + " columns");
  }

  Status ReadCell(const CsvCell& cell, std::size_t column) {
    const std::string_view text = TrimBlanks(cell.text);
    const auto refuse = [&](const std::string& why) {
      return Refuse(name_, line_, "column '" + Printable(uses_[column].name) + "': " + why);
    };
    if (text.empty()) return refuse("the cell is empty");
    const NumberError error = ParseFloat(text, row_[column]);
    if (error != NumberError::kNone) return refuse(Describe(error, text));
    if (uses_[column].label) row_ints_[column] = ParseInteger(text);
    return OkStatus();
  }

  void Append(Output& output) {
    const std::size_t start = output.floats.size();
    output.floats.resize(start + output.columns.size());
    float* to = output.floats.data() + start;
    for (const std::size_t column : output.columns) *to++ = row_[column];
    if (!output.integers) return;
    for (const std::size_t column : output.columns) {
      if (!row_ints_[column]) {
        output.integers = false;
        output.ints = {};
        return;
      }
      output.ints.push_back(*row_ints_[column]);
    }
  }

  // What the rows take when one is added; a vector that has to grow is there twice for a moment.
  template <typename T>
  static std::uint64_t Held(const std::vector<T>& values, std::size_t more) {
    const std::size_t after = values.size() + more;
    return (after > values.capacity() ? after + values.size() : after) * sizeof(T);
  }
  [[nodiscard]] std::uint64_t HeldWithOneMore(const std::vector<std::int64_t>& lines) const {
    std::uint64_t bytes = Held(lines, 1);
    for (const Output& output : outputs_) {
      bytes += Held(output.floats, output.columns.size());
      if (output.integers) bytes += Held(output.ints, output.columns.size());
    }
    return bytes;
  }

  // Rows of one length are the rule; the guess never exceeds what the text could hold.
  void Reserve(std::size_t all, std::size_t first_record, std::vector<std::int64_t>& lines) {
    std::size_t rows = all / std::max<std::size_t>(first_record, 2 * uses_.size()) * 17 / 16 + 16;
    rows = std::min<std::uint64_t>(rows, memory_.bytes / HeldWithOneMore({}) + 1);
    lines.reserve(rows);
    for (Output& output : outputs_) {
      output.floats.reserve(rows * output.columns.size());
      if (output.integers) output.ints.reserve(rows * output.columns.size());
    }
  }

  const std::string& name_;
  std::vector<Output>& outputs_;
  const MemoryBudget& memory_;
  std::vector<ColumnUse> uses_;
  std::vector<float> row_;
  std::vector<std::optional<std::int64_t>> row_ints_;
  std::int64_t line_ = 0;
};

template <typename T>
Array MakeArray(std::string name, ElementType type, std::vector<std::int64_t> shape,
                std::vector<T> values) {
  auto owner = std::make_shared<std::vector<T>>(std::move(values));
  const void* data = owner->data();
  return {std::move(name), type, std::move(shape), std::move(owner), data};
}

Array Finish(Output& output, std::int64_t rows) {
  std::vector<std::int64_t> shape = {rows};
  if ((!output.label && !output.weight) || output.columns.size() > 1) {
    shape.push_back(static_cast<std::int64_t>(output.columns.size()));
  }
  if (output.integers) {
    return MakeArray(output.name, ElementType::kInt64, std::move(shape), std::move(output.ints));
  }
  return MakeArray(output.name, ElementType::kFloat32, std::move(shape), std::move(output.floats));
}

Result<Dataset> Read(const std::string& name, std::string_view text, const JobSpec::Data& data,
                     const DatasetHints& hints) {
  ELEPHAS_ASSIGN_OR_RETURN(const Selection features,
                           ParseSelection(data.features, "spec.data.features"));
  ELEPHAS_ASSIGN_OR_RETURN(const Selection labels, ParseSelection(data.labels, "spec.data.labels"));
  ELEPHAS_ASSIGN_OR_RETURN(const Selection weights,
                           ParseSelection(data.sample_weights, "spec.data.sampleWeights"));
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return Invalid(name + ": is UTF-16 text; save it as UTF-8");
  }
  CsvCursor cursor(text);
  if (cursor.AtEnd()) return Invalid(name + ": is empty");
  ELEPHAS_ASSIGN_OR_RETURN(const std::vector<std::string> header,
                           ReadHeader(name, cursor, hints.memory));
  ELEPHAS_ASSIGN_OR_RETURN(
      std::vector<Output> outputs,
      Planner(name, header).Plan(features, labels, weights, hints.need_labels));
  Dataset dataset;
  dataset.text = true;
  ELEPHAS_RETURN_IF_ERROR(
      RecordReader(name, header, outputs, hints.memory).ReadAll(cursor, dataset.lines));
  if (dataset.lines.empty()) return Invalid(name + ": holds no rows, only a header");
  dataset.rows = static_cast<std::int64_t>(dataset.lines.size());
  for (Output& output : outputs) {
    auto& arrays = output.weight  ? dataset.sample_weights
                   : output.label ? dataset.labels
                                  : dataset.features;
    auto& keys = output.weight  ? dataset.sample_weight_keys
                 : output.label ? dataset.label_keys
                                : dataset.feature_keys;
    if (!output.key.empty()) keys.push_back(output.key);
    arrays.push_back(Finish(output, dataset.rows));
  }
  return dataset;
}

}  // namespace

Result<Dataset> ReadCsv(const std::string& name, std::string_view text, const JobSpec::Data& data,
                        const DatasetHints& hints) {
  try {
    return Read(name, text, data, hints);
  } catch (const std::bad_alloc&) {
    return Internal(name + ": not enough memory for its " + std::to_string(text.size()) +
                    " bytes of text");
  }
}

}  // namespace elephas
