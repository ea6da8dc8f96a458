// Lets the Python tests of this folder call readers and writers: each subcommand does one thing,
// exits 1 with the Status' message on stderr when it is refused.
#include <iostream>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/protocol/safetensors.h"
#include "worker/data/dataset.h"
#include "worker/files/npy_writer.h"
#include "worker/files/npz_writer.h"

namespace elephas {
namespace {

using Arguments = std::vector<std::string>;

// dataset FILE {"features":…,"labels":…,"predict":…,"width":…} OUT: the arrays as safetensors,
// named features.0.NAME and labels.0.NAME, keys and row names in the metadata.
Status DumpDataset(const Arguments& arguments) {
  const nlohmann::json options = nlohmann::json::parse(arguments[1]);
  JobSpec::Data data;
  data.features = options.value("features", nlohmann::json());
  data.labels = options.value("labels", nlohmann::json());
  const DatasetHints hints{.libsvm_width = options.value("width", 0),
                           .need_labels = !options.value("predict", false)};
  ELEPHAS_ASSIGN_OR_RETURN(const Dataset dataset, LoadDataset(arguments[0], data, hints));
  std::vector<safetensors::TensorInfo> tensors;
  std::vector<std::span<const std::byte>> bytes;
  const auto add = [&](const std::string& kind, const std::vector<Array>& arrays) {
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const Array& array = arrays[i];
      const auto elements = static_cast<std::size_t>(array.rows() * array.row_elements());
      const bool floats = array.type == ElementType::kFloat32;
      tensors.push_back(
          {kind + "." + std::to_string(i) + "." + array.name, floats ? "F32" : "I64", array.shape});
      bytes.push_back(floats ? std::as_bytes(std::span(array.floats(), elements))
                             : std::as_bytes(std::span(array.ints(), elements)));
    }
  };
  add("features", dataset.features);
  add("labels", dataset.labels);
  return safetensors::WriteFile(arguments[2],
                                {{"feature_keys", nlohmann::json(dataset.feature_keys).dump()},
                                 {"label_keys", nlohmann::json(dataset.label_keys).dump()},
                                 {"last_row", dataset.RowName(dataset.rows - 1)}},
                                tensors, bytes);
}

// safetensors IN OUT: read and written again.
Status CopySafetensors(const Arguments& arguments) {
  ELEPHAS_ASSIGN_OR_RETURN(const safetensors::File file, safetensors::ReadFile(arguments[0]));
  std::vector<std::span<const std::byte>> data;
  for (const safetensors::TensorInfo& tensor : file.header.tensors) {
    data.push_back(file.Bytes(tensor));
  }
  return safetensors::WriteFile(arguments[1], file.header.metadata, file.header.tensors, data);
}

// rows FINAL [shape] FIRST COUNT: writes rows FIRST… of an array in which element i is i, and with
// COUNT 0 publishes it.
Status WriteRows(const Arguments& arguments) {
  const auto shape = nlohmann::json::parse(arguments[1]).get<std::vector<std::int64_t>>();
  const std::int64_t first = std::stoll(arguments[2]);
  const std::int64_t count = std::stoll(arguments[3]);
  const std::string hidden = HiddenPath(arguments[0], "test");
  if (count == 0) return PublishHidden(hidden, arguments[0]);
  std::int64_t row = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) row *= shape[i];
  std::vector<float> values(static_cast<std::size_t>(count * row));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(first * row + static_cast<std::int64_t>(i));
  }
  ELEPHAS_ASSIGN_OR_RETURN(NpyRowFile file, NpyRowFile::Open(hidden, shape));
  ELEPHAS_RETURN_IF_ERROR(file.WriteRows(first, values));
  return file.Sync();
}

// npz OUT NAME PATH NAME PATH …
Status MakeNpz(const Arguments& arguments) {
  std::vector<NpzPart> parts;
  for (std::size_t i = 1; i + 1 < arguments.size(); i += 2) {
    parts.push_back({arguments[i], arguments[i + 1]});
  }
  return WriteNpz(arguments[0], parts);
}

using Command = Status (*)(const Arguments&);

int Main(int count, char** words) {
  const std::map<std::string, Command> commands = {{"dataset", &DumpDataset},
                                                   {"safetensors", &CopySafetensors},
                                                   {"rows", &WriteRows},
                                                   {"npz", &MakeNpz}};
  const auto command = commands.find(count > 1 ? words[1] : "");
  if (command == commands.end()) {
    std::cerr << "unknown subcommand\n";
    return 2;
  }
  const Status status = command->second(Arguments(words + 2, words + count));
  if (status.ok()) return 0;
  std::cerr << CodeName(status.code()) << ": " << status.message() << '\n';
  return 1;
}

}  // namespace
}  // namespace elephas

int main(int count, char** words) { return elephas::Main(count, words); }
