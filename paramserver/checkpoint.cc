#include "paramserver/checkpoint.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "common/atomic_file.h"
#include "common/safetensors.h"

namespace elephas {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kFormat = "elephas-checkpoint-1";
constexpr std::string_view kNoChecksum = "00000000";
constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::size_t kChunk = std::size_t{1} << 20;
constexpr std::uint64_t kMaxHeader = std::uint64_t{1} << 30;

class Crc32 {
 public:
  void Add(std::span<const std::byte> bytes) {
    // zlib counts in unsigned int.
    while (!bytes.empty()) {
      const std::size_t count =
          std::min<std::size_t>(bytes.size(), std::numeric_limits<unsigned>::max());
      value_ =
          crc32(value_, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<unsigned>(count));
      bytes = bytes.subspan(count);
    }
  }
  [[nodiscard]] std::string Digits() const {
    std::array<char, 9> text{};
    std::snprintf(text.data(), text.size(), "%08lx", value_);
    return text.data();
  }

 private:
  unsigned long value_ = crc32(0, nullptr, 0);
};

// Where the eight digits stand in a serialised header; npos when they do not.
std::size_t FindDigits(std::string_view header, std::string_view digits) {
  const std::string quoted = "\"" + std::string(digits) + "\"";
  for (std::size_t key = header.find("\"checksum\""); key != std::string_view::npos;
       key = header.find("\"checksum\"", key + 1)) {
    const std::size_t value = header.find(quoted, key);
    if (value != std::string_view::npos && value - key < 16) return value + 1;
  }
  return std::string_view::npos;
}

std::string SuffixOf(std::int64_t shard, std::int64_t shards) {
  return "-shard-" + std::to_string(shard) + "-of-" + std::to_string(shards) + ".safetensors";
}

std::int64_t ToInt(const std::string& text) {
  std::int64_t value = -1;
  (void)std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The opened file behind its checked header.
struct Opened {
  std::ifstream stream;
  safetensors::Header header;
  std::string header_bytes;  // length and JSON, checksum digits as zeros
  std::string checksum;
};

Result<Opened> OpenFile(const std::string& path) {
  Opened opened;
  opened.stream.open(path, std::ios::binary);
  if (!opened.stream) return NotFound(path + ": cannot be opened");
  std::array<char, 8> length_bytes{};
  std::uint64_t length = 0;
  if (!opened.stream.read(length_bytes.data(), 8)) return Invalid(path + ": truncated");
  std::memcpy(&length, length_bytes.data(), 8);
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error || length > kMaxHeader || size < 8 || length > size - 8) {
    return Invalid(path + ": truncated");
  }
  std::string text(length, '\0');
  if (!opened.stream.read(text.data(), static_cast<std::streamsize>(length))) {
    return Invalid(path + ": truncated");
  }
  Result<safetensors::Header> header = safetensors::ParseHeader(text);
  if (!header.ok()) return header.status().Annotate(path);
  opened.header = *std::move(header);
  if (8 + length + opened.header.data_bytes != size) return Invalid(path + ": truncated");
  const auto metadata = opened.header.metadata.find("checksum");
  if (metadata == opened.header.metadata.end() || metadata->second.size() != kNoChecksum.size()) {
    return Invalid(path + ": has no checksum");
  }
  opened.checksum = metadata->second;
  const std::size_t digits = FindDigits(text, opened.checksum);
  if (digits == std::string::npos) return Invalid(path + ": has no checksum");
  text.replace(digits, kNoChecksum.size(), kNoChecksum);
  opened.header_bytes = std::string(length_bytes.data(), 8) + text;
  return opened;
}

// Puts a tensor where its name says; false for a name that no checkpoint has.
bool TakeTensor(Checkpoint& checkpoint, std::string_view name, SharedFloats floats) {
  constexpr std::string_view kSlot = "slot/";
  constexpr std::string_view kEpoch = "epoch/";
  SharedFloats* parameters = &checkpoint.parameters;
  std::vector<SharedFloats>* slots = &checkpoint.slots;
  const bool kept = name.starts_with(kEpoch);
  if (kept) {
    name.remove_prefix(kEpoch.size());
    const std::size_t slash = std::min(name.find('/'), name.size());
    const auto model = checkpoint.kept.find(ToInt(std::string(name.substr(0, slash))));
    if (model == checkpoint.kept.end() || slash == name.size()) return false;
    name.remove_prefix(slash + 1);
    parameters = &model->second.parameters;
    slots = &model->second.slots;
  }
  if (name == "parameters") {
    *parameters = std::move(floats);
  } else if (name.starts_with(kSlot)) {
    slots->push_back(std::move(floats));
    if (!kept) checkpoint.slot_names.emplace_back(name.substr(kSlot.size()));
  } else {
    return false;
  }
  return true;
}

Status CheckWhole(const std::string& path) {
  ELEPHAS_ASSIGN_OR_RETURN(Opened opened, OpenFile(path));
  Crc32 crc;
  crc.Add(std::as_bytes(std::span(opened.header_bytes)));
  std::vector<char> chunk(kChunk);
  while (opened.stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) ||
         opened.stream.gcount() > 0) {
    crc.Add(
        std::as_bytes(std::span(chunk).first(static_cast<std::size_t>(opened.stream.gcount()))));
  }
  if (crc.Digits() != opened.checksum) return Invalid(path + ": its checksum does not match");
  return OkStatus();
}

}  // namespace

