#include "paramserver/checkpoint/checkpoint.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <span>
#include <string_view>
#include <utility>

#include "common/base/atomic_file.h"
#include "common/protocol/safetensors.h"
#include "common/storage/folder_probe.h"

namespace elephas {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kFormat = "elephas-checkpoint-1";
constexpr std::string_view kNoChecksum = "00000000";
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

// A folder's own name, of what uids are made of.
bool IsFolderName(std::string_view uid) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !uid.empty() && uid.size() <= 128 && uid.front() != '.' &&
         uid.find_first_not_of(kAllowed) == std::string_view::npos;
}

// The incarnations of the checkpoints in a run's folder, whichever servers they are of.
std::vector<Incarnation> AnyCheckpoints(const std::string& folder) {
  constexpr std::string_view kMark = "-incarnation-";
  std::vector<Incarnation> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    const std::size_t mark = name.find(kMark);
    if (!name.starts_with("checkpoint-") || mark == std::string::npos) continue;
    if (!name.ends_with(".safetensors")) continue;
    const std::int64_t number = ToInt(name.substr(mark + kMark.size()));
    if (number > 0) found.emplace_back(number);
  }
  return found;
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

CheckpointFolder::CheckpointFolder(std::string root, std::string uid, std::int64_t shard,
                                   std::int64_t shards)
    : root_(std::move(root)),
      uid_(std::move(uid)),
      folder_((fs::path(root_) / uid_).string()),
      shard_(shard),
      shards_(shards) {}

std::string CheckpointFolder::FolderOf(const std::string& uid) const {
  return (fs::path(root_) / uid).string();
}

Result<CheckpointFolder> CheckpointFolder::Open(std::string root, std::string uid,
                                                std::int64_t shard, std::int64_t shards) {
  if (!IsFolderName(uid)) {
    return Invalid("the uid '" + uid + "' must be 1 to 128 letters, digits, '-', '_' and '.'");
  }
  CheckpointFolder opened(std::move(root), std::move(uid), shard, shards);
  errno = 0;
  std::optional<FolderProblem> problem;
  if (!MakeFolders(opened.folder_).ok()) {
    problem = ProblemOf(opened.folder_, errno == 0 ? EIO : errno);
  } else {
    problem = ProbeFolder(opened.folder_);
  }
  if (problem) {
    std::string message("checkpoint folder ");
    message.append(problem->message);
    return Status(problem->lasting ? Code::kForbidden : Code::kUnavailable, std::move(message));
  }
  opened.RemoveUnfinished();
  std::random_device random;
  for (int i = 0; i < 4; ++i) opened.owner_.append(std::to_string(random())).append(".");
  for (const IncarnationClaim& claim : ListShard(opened.folder_, shard, shards).claims) {
    opened.run_ = claim.run;
    opened.run_cut_ = claim.run_cut;
  }
  return opened;
}

void CheckpointFolder::RemoveUnfinished() const {
  constexpr std::chrono::minutes kSilence{10};
  // As AtomicFile names them: ".<name>.<unique>.tmp".
  std::string ours("-shard-");
  ours.append(std::to_string(shard_)).append("-of-").append(std::to_string(shards_)).append(".");
  std::vector<fs::path> unfinished;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.ends_with(".tmp") || name.find(ours) == std::string::npos) continue;
    // A checkpoint of a process that lives on is one that will not count; a claim may be that of
    // another process that starts at this moment.
    std::error_code gone;
    const bool old = fs::file_time_type::clock::now() - it->last_write_time(gone) > kSilence;
    if (name.starts_with(".checkpoint-") || (name.starts_with(".incarnation-") && !gone && old)) {
      unfinished.push_back(it->path());
    }
  }
  for (const fs::path& path : unfinished) fs::remove(path, error);
}

std::string CheckpointFolder::Path(std::int64_t cut, Incarnation incarnation) const {
  return (fs::path(folder_) / CheckpointName(cut, incarnation, shard_, shards_)).string();
}

