#include "common/storage/output_claim.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "common/base/atomic_file.h"
#include "common/base/log.h"
#include "common/storage/folder_probe.h"

namespace elephas {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::string_view kPrefix = ".elephas-owner-";
constexpr std::string_view kSuffix = ".json";
constexpr std::uint64_t kMaxBytes = 1 << 16;
constexpr milliseconds kLookAgain{50};

// Changes when the machine starts again; the same in all of its containers.
std::string BootId() {
  Result<std::string> text = ReadWholeFile("/proc/sys/kernel/random/boot_id", 128);
  if (!text.ok()) return "";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

std::string HostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

struct Marker {
  std::int64_t number = 0;
  std::string path;
};

// The number of a claim's file name; nullopt for all other names.
std::optional<std::int64_t> NumberOf(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(std::min(name.size(), kSuffix.size()));
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number < 1) return std::nullopt;
  return number;
}

// In no order.
std::vector<Marker> MarkersIn(const std::string& folder) {
  std::vector<Marker> markers;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (const auto number = NumberOf(it->path().filename().string())) {
      markers.push_back({*number, it->path().string()});
    }
  }
  return markers;
}

std::optional<Marker> HighestIn(const std::string& folder) {
  std::optional<Marker> highest;
  for (Marker& marker : MarkersIn(folder)) {
    if (!highest || marker.number > highest->number) highest = std::move(marker);
  }
  return highest;
}

std::string PathOf(const std::string& folder, std::int64_t number) {
  std::string name(kPrefix);
  name.append(std::to_string(number)).append(kSuffix);
  return (fs::path(folder) / name).string();
}

std::string TextIn(const json& object, const char* field) {
  const auto found = object.is_object() ? object.find(field) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What a claim says; null when it is gone or (for a moment, or for good after a crash) unreadable.
json ContentOf(const std::string& path) {
  const Result<std::string> text = ReadWholeFile(path, kMaxBytes);
  if (!text.ok()) return nullptr;
  return json::parse(*text, nullptr, /*allow_exceptions=*/false);
}

// "job 'digits' of namespace 'ml' (uid 1234, on host node-1)"
std::string Describe(const json& content) {
  const std::string name = TextIn(content, "name");
  if (name.empty()) return "another job";
  std::string text = "job '" + name + "'";
  const std::string name_space = TextIn(content, "namespace");
  if (!name_space.empty()) text.append(" of namespace '").append(name_space).append("'");
  text.append(" (uid ").append(TextIn(content, "uid"));
  text.append(", on host ").append(TextIn(content, "host")).append(")");
  return text;
}

int OpenMarker(const std::string& path) {
  constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  const int fd = ::open(path.c_str(), O_RDWR | kFlags);
  return fd >= 0 || errno != EACCES ? fd : ::open(path.c_str(), O_RDONLY | kFlags);
}

// Is this open file still the one of that name?
bool IsAt(int fd, const std::string& path) {
  struct stat open{}, named{};
  return ::fstat(fd, &open) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

// The time of the file's server, so that its clock and ours need not agree.
std::optional<timespec> TimeOf(const std::string& folder) {
  Result<AtomicFile> file = AtomicFile::Create(folder + "/" + std::string(kPrefix) + "time");
  struct stat info{};
  if (!file.ok() || ::stat(file->temporary_path().c_str(), &info) != 0) return std::nullopt;
  return info.st_mtim;
}

// Does a process hold the claim? `content` is what it says.
bool IsHeld(const std::string& folder, const std::string& path, const json& content,
            const OutputClaimOptions& options) {
  const int fd = OpenMarker(path);
  if (fd < 0) return errno != ENOENT;
  const bool free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  const bool locked = !free && errno == EWOULDBLOCK;
  struct stat info{};
  const bool known = ::fstat(fd, &info) == 0;
  ::close(fd);
  if (locked) return true;
  const std::string boot = TextIn(content, "boot");
  if (free && !boot.empty() && boot == BootId()) return false;
  const std::optional<timespec> now = TimeOf(folder);
  if (!known || !now) return true;
  const auto seconds = std::chrono::seconds(now->tv_sec - info.st_mtim.tv_sec);
  return seconds < options.silence;
}

Status Taken(const std::string& folder, const json& content) {
  std::string message = folder;
  message.append(" is being written by ").append(Describe(content));
  message.append("; wait until it is over, delete it, or name another folder in spec.output.uri");
  return Conflict(message);
}

// Makes the claim's file, locked from the moment it has its name. -1: something has that name.
Result<int> Create(const std::string& folder, const std::string& path, const std::string& text) {
  ELEPHAS_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  ELEPHAS_RETURN_IF_ERROR(file.Write(text));
  const int fd = ::open(file.temporary_path().c_str(), O_RDWR | O_CLOEXEC);
  const auto fail = [&]() -> Status {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    FolderProblem problem = ProblemOf(folder, error);
    return {problem.lasting ? Code::kForbidden : Code::kUnavailable, std::move(problem.message)};
  };
  if (fd < 0) return fail();
  (void)::flock(fd, LOCK_SH);  // where there are no locks the time of change says enough
  if (::fsync(fd) != 0) return fail();
  if (::link(file.temporary_path().c_str(), path.c_str()) == 0) return fd;
  if (errno == EEXIST) {
    ::close(fd);
    return -1;
  }
  if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS) return fail();
  // No hard links here: exclusive too, only that for a moment the file is there and says nothing.
  ::close(fd);
  ELEPHAS_ASSIGN_OR_RETURN(const bool made, CreateWholeFile(path, text));
  if (!made) return -1;
  const int again = OpenMarker(path);
  if (again < 0) return fail();
  (void)::flock(again, LOCK_SH);
  return again;
}

// Another machine's processes hold the claim too: from now on no lock says that nobody does.
void SayHeldBySeveral(int fd, json content) {
  if (TextIn(content, "boot").empty() || TextIn(content, "boot") == BootId()) return;
  content["boot"] = "";
  const std::string text = content.dump();
  if (::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) {
    (void)::ftruncate(fd, static_cast<off_t>(text.size()));
  }
}

// Only empty folders go, the innermost first.
void RemoveFolders(const json& made) {
  if (!made.is_array()) return;
  for (auto folder = made.rbegin(); folder != made.rend(); ++folder) {
    if (!folder->is_string()) continue;
    if (::rmdir(folder->get_ref<const std::string&>().c_str()) != 0) return;
  }
}

Result<std::vector<std::string>> MakeWritable(const std::string& folder) {
  errno = 0;
  Result<std::vector<std::string>> made = MakeFolders(folder);
  std::optional<FolderProblem> problem;
  if (!made.ok()) {
    problem = ProblemOf(folder, errno == 0 ? EIO : errno);
  } else {
    problem = ProbeFolder(folder);
  }
  if (!problem) return made;
  if (made.ok()) RemoveFolders(json(*made));
  return Status(problem->lasting ? Code::kForbidden : Code::kUnavailable,
                std::move(problem->message));
}

}  // namespace