CheckpointFolder::CheckpointFolder(std::string folder, std::string uid, std::int64_t shard,
                                   std::int64_t shards)
    : folder_(std::move(folder)), uid_(std::move(uid)), shard_(shard), shards_(shards) {}

Result<CheckpointFolder> CheckpointFolder::Open(std::string folder, std::string uid,
                                                std::int64_t shard, std::int64_t shards) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return Internal("checkpoint folder " + folder + ": " + error.message());
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return Internal("checkpoint folder " + folder + ": " + std::strerror(errno));
  }
  CheckpointFolder opened(std::move(folder), std::move(uid), shard, shards);
  opened.RemoveUnfinished();
  return opened;
}

void CheckpointFolder::RemoveUnfinished() const {
  // As AtomicFile names them: ".<name>.<unique>.tmp".
  const std::string ours = SuffixOf(shard_, shards_) + ".";
  std::vector<fs::path> unfinished;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("." + std::string(kPrefix)) && name.ends_with(".tmp") &&
        name.find(ours) != std::string::npos) {
      unfinished.push_back(it->path());
    }
  }
  for (const fs::path& path : unfinished) fs::remove(path, error);
}

std::string CheckpointFolder::Path(std::int64_t cut) const {
  std::array<char, 96> name{};
  std::snprintf(name.data(), name.size(), "checkpoint-%08lld-shard-%lld-of-%lld.safetensors",
                static_cast<long long>(cut), static_cast<long long>(shard_),
                static_cast<long long>(shards_));
  return (fs::path(folder_) / name.data()).string();
}

std::vector<CheckpointFolder::Entry> CheckpointFolder::Entries() const {
  const std::string suffix = SuffixOf(shard_, shards_);
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) continue;
    if (name.size() < kPrefix.size() + suffix.size()) continue;
    const std::string digits =
        name.substr(kPrefix.size(), name.size() - kPrefix.size() - suffix.size());
    if (digits.empty() ||
        !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) {
      continue;
    }
    const std::int64_t cut = ToInt(digits);
    if (cut >= 0) entries.push_back({cut, it->path().string()});
  }
  std::ranges::sort(entries, {}, &Entry::cut);
  return entries;
}

