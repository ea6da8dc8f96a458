#include "worker/data/dataset.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <utility>

#include "worker/data/csv_reader.h"
#include "worker/data/libsvm_reader.h"
#include "worker/data/npy_reader.h"
#include "worker/data/npz_reader.h"
#include "worker/data/selection.h"
#include "worker/files/mapped_file.h"
#include "worker/files/printable.h"
#include "worker/files/zip_reader.h"

namespace elephas {

namespace {

std::string FileName(const std::string& path) {
  return Printable(std::filesystem::path(path).filename().string(), 200);
}

// Formats whose columns have no names must not be asked for any.
Status RefuseSelection(const JobSpec::Data& data, const DatasetHints& hints,
                       std::string_view format) {
  ELEPHAS_ASSIGN_OR_RETURN(const Selection features,
                           ParseSelection(data.features, "spec.data.features"));
  ELEPHAS_ASSIGN_OR_RETURN(const Selection labels, ParseSelection(data.labels, "spec.data.labels"));
  const auto refuse = [&](std::string_view field) {
    return Invalid("spec.data." + std::string(field) + ": columns of " + std::string(format) +
                   " have no names; leave it out");
  };
  if (features.given) return refuse("features");
  if (labels.given && hints.need_labels) return refuse("labels");
  ELEPHAS_ASSIGN_OR_RETURN(const Selection weights,
                           ParseSelection(data.sample_weights, "spec.data.sampleWeights"));
  if (weights.given && hints.need_labels) return refuse("sampleWeights");
  return OkStatus();
}

Result<Dataset> LoadNpy(const std::string& path, const JobSpec::Data& data,
                        const DatasetHints& hints) {
  const std::string name = FileName(path);
  if (hints.need_labels) {
    return Invalid(name +
                   ": an .npy file holds features only; put features and labels as x and y "
                   "into an .npz file");
  }
  ELEPHAS_RETURN_IF_ERROR(RefuseSelection(data, hints, "an .npy file"));
  ELEPHAS_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  Result<Array> array = npy::Decode("x", file->bytes(), file, hints.memory);
  if (!array.ok()) return array.status().Annotate(name);
  Dataset dataset;
  dataset.features.push_back(*std::move(array));
  return dataset;
}

Result<Dataset> LoadNpz(const std::string& path, const JobSpec::Data& data,
                        const DatasetHints& hints) {
  ELEPHAS_ASSIGN_OR_RETURN(ZipReader archive, ZipReader::OpenFile(path));
  return ReadNpz(FileName(path), archive, data, hints);
}

Result<Dataset> LoadCsv(const std::string& path, const JobSpec::Data& data,
                        const DatasetHints& hints) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  return ReadCsv(FileName(path), file->text(), data, hints);
}

Result<Dataset> LoadLibsvm(const std::string& path, const JobSpec::Data& data,
                           const DatasetHints& hints) {
  ELEPHAS_RETURN_IF_ERROR(RefuseSelection(data, hints, "a libsvm file"));
  ELEPHAS_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  return ReadLibsvm(FileName(path), file->text(), hints);
}

// A row for each ending of common/manifest/data_formats.h.
struct Format {
  std::string_view extension;
  Result<Dataset> (*load)(const std::string& path, const JobSpec::Data& data,
                          const DatasetHints& hints);
};

constexpr std::array<Format, 5> kFormats{{
    {".npz", &LoadNpz},
    {".npy", &LoadNpy},
    {".csv", &LoadCsv},
    {".libsvm", &LoadLibsvm},
    {".svm", &LoadLibsvm},
}};

Result<const Format*> FindFormat(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string known;
  for (const Format& format : kFormats) {
    if (format.extension == extension) return &format;
    known += (known.empty() ? "" : ", ") + std::string(format.extension);
  }
  return Invalid(path + ": cannot tell the format by the name; readable are " + known);
}

// Every array describes the same rows.
Status CheckRows(Dataset& dataset, const std::string& name) {
  const Array& first = dataset.features.front();
  dataset.rows = first.rows();
  for (const std::vector<Array>* arrays :
       {&dataset.features, &dataset.labels, &dataset.sample_weights}) {
    for (const Array& array : *arrays) {
      if (array.rows() == dataset.rows) continue;
      return Invalid(name + ": array '" + Printable(array.name) + "' has " +
                     std::to_string(array.rows()) + " rows, '" + Printable(first.name) + "' has " +
                     std::to_string(dataset.rows));
    }
  }
  return OkStatus();
}

// Weights are numbers of any kind in the file; the loss wants float32.
Status CheckSampleWeights(Dataset& dataset) {
  for (Array& weights : dataset.sample_weights) {
    const std::int64_t elements = weights.rows() * weights.row_elements();
    if (weights.type == ElementType::kInt64) {
      auto floats = std::make_shared<std::vector<float>>(weights.ints(), weights.ints() + elements);
      const float* data = floats->data();
      weights = Array(weights.name, ElementType::kFloat32, weights.shape, std::move(floats), data);
    }
    for (std::int64_t i = 0; i < elements; ++i) {
      if (!(weights.floats()[i] < 0)) continue;
      return Invalid(dataset.RowName(i / weights.row_elements()) + ": sample weight '" +
                     Printable(weights.name) + "' is negative");
    }
  }
  return OkStatus();
}

}  // namespace

std::string Dataset::RowName(std::int64_t row) const {
  const std::string name = FileName(path);
  if (text) return name + ":" + std::to_string(lines.at(static_cast<std::size_t>(row)));
  return name + ", row " + std::to_string(row);
}

Result<Dataset> LoadDataset(const std::string& path, const JobSpec::Data& data,
                            const DatasetHints& hints) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return error ? Internal(path + ": " + error.message()) : NotFound(path + ": no such file");
  }
  if (std::filesystem::is_directory(path, error)) {
    return Invalid(path + ": is a folder; one file is expected");
  }
  ELEPHAS_ASSIGN_OR_RETURN(const Format* const format, FindFormat(path));
  DatasetHints within = hints;
  if (within.memory.bytes == UINT64_MAX) within.memory = FreeMemory();
  ELEPHAS_ASSIGN_OR_RETURN(Dataset dataset, format->load(path, data, within));
  ELEPHAS_RETURN_IF_ERROR(CheckRows(dataset, FileName(path)));
  dataset.path = path;
  ELEPHAS_RETURN_IF_ERROR(CheckSampleWeights(dataset));
  return dataset;
}

}  // namespace elephas