OutputClaim::OutputClaim(OutputClaim&& other) noexcept
    : folder_(std::move(other.folder_)),
      uid_(std::move(other.uid_)),
      path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)) {}

OutputClaim& OutputClaim::operator=(OutputClaim&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(uid_, other.uid_);
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

OutputClaim::~OutputClaim() {
  if (fd_ >= 0) ::close(fd_);
}

Result<OutputClaim> OutputClaim::Take(const std::string& folder, const OutputOwner& owner,
                                      const OutputClaimOptions& options) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::vector<std::string> made, MakeWritable(folder));
  const std::string text =
      json{{"uid", owner.uid},   {"name", owner.name}, {"namespace", owner.name_space},
           {"host", HostName()}, {"boot", BootId()},   {"made", made}}
          .dump(-1, ' ', false, json::error_handler_t::replace);
  const auto give_up = std::chrono::steady_clock::now() + options.patience;
  bool waits = false;
  for (;;) {
    const std::optional<Marker> highest = HighestIn(folder);
    const json content = highest ? ContentOf(highest->path) : json();
    if (highest && TextIn(content, "uid") == owner.uid) {
      const int fd = OpenMarker(highest->path);
      if (fd < 0) continue;  // it was just removed
      (void)::flock(fd, LOCK_SH);
      if (!IsAt(fd, highest->path)) {
        ::close(fd);
        continue;
      }
      SayHeldBySeveral(fd, content);
      return OutputClaim(folder, owner.uid, highest->path, fd);
    }
    if (highest && IsHeld(folder, highest->path, content, options)) {
      if (std::chrono::steady_clock::now() >= give_up) return Taken(folder, content);
      if (!std::exchange(waits, true)) {
        LogInfo("waiting for the output folder",
                {{"path", folder}, {"message", "it is being written by " + Describe(content)}});
      }
      std::this_thread::sleep_for(kLookAgain);
      continue;
    }
    const std::string path = PathOf(folder, highest ? highest->number + 1 : 1);
    Result<int> fd = Create(folder, path, text);
    if (!fd.ok()) {
      RemoveFolders(json(made));
      return fd.status();
    }
    if (*fd < 0) continue;
    for (const Marker& marker : MarkersIn(folder)) {
      if (highest && marker.number <= highest->number) ::unlink(marker.path.c_str());
    }
    return OutputClaim(folder, owner.uid, path, *fd);
  }
}

Status OutputClaim::Refresh() {
  const std::optional<Marker> highest = HighestIn(folder_);
  if (highest && highest->path != path_) {
    const json content = ContentOf(highest->path);
    if (TextIn(content, "uid") != uid_) return Taken(folder_, content);
  }
  if (!highest || !IsAt(fd_, path_)) return NotFound(path_ + " was removed");
  if (::futimens(fd_, nullptr) == 0) return OkStatus();
  const FolderProblem problem = ProblemOf(folder_, errno);
  return Unavailable(problem.message);
}

void OutputClaim::Release() {
  if (fd_ < 0) return;
  Remove(folder_, uid_);
  ::close(std::exchange(fd_, -1));
}

void OutputClaim::Remove(const std::string& folder, const std::string& uid) {
  for (const Marker& marker : MarkersIn(folder)) {
    const json content = ContentOf(marker.path);
    if (TextIn(content, "uid") != uid || ::unlink(marker.path.c_str()) != 0) continue;
    RemoveFolders(content.value("made", json()));
  }
}

}  // namespace elephas