std::vector<std::int64_t> CheckpointFolder::WholeCuts(
    const std::function<void(const std::string&)>& warn) const {
  std::vector<std::int64_t> cuts;
  for (const Entry& entry : Entries()) {
    Result<Opened> opened = OpenFile(entry.path);
    if (opened.ok() && !uid_.empty() && opened->header.metadata["uid"] != uid_) continue;
    const Status whole = opened.ok() ? CheckWhole(entry.path) : opened.status();
    if (whole.ok()) {
      cuts.push_back(entry.cut);
    } else {
      warn(whole.message());
    }
  }
  return cuts;
}

Result<Checkpoint> CheckpointFolder::Load(std::int64_t cut, BufferPool& pool) const {
  const std::string path = Path(cut);
  ELEPHAS_RETURN_IF_ERROR(CheckWhole(path));
  ELEPHAS_ASSIGN_OR_RETURN(Opened opened, OpenFile(path));
  auto& metadata = opened.header.metadata;
  if (metadata["format"] != kFormat) return Invalid(path + ": not a checkpoint of this version");

  Checkpoint checkpoint;
  checkpoint.uid = metadata["uid"];
  checkpoint.cut = ToInt(metadata["cut"]);
  checkpoint.version = Version(ToInt(metadata["version"]));
  checkpoint.iterations = ToInt(metadata["iterations"]);
  checkpoint.incarnation = Incarnation(ToInt(metadata["incarnation"]));
  const std::string& seed = metadata["seed"];
  (void)std::from_chars(seed.data(), seed.data() + seed.size(), checkpoint.seed);
  checkpoint.layout = json::parse(metadata["layout"], nullptr, false);
  checkpoint.plan = json::parse(metadata["plan"], nullptr, false);
  checkpoint.ledger = json::parse(metadata["ledger"], nullptr, false);
  checkpoint.callbacks =
      json::parse(metadata.contains("callbacks") ? metadata["callbacks"] : "null", nullptr, false);
  const json kept =
      json::parse(metadata.contains("kept") ? metadata["kept"] : "{}", nullptr, false);
  if (checkpoint.layout.is_discarded() || checkpoint.plan.is_discarded() ||
      checkpoint.ledger.is_discarded() || checkpoint.callbacks.is_discarded() ||
      !kept.is_object()) {
    return Invalid(path + ": its metadata is not JSON");
  }
  for (const auto& [epoch, iterations] : kept.items()) {
    if (!iterations.is_number_integer()) return Invalid(path + ": its metadata is broken");
    checkpoint.kept[ToInt(epoch)].iterations = iterations.get<std::int64_t>();
  }
  for (const safetensors::TensorInfo& tensor : opened.header.tensors) {
    if (tensor.dtype != "F32") return Invalid(path + ": tensor '" + tensor.name + "' is not F32");
    std::shared_ptr<FloatBuffer> buffer =
        pool.Acquire(static_cast<std::int64_t>((tensor.end - tensor.begin) / sizeof(float)));
    if (!buffer) return Internal(path + ": out of memory");
    const auto bytes = std::as_writable_bytes(buffer->floats());
    if (!opened.stream.read(reinterpret_cast<char*>(bytes.data()),
                            static_cast<std::streamsize>(bytes.size()))) {
      return Invalid(path + ": truncated");
    }
    if (!TakeTensor(checkpoint, tensor.name, std::move(buffer))) {
      return Invalid(path + ": unknown tensor '" + tensor.name + "'");
    }
  }
  if (!checkpoint.parameters) return Invalid(path + ": has no parameters");
  for (const auto& [epoch, model] : checkpoint.kept) {
    if (!model.parameters) {
      return Invalid(path + ": has no parameters of epoch " + std::to_string(epoch));
    }
  }
  return checkpoint;
}

