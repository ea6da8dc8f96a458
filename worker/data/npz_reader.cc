#include "worker/data/npz_reader.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "worker/data/npy_format.h"
#include "worker/data/npy_reader.h"
#include "worker/data/selection.h"
#include "worker/files/printable.h"

namespace elephas {

namespace {

constexpr std::string_view kSuffix = ".npy";

std::string ArrayNames(const ZipReader& archive) {
  constexpr std::size_t kShown = 12;
  std::string out;
  std::size_t count = 0;
  for (const ZipReader::Member& member : archive.members()) {
    if (!member.name.ends_with(kSuffix)) continue;
    if (++count > kShown) continue;
    out += (count == 1 ? "" : ", ") +
           Printable(std::string_view(member.name).substr(0, member.name.size() - kSuffix.size()));
  }
  if (count == 0) return "none";
  return count > kShown ? out + ", … (" + std::to_string(count) + ")" : out;
}

// Allocates what the shape needs only when the archive and the memory can hold it; takes what stays
// off `memory`.
Result<Array> ReadMember(ZipReader& archive, const ZipReader::Member& member, std::string name,
                         MemoryBudget& memory) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::string prefix,
                           archive.ReadPrefix(member, npy::kMaxPrefixBytes));
  ELEPHAS_ASSIGN_OR_RETURN(const npy::Header header,
                           npy::ParseHeader(std::as_bytes(std::span(prefix))));
  if (member.bytes != header.data_offset + header.data_bytes) {
    return Invalid("its shape needs " + std::to_string(header.data_bytes) +
                   " bytes of data, the archive has " +
                   std::to_string(member.bytes - std::min(member.bytes, header.data_offset)));
  }
  if (!PlausibleZipSize(member.bytes, member.compressed)) {
    return Invalid("the archive claims " + std::to_string(member.bytes) + " bytes in " +
                   std::to_string(member.compressed));
  }
  const std::uint64_t converted = npy::ConvertedBytes(header);
  ELEPHAS_RETURN_IF_ERROR(CheckMemory(memory, header.data_bytes + converted, "as numbers, it"));
  memory.bytes -= converted == 0 ? header.data_bytes : converted;
  // new aligns for every element type, so plain arrays are used where they are read.
  auto data = std::make_shared_for_overwrite<std::byte[]>(header.data_bytes);
  const std::span<std::byte> bytes(data.get(), header.data_bytes);
  ELEPHAS_RETURN_IF_ERROR(archive.ReadRest(member, header.data_offset, bytes));
  return npy::DecodeData(std::move(name), header, bytes, data);
}

class NpzLoader {
 public:
  NpzLoader(const std::string& name, ZipReader& archive, MemoryBudget memory)
      : name_(name), archive_(archive), memory_(std::move(memory)) {}

  Status Load(const Selection& selection, std::string_view field, std::string_view fallback,
              std::vector<Array>& arrays, std::vector<std::string>& keys) {
    if (!selection.given) return LoadOne(std::string(fallback), arrays);
    for (const SelectedArray& selected : selection.arrays) {
      if (selected.names.size() != 1) {
        return Invalid(std::string(field) + "." + selected.key +
                       ": must name one array of an .npz file");
      }
      ELEPHAS_RETURN_IF_ERROR(LoadOne(selected.names[0], arrays));
      if (selection.map) keys.push_back(selected.key);
    }
    return OkStatus();
  }

 private:
  Status LoadOne(const std::string& array_name, std::vector<Array>& arrays) {
    const ZipReader::Member* member = archive_.Find(array_name + std::string(kSuffix));
    if (member == nullptr) {
      return Invalid(name_ + ": no array '" + Printable(array_name) +
                     "'; arrays are: " + ArrayNames(archive_));
    }
    Result<Array> array = ReadMember(archive_, *member, array_name, memory_);
    if (!array.ok()) {
      return array.status().Annotate(name_ + ": array '" + Printable(array_name) + "'");
    }
    arrays.push_back(*std::move(array));
    return OkStatus();
  }

  const std::string& name_;
  ZipReader& archive_;
  MemoryBudget memory_;  // what is left
};

}  // namespace

Result<Dataset> ReadNpz(const std::string& name, ZipReader& archive, const JobSpec::Data& data,
                        const DatasetHints& hints) {
  ELEPHAS_ASSIGN_OR_RETURN(const Selection features,
                           ParseSelection(data.features, "spec.data.features"));
  ELEPHAS_ASSIGN_OR_RETURN(const Selection labels, ParseSelection(data.labels, "spec.data.labels"));
  ELEPHAS_ASSIGN_OR_RETURN(const Selection weights,
                           ParseSelection(data.sample_weights, "spec.data.sampleWeights"));
  Dataset dataset;
  NpzLoader loader(name, archive, hints.memory);
  try {
    ELEPHAS_RETURN_IF_ERROR(
        loader.Load(features, "spec.data.features", "x", dataset.features, dataset.feature_keys));
    if (hints.need_labels) {
      ELEPHAS_RETURN_IF_ERROR(
          loader.Load(labels, "spec.data.labels", "y", dataset.labels, dataset.label_keys));
      if (weights.given) {
        ELEPHAS_RETURN_IF_ERROR(loader.Load(weights, "spec.data.sampleWeights", "",
                                            dataset.sample_weights, dataset.sample_weight_keys));
      }
    }
  } catch (const std::bad_alloc&) {
    return Internal(name + ": not enough memory for its arrays");
  }
  return dataset;
}

}  // namespace elephas
