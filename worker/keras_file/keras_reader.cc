#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "common/base/atomic_file.h"
#include "common/base/memory_budget.h"
#include "common/json/bounded_json.h"
#include "worker/files/printable.h"
#include "worker/files/zip_reader.h"
#include "worker/keras_file/compile_config.h"
#include "worker/keras_file/hdf5_reader.h"
#include "worker/keras_file/keras_file.h"
#include "worker/keras_file/modern_config.h"

namespace elephas::keras_file {

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{32} << 20;

bool EndsWith(const std::string& path, std::string_view extension) {
  if (path.size() < extension.size()) return false;
  return std::equal(extension.begin(), extension.end(),
                    path.end() - static_cast<std::ptrdiff_t>(extension.size()), [](char a, char b) {
                      return a == std::tolower(static_cast<unsigned char>(b));
                    });
}

Status CheckExists(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return NotFound(path + ": no such file");
  return S_ISREG(info.st_mode) ? OkStatus() : Invalid(path + ": is not a file");
}

// Deeper nesting than any model has would overflow the stack of whoever walks the JSON; a model of
// ten thousand layers has half a million values. With little memory left there may be fewer.
JsonLimits ConfigLimits(std::size_t bytes) {
  constexpr std::size_t kMaxNodes = 2'000'000;
  const std::uint64_t fit = FreeMemory().bytes / (2 * kJsonNodeBytes);
  return {.max_bytes = bytes,
          .max_depth = 256,
          .max_nodes = static_cast<std::size_t>(std::min<std::uint64_t>(kMaxNodes, fit))};
}

Result<json> ParseConfig(std::string_view text, std::string_view what) {
  auto config = ParseBoundedJson(text, ConfigLimits(text.size()));
  if (!config.ok()) return config.status().Annotate(what);
  if (!config->is_object()) return Invalid(std::string(what) + " is not a JSON object");
  return config;
}

// Splits what to_json() and config.json hold into model and compile.
ModelFile FromSerialized(json config) {
  ModelFile file;
  file.compile = FromCompileConfig(config.value("compile_config", json()));
  config.erase("compile_config");
  file.config = ModernConfig(std::move(config));
  return file;
}

// ---- .keras

// Nothing is extracted here; but an archive with such names was made to hurt.
Status CheckNames(const ZipReader& archive) {
  for (const ZipReader::Member& member : archive.members()) {
    const std::string& name = member.name;
    const bool climbs = ("/" + name + "/").find("/../") != std::string::npos;
    if (name.empty() || name.front() == '/' || climbs || name.find('\\') != std::string::npos) {
      return Invalid("member '" + Printable(name) + "' climbs out of the archive");
    }
  }
  return OkStatus();
}

Result<std::string> Member(ZipReader& archive, std::string_view name, std::uint64_t limit) {
  const ZipReader::Member* member = archive.Find(name);
  if (member == nullptr) return NotFound("has no " + std::string(name));
  return archive.ReadAll(*member, limit);
}

// What the archive says under keras_version; null when it does not.
json KerasVersion(ZipReader& archive) {
  const Result<std::string> text = Member(archive, "metadata.json", kMaxConfigBytes);
  if (!text.ok()) return nullptr;
  const Result<json> metadata = ParseConfig(*text, "metadata.json");
  return metadata.ok() ? metadata->value("keras_version", json()) : json();
}

Result<SavedWeights> ReadArchiveWeights(ZipReader& archive, std::uint64_t max_bytes) {
  Result<std::string> image = Member(archive, "model.weights.h5", max_bytes);
  if (image.status().code() == Code::kNotFound) {
    const bool npz = archive.Find("model.weights.npz") != nullptr;
    return Invalid(npz ? "keeps its weights as model.weights.npz; save it with weights_format='h5'"
                       : image.status().message());
  }
  if (!image.ok()) return image.status();
  Result<Hdf5Contents> contents = ReadHdf5Bytes(*image, max_bytes);
  if (!contents.ok()) return contents.status().Annotate("model.weights.h5");
  return SavedWeights::FromHdf5(*std::move(contents), IsKeras2(KerasVersion(archive)));
}

Result<ModelFile> ReadArchive(const std::string& path) {
  ELEPHAS_ASSIGN_OR_RETURN(ZipReader archive, ZipReader::OpenFile(path));
  ELEPHAS_RETURN_IF_ERROR(CheckNames(archive).Annotate(path));
  Result<std::string> text = Member(archive, "config.json", kMaxConfigBytes);
  if (!text.ok()) return Invalid(path + ": " + text.status().message());
  Result<json> config = ParseConfig(*text, "config.json");
  if (!config.ok()) return config.status().Annotate(path);
  ELEPHAS_RETURN_IF_ERROR(CheckMeanings(*config, KerasVersion(archive)).Annotate(path));
  ModelFile file = FromSerialized(*std::move(config));
  file.has_weights = true;
  return file;
}

// ---- .h5

Result<ModelFile> ReadLegacy(const std::string& path) {
  const Result<Hdf5Contents> contents = ReadHdf5Root(path);
  if (!contents.ok()) return contents.status().Annotate(path);
  const json* model = contents->Attribute("", "model_config");
  if (model == nullptr || !model->is_string()) {
    return Invalid(path +
                   ": holds weights but no model; name it under model.weights and the model "
                   "under model.uri");
  }
  ModelFile file;
  Result<json> config = ParseConfig(model->get_ref<const std::string&>(), "model_config");
  if (!config.ok()) return config.status().Annotate(path);
  const json* version = contents->Attribute("", "keras_version");
  if (version != nullptr) ELEPHAS_RETURN_IF_ERROR(CheckMeanings(*config, *version).Annotate(path));
  file.config = ModernConfig(*std::move(config));
  const json* training = contents->Attribute("", "training_config");
  if (training != nullptr && training->is_string()) {
    Result<json> compile = ParseConfig(training->get_ref<const std::string&>(), "training_config");
    if (!compile.ok()) return compile.status().Annotate(path);
    file.compile = FromTrainingConfig(*compile);
  }
  file.has_weights = true;
  return file;
}

Result<ModelFile> ReadJson(const std::string& path) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kMaxConfigBytes));
  Result<json> config = ParseConfig(text, "the model");
  if (!config.ok()) return config.status().Annotate(path);
  ELEPHAS_RETURN_IF_ERROR(
      CheckMeanings(*config, config->value("keras_version", json())).Annotate(path));
  return FromSerialized(*std::move(config));
}

}  // namespace

