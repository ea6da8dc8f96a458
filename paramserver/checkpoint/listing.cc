#include "paramserver/checkpoint/listing.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <tuple>

#include "common/base/atomic_file.h"

namespace elephas {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kCheckpoint = "checkpoint-";
constexpr std::string_view kIncarnation = "incarnation-";
constexpr std::uint64_t kMaxClaim = 1 << 16;

std::string ShardOf(std::int64_t shard, std::int64_t shards) {
  std::string text("-shard-");
  text.append(std::to_string(shard)).append("-of-").append(std::to_string(shards));
  return text;
}

// Takes `prefix` off; false when `text` does not begin so.
bool Skip(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Takes decimal digits off; false when there are none or too many.
bool TakeNumber(std::string_view& text, std::int64_t& value) {
  if (text.empty() || text.front() == '-') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

template <typename Visit>
void ForEachName(const std::string& folder, Visit&& visit) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    visit(it->path().filename().string(), it->path().string());
  }
}

std::int64_t IntIn(const json& object, const char* name, std::int64_t fallback) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>()
                                                             : fallback;
}

std::string TextIn(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// One whose content cannot be read (it was cut off where files cannot appear whole) still fences.
IncarnationClaim ReadClaim(Incarnation incarnation, const std::string& path) {
  IncarnationClaim claim{.incarnation = incarnation, .path = path};
  const Result<std::string> text = ReadWholeFile(path, kMaxClaim);
  const json content = text.ok() ? json::parse(*text, nullptr, /*allow_exceptions=*/false) : json();
  if (!content.is_object()) return claim;
  if (const std::int64_t after = IntIn(content, "after", -1); after >= 0) claim.after = after;
  claim.run = TextIn(content, "run");
  claim.run_cut = IntIn(content, "runCut", 0);
  claim.host = TextIn(content, "host");
  claim.owner = TextIn(content, "owner");
  return claim;
}

std::string HostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace

std::string CheckpointName(std::int64_t cut, Incarnation incarnation, std::int64_t shard,
                           std::int64_t shards) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%08lld", static_cast<long long>(cut));
  std::string name(kCheckpoint);
  name.append(digits.data()).append("-").append(kIncarnation);
  name.append(std::to_string(incarnation.value())).append(ShardOf(shard, shards));
  return name.append(".safetensors");
}

ShardListing ListShard(const std::string& folder, std::int64_t shard, std::int64_t shards) {
  const std::string of_shard = ShardOf(shard, shards);
  const std::string checkpoint_end = of_shard + ".safetensors", claim_end = of_shard + ".json";
  ShardListing listing;
  ForEachName(folder, [&](const std::string& name, const std::string& path) {
    std::string_view text = name;
    std::int64_t cut = 0, incarnation = 0;
    if (Skip(text, kCheckpoint)) {
      if (TakeNumber(text, cut) && Skip(text, "-") && Skip(text, kIncarnation) &&
          TakeNumber(text, incarnation) && text == checkpoint_end) {
        listing.files.push_back({cut, Incarnation(incarnation), path});
      }
    } else if (Skip(text, kIncarnation) && TakeNumber(text, incarnation) && text == claim_end) {
      listing.claims.push_back(ReadClaim(Incarnation(incarnation), path));
    }
  });
  std::ranges::sort(listing.files, [](const CheckpointFile& a, const CheckpointFile& b) {
    return std::tuple(a.cut, a.incarnation) < std::tuple(b.cut, b.incarnation);
  });
  std::ranges::sort(listing.claims, {}, &IncarnationClaim::incarnation);
  return listing;
}

std::vector<CheckpointFile> CountingFiles(std::vector<CheckpointFile> files,
                                          const std::vector<IncarnationClaim>& claims) {
  std::erase_if(files, [&](const CheckpointFile& file) {
    return std::ranges::any_of(claims, [&](const IncarnationClaim& claim) {
      return claim.incarnation > file.incarnation && claim.after && *claim.after < file.cut;
    });
  });
  std::ranges::stable_sort(files, [](const CheckpointFile& a, const CheckpointFile& b) {
    return std::tuple(a.cut, b.incarnation) < std::tuple(b.cut, a.incarnation);
  });
  const auto repeated = std::ranges::unique(files, {}, &CheckpointFile::cut);
  files.erase(repeated.begin(), repeated.end());
  return files;
}

std::vector<IncarnationClaim> SpentClaims(const std::vector<IncarnationClaim>& claims) {
  std::vector<IncarnationClaim> spent;
  for (const IncarnationClaim& claim : claims) {
    const bool covered = std::ranges::any_of(claims, [&](const IncarnationClaim& newer) {
      return newer.incarnation > claim.incarnation &&
             (!claim.after || (newer.after && *newer.after <= *claim.after));
    });
    if (covered) spent.push_back(claim);
  }
  return spent;
}

Result<bool> WriteClaim(const std::string& folder, std::int64_t shard, std::int64_t shards,
                        const IncarnationClaim& claim) {
  json content{{"incarnation", claim.incarnation.value()}, {"host", HostName()}};
  if (!claim.owner.empty()) content["owner"] = claim.owner;
  if (claim.after) content["after"] = *claim.after;
  if (!claim.run.empty()) {
    content["run"] = claim.run;
    content["runCut"] = claim.run_cut;
  }
  std::string name(kIncarnation);
  name.append(std::to_string(claim.incarnation.value())).append(ShardOf(shard, shards));
  name.append(".json");
  return CreateWholeFile((fs::path(folder) / name).string(),
                         content.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

std::vector<CheckpointFile> ListFlat(const std::string& folder, std::int64_t shard,
                                     std::int64_t shards) {
  const std::string end = ShardOf(shard, shards) + ".safetensors";
  std::vector<CheckpointFile> files;
  ForEachName(folder, [&](const std::string& name, const std::string& path) {
    std::string_view text = name;
    std::int64_t cut = 0;
    if (Skip(text, kCheckpoint) && TakeNumber(text, cut) && text == end) {
      files.push_back({cut, Incarnation(0), path});
    }
  });
  std::ranges::sort(files, {}, &CheckpointFile::cut);
  return files;
}

}  // namespace elephas