// Those that count of one run; of a run from before there were folders, too.
std::vector<CheckpointFile> CheckpointFolder::FilesOf(const std::string& uid) const {
  ShardListing listing = ListShard(FolderOf(uid), shard_, shards_);
  for (CheckpointFile& flat : ListFlat(root_, shard_, shards_)) {
    Result<Opened> opened = OpenFile(flat.path);
    if (!opened.ok() || opened->header.metadata["uid"] != uid) continue;
    flat.incarnation = Incarnation(ToInt(opened->header.metadata["incarnation"]));
    listing.files.push_back(std::move(flat));
  }
  return CountingFiles(std::move(listing.files), listing.claims);
}

std::vector<CheckpointFile> CheckpointFolder::Files() const {
  std::vector<CheckpointFile> files = FilesOf(uid_);
  if (run_.empty()) return files;
  for (CheckpointFile& file : FilesOf(run_)) {
    const bool ours =
        std::ranges::any_of(files, [&](const CheckpointFile& own) { return own.cut == file.cut; });
    if (file.cut <= run_cut_ && !ours) files.push_back(std::move(file));
  }
  std::ranges::sort(files, {}, &CheckpointFile::cut);
  return files;
}

CheckpointFolder::Search CheckpointFolder::Find() const {
  Search search;
  for (const CheckpointFile& file : Files()) {
    const Status whole = CheckWhole(file.path);
    if (whole.ok()) {
      search.whole.push_back(file.cut);
    } else {
      search.broken.push_back(whole.message());
    }
  }
  return search;
}