Result<ModelFile> ReadModelFile(const std::string& path) {
  ELEPHAS_RETURN_IF_ERROR(CheckExists(path));
  if (EndsWith(path, ".keras")) return ReadArchive(path);
  if (EndsWith(path, ".h5") || EndsWith(path, ".hdf5")) return ReadLegacy(path);
  if (EndsWith(path, ".json")) return ReadJson(path);
  return Invalid(path + ": not a Keras model by its name; readable are .keras, .h5, .hdf5, .json");
}

std::uint64_t MaxWeightsBytes(std::int64_t elements) {
  // No optimizer keeps more than seven variables for each weight. Twice that leaves room for wider
  // numbers, the rest for what HDF5 wraps around them.
  constexpr std::uint64_t kBytes = sizeof(float) * 8 * 2;
  constexpr std::uint64_t kSlack = std::uint64_t{64} << 20;
  return static_cast<std::uint64_t>(elements) * kBytes + kSlack;
}

Result<SavedWeights> ReadWeightsFile(const std::string& path, std::uint64_t max_bytes) {
  ELEPHAS_RETURN_IF_ERROR(CheckExists(path));
  if (EndsWith(path, ".keras")) {
    ELEPHAS_ASSIGN_OR_RETURN(ZipReader archive, ZipReader::OpenFile(path));
    ELEPHAS_RETURN_IF_ERROR(CheckNames(archive).Annotate(path));
    Result<SavedWeights> weights = ReadArchiveWeights(archive, max_bytes);
    return weights.ok() ? std::move(weights) : weights.status().Annotate(path);
  }
  if (EndsWith(path, ".h5") || EndsWith(path, ".hdf5")) {
    Result<Hdf5Contents> contents = ReadHdf5File(path, max_bytes);
    if (!contents.ok()) return contents.status().Annotate(path);
    Result<SavedWeights> weights = SavedWeights::FromHdf5(*std::move(contents));
    return weights.ok() ? std::move(weights) : weights.status().Annotate(path);
  }
  return Invalid(path +
                 ": not Keras weights by its name; readable are .weights.h5, .h5, .hdf5, "
                 ".keras");
}

}  // namespace elephas::keras_file