Result<std::uint64_t> CheckpointFolder::Save(const Checkpoint& checkpoint,
                                             std::int64_t keep) const {
  json kept = json::object();
  for (const auto& [epoch, model] : checkpoint.kept) {
    kept[std::to_string(epoch)] = model.iterations;
  }
  const std::map<std::string, std::string> metadata{
      {"format", std::string(kFormat)},
      {"uid", checkpoint.uid},
      {"cut", std::to_string(checkpoint.cut)},
      {"version", std::to_string(checkpoint.version.value())},
      {"iterations", std::to_string(checkpoint.iterations)},
      {"incarnation", std::to_string(checkpoint.incarnation.value())},
      {"seed", std::to_string(checkpoint.seed)},
      {"layout", checkpoint.layout.dump()},
      {"plan", checkpoint.plan.dump()},
      {"ledger", checkpoint.ledger.dump()},
      {"callbacks", checkpoint.callbacks.dump()},
      {"kept", kept.dump()},
      {"checksum", std::string(kNoChecksum)},
  };
  const auto describe = [](std::string name, const SharedFloats& floats) {
    return safetensors::TensorInfo{
        std::move(name), "F32", {static_cast<std::int64_t>(floats->floats().size())}, 0, 0};
  };
  std::vector<safetensors::TensorInfo> tensors{describe("parameters", checkpoint.parameters)};
  std::vector<std::span<const std::byte>> data{std::as_bytes(checkpoint.parameters->floats())};
  for (std::size_t i = 0; i < checkpoint.slots.size(); ++i) {
    tensors.push_back(describe("slot/" + checkpoint.slot_names[i], checkpoint.slots[i]));
    data.push_back(std::as_bytes(checkpoint.slots[i]->floats()));
  }
  for (const auto& [epoch, model] : checkpoint.kept) {
    const std::string prefix = "epoch/" + std::to_string(epoch) + "/";
    tensors.push_back(describe(prefix + "parameters", model.parameters));
    data.push_back(std::as_bytes(model.parameters->floats()));
    for (std::size_t i = 0; i < model.slots.size(); ++i) {
      tensors.push_back(describe(prefix + "slot/" + checkpoint.slot_names[i], model.slots[i]));
      data.push_back(std::as_bytes(model.slots[i]->floats()));
    }
  }
  std::string header = safetensors::SerializeHeader(metadata, tensors);
  Crc32 crc;
  crc.Add(std::as_bytes(std::span(header)));
  for (const auto& bytes : data) crc.Add(bytes);
  const std::size_t digits = FindDigits(header, kNoChecksum);
  if (digits == std::string::npos) return Internal("checkpoint: the header lost its checksum");
  header.replace(digits, kNoChecksum.size(), crc.Digits());

  ELEPHAS_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(Path(checkpoint.cut)));
  ELEPHAS_RETURN_IF_ERROR(file.Write(header));
  std::uint64_t size = header.size();
  for (const auto& bytes : data) {
    ELEPHAS_RETURN_IF_ERROR(file.Write(bytes));
    size += bytes.size();
  }
  ELEPHAS_RETURN_IF_ERROR(file.Commit());

  std::vector<Entry> ours;
  for (Entry& entry : Entries()) {
    Result<Opened> opened = OpenFile(entry.path);
    if (opened.ok() && opened->header.metadata["uid"] == checkpoint.uid &&
        entry.cut <= checkpoint.cut) {
      ours.push_back(std::move(entry));
    } else {
      std::error_code ignored;  // a file that stays costs disk, nothing else
      fs::remove(entry.path, ignored);
    }
  }
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep) < ours.size(); ++i) {
    std::error_code ignored;
    fs::remove(ours[i].path, ignored);
  }
  return size;
}

void CheckpointFolder::RemoveAfter(std::int64_t cut, const std::string& uid) const {
  for (const Entry& entry : Entries()) {
    if (entry.cut <= cut) continue;
    Result<Opened> opened = OpenFile(entry.path);
    if (!opened.ok() || opened->header.metadata["uid"] != uid) continue;
    std::error_code ignored;  // it stays behind; the next Save() removes it
    fs::remove(entry.path, ignored);
  }
}

}  // namespace elephas