std::vector<CheckpointFolder::Run> CheckpointFolder::OtherRuns() const {
  std::map<std::string, Run> runs;
  const auto see = [&](const std::string& uid, Incarnation incarnation) {
    if (uid.empty() || uid == uid_) return;
    Run& run = runs[uid];
    run.uid = uid;
    run.newest = std::max(run.newest, incarnation);
  };
  std::error_code error;
  for (fs::directory_iterator it(root_, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (IsFolderName(name) && it->is_directory(ignored)) {
      for (const Incarnation incarnation : AnyCheckpoints(it->path().string())) {
        see(name, incarnation);
      }
    } else if (name.starts_with("checkpoint-") && name.ends_with(".safetensors")) {
      Result<Opened> opened = OpenFile(it->path().string());
      if (!opened.ok()) continue;
      auto& metadata = opened->header.metadata;
      if (IsFolderName(metadata["uid"])) {
        see(metadata["uid"], Incarnation(ToInt(metadata["incarnation"])));
      }
    }
  }
  std::vector<Run> sorted;
  for (auto& [uid, run] : runs) {
    const std::vector<CheckpointFile> files = FilesOf(uid);
    if (!files.empty()) run.cut = files.back().cut;
    sorted.push_back(std::move(run));
  }
  std::ranges::stable_sort(sorted, std::ranges::greater{}, &Run::newest);
  return sorted;
}

void CheckpointFolder::Continue(const std::string& uid, std::int64_t cut) {
  run_ = uid;
  run_cut_ = uid.empty() ? 0 : cut;
}

Incarnation CheckpointFolder::Next() const {
  const ShardListing listing = ListShard(folder_, shard_, shards_);
  Incarnation newest = claimed_;
  for (const IncarnationClaim& claim : listing.claims) {
    newest = std::max(newest, claim.incarnation);
  }
  for (const CheckpointFile& file : listing.files) newest = std::max(newest, file.incarnation);
  for (const CheckpointFile& file : Files()) newest = std::max(newest, file.incarnation);
  return Incarnation(newest.value() + 1);
}

Result<bool> CheckpointFolder::TryClaim(Incarnation incarnation,
                                        std::optional<std::int64_t> after) {
  if (after) run_cut_ = std::min(run_cut_, *after);
  const IncarnationClaim claim{.incarnation = incarnation,
                               .after = after,
                               .run = run_,
                               .run_cut = run_cut_,
                               .owner = owner_};
  ELEPHAS_ASSIGN_OR_RETURN(const bool created, WriteClaim(folder_, shard_, shards_, claim));
  const std::vector<IncarnationClaim> claims = ListShard(folder_, shard_, shards_).claims;
  const auto ours = std::ranges::find(claims, incarnation, &IncarnationClaim::incarnation);
  // One of ours that was made by an earlier try, which failed all the same.
  const bool again = ours != claims.end() && ours->owner == owner_ && ours->after == after;
  if (!(created || again) || claims.back().incarnation > incarnation) return false;
  claimed_ = incarnation;
  for (const IncarnationClaim& spent : SpentClaims(claims)) {
    std::error_code ignored;  // one that stays says what the newer one says
    if (spent.incarnation < incarnation) fs::remove(spent.path, ignored);
  }
  return true;
}

Result<Incarnation> CheckpointFolder::Claim(Incarnation at_least,
                                            std::optional<std::int64_t> after) {
  if (claimed_ != Incarnation(0)) ELEPHAS_RETURN_IF_ERROR(CheckFence(claimed_));
  constexpr int kAttempts = 1000;  // each lost one is a process that started at the same moment
  for (int i = 0; i < kAttempts; ++i) {
    const Incarnation incarnation = std::max(at_least, Next());
    ELEPHAS_ASSIGN_OR_RETURN(const bool ours, TryClaim(incarnation, after));
    if (ours) return incarnation;
  }
  return Unavailable(folder_ + ": other processes of this server start again and again");
}

Status CheckpointFolder::ClaimExactly(Incarnation incarnation, std::int64_t after) {
  ELEPHAS_RETURN_IF_ERROR(CheckFence(claimed_ == Incarnation(0) ? incarnation : claimed_));
  ELEPHAS_ASSIGN_OR_RETURN(const bool ours, TryClaim(incarnation, after));
  if (ours) return OkStatus();
  ELEPHAS_RETURN_IF_ERROR(CheckFence(incarnation));
  return Conflict("incarnation " + std::to_string(incarnation.value()) +
                  " of this server was taken up by another process");
}

Status CheckpointFolder::CheckFence(Incarnation mine) const {
  const std::vector<IncarnationClaim> claims = ListShard(folder_, shard_, shards_).claims;
  if (claims.empty() || claims.back().incarnation <= mine) return OkStatus();
  const IncarnationClaim& newest = claims.back();
  std::string message("incarnation ");
  message.append(std::to_string(newest.incarnation.value())).append(" of server ");
  message.append(std::to_string(shard_)).append(" has taken over");
  if (!newest.host.empty()) message.append(" on host ").append(newest.host);
  message.append("; this one is ").append(std::to_string(mine.value()));
  message.append(" and leaves the checkpoints in ").append(folder_).append(" to it");
  return Conflict(message);
}

Result<Checkpoint> CheckpointFolder::Load(std::int64_t cut, BufferPool& pool) const {
  const std::vector<CheckpointFile> files = Files();
  const auto file = std::ranges::find(files, cut, &CheckpointFile::cut);
  if (file == files.end()) {
    return NotFound(folder_ + ": there is no checkpoint of epoch " + std::to_string(cut));
  }
  const std::string& path = file->path;
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

namespace {

// A file as it will be, without a copy of the numbers: `checkpoint` must outlive it.
struct FileContent {
  std::string header;
  std::vector<std::span<const std::byte>> data;
};

std::map<std::string, std::string> MetadataOf(const Checkpoint& checkpoint) {
  json kept = json::object();
  for (const auto& [epoch, model] : checkpoint.kept) {
    kept[std::to_string(epoch)] = model.iterations;
  }
  return {
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
}

Result<FileContent> ContentOf(const Checkpoint& checkpoint) {
  FileContent content;
  std::vector<safetensors::TensorInfo> tensors;
  const auto add = [&](std::string name, const SharedFloats& floats) {
    const auto size = static_cast<std::int64_t>(floats->floats().size());
    tensors.push_back({std::move(name), "F32", {size}, 0, 0});
    content.data.push_back(std::as_bytes(floats->floats()));
  };
  add("parameters", checkpoint.parameters);
  for (std::size_t i = 0; i < checkpoint.slots.size(); ++i) {
    add("slot/" + checkpoint.slot_names[i], checkpoint.slots[i]);
  }
  for (const auto& [epoch, model] : checkpoint.kept) {
    const std::string prefix = "epoch/" + std::to_string(epoch) + "/";
    add(prefix + "parameters", model.parameters);
    for (std::size_t i = 0; i < model.slots.size(); ++i) {
      add(prefix + "slot/" + checkpoint.slot_names[i], model.slots[i]);
    }
  }
  content.header = safetensors::SerializeHeader(MetadataOf(checkpoint), tensors);
  Crc32 crc;
  crc.Add(std::as_bytes(std::span(content.header)));
  for (const auto& bytes : content.data) crc.Add(bytes);
  const std::size_t digits = FindDigits(content.header, kNoChecksum);
  if (digits == std::string::npos) return Internal("checkpoint: the header lost its checksum");
  content.header.replace(digits, kNoChecksum.size(), crc.Digits());
  return content;
}

}  // namespace

Result<std::uint64_t> CheckpointFolder::Save(const Checkpoint& checkpoint,
                                             std::int64_t keep) const {
  ELEPHAS_ASSIGN_OR_RETURN(const FileContent content, ContentOf(checkpoint));
  const Incarnation mine = checkpoint.incarnation;
  ELEPHAS_RETURN_IF_ERROR(CheckFence(mine));
  ELEPHAS_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(Path(checkpoint.cut, mine)));
  ELEPHAS_RETURN_IF_ERROR(file.Write(content.header));
  std::uint64_t size = content.header.size();
  for (const auto& bytes : content.data) {
    ELEPHAS_RETURN_IF_ERROR(file.Write(bytes));
    size += bytes.size();
  }
  ELEPHAS_RETURN_IF_ERROR(file.Commit());

  // The names say whose they are; what is newer than this is a successor's.
  ELEPHAS_RETURN_IF_ERROR(CheckFence(mine));
  Prune(checkpoint.cut, mine, keep);
  return size;
}

void CheckpointFolder::Prune(std::int64_t cut, Incarnation mine, std::int64_t keep) const {
  const ShardListing listing = ListShard(folder_, shard_, shards_);
  std::vector<CheckpointFile> stay = CountingFiles(listing.files, listing.claims);
  std::erase_if(stay, [&](const CheckpointFile& file) { return file.cut > cut; });
  const auto surplus = static_cast<std::ptrdiff_t>(stay.size()) - static_cast<std::ptrdiff_t>(keep);
  if (surplus > 0) stay.erase(stay.begin(), stay.begin() + surplus);
  for (const CheckpointFile& file : listing.files) {
    const bool stays = std::ranges::any_of(
        stay, [&](const CheckpointFile& other) { return other.path == file.path; });
    std::error_code ignored;  // a file that stays costs disk, nothing else
    if (!stays && file.incarnation <= mine) fs::remove(file.path, ignored);
  }
}

void CheckpointFolder::RemoveGivenUp(Incarnation mine) const {
  const ShardListing listing = ListShard(folder_, shard_, shards_);
  const std::vector<CheckpointFile> counting = CountingFiles(listing.files, listing.claims);
  for (const CheckpointFile& file : listing.files) {
    const bool counts = std::ranges::any_of(
        counting, [&](const CheckpointFile& other) { return other.path == file.path; });
    std::error_code ignored;  // it stays behind; the next Save() removes it
    if (!counts && file.incarnation <= mine) fs::remove(file.path, ignored);
  }
}

}  // namespace elephas
