#include "common/base/atomic_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

namespace elephas {

namespace {

Status SystemError(const std::string& path) { return Internal(path + ": " + std::strerror(errno)); }

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// Temporary names are ".<name>.<unique>.tmp"; others look for leftovers by it too.
constexpr std::string_view kTemporarySuffix = ".tmp";

// Hidden, in the same folder (a rename must not cross file systems), and unlike any other writer's:
// process numbers repeat between the pods that share a volume.
Result<std::string> TemporaryName(const std::string& path) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) return SystemError(path);
  std::array<char, 17> hex{};
  std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(random));
  const std::filesystem::path target(path);
  const std::string name =
      "." + target.filename().string() + "." + hex.data() + std::string(kTemporarySuffix);
  return (target.parent_path() / name).string();
}

// ".<name>.<16 digits>.tmp", perhaps with what a library that writes by name appended.
bool IsTemporary(std::string_view name, std::string_view prefix) {
  constexpr std::size_t kDigits = 16;
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return name.find_first_not_of("0123456789abcdef") == kDigits &&
         name.substr(kDigits).starts_with(kTemporarySuffix);
}

// Removes what writers of this file left behind when they were killed. One that writes again within
// the time is alive; should it be slower, its commit fails and nothing else happens.
void RemoveLeftovers(const std::string& path) {
  namespace fs = std::filesystem;
  constexpr std::chrono::minutes kSilence{10};
  const std::string prefix = "." + fs::path(path).filename().string() + ".";
  std::error_code error;
  fs::directory_iterator entry(FolderOf(path), error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!IsTemporary(entry->path().filename().string(), prefix)) continue;
    std::error_code ignored;  // another process may be cleaning up too
    const auto written = entry->last_write_time(ignored);
    if (!ignored && fs::file_time_type::clock::now() - written > kSilence) {
      fs::remove(entry->path(), ignored);
    }
  }
}

int OpenRetrying(const char* path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = ::open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

// What was made, renamed or removed in `folder` survives a crash of the machine.
Status SyncFolder(const std::string& folder) {
  const int fd = OpenRetrying(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return SystemError(folder);
  // Some network file systems do not sync folders and say so with EINVAL.
  const bool durable = ::fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
  const Status status = durable ? OkStatus() : SystemError(folder);
  ::close(fd);
  return status;
}

// Linux transfers at most this much in one call; asking for more than SSIZE_MAX is an error.
constexpr std::size_t kChunk = std::size_t{1} << 30;

}  // namespace

AtomicFile::AtomicFile(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this != &other) {
    Discard();
    path_ = std::move(other.path_);
    temporary_ = std::move(other.temporary_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

AtomicFile::~AtomicFile() { Discard(); }

void AtomicFile::Discard() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
  fd_ = -1;
}

Result<AtomicFile> AtomicFile::Create(std::string path) {
  std::error_code error;
  ELEPHAS_RETURN_IF_ERROR(MakeFolders(FolderOf(path)).status());
  if (std::filesystem::is_directory(path, error)) return Internal(path + ": is a folder");

  RemoveLeftovers(path);
  ELEPHAS_ASSIGN_OR_RETURN(std::string temporary, TemporaryName(path));
  const int fd = OpenRetrying(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL, 0666);
  if (fd < 0) return SystemError(path);
  return AtomicFile(std::move(path), std::move(temporary), fd);
}

Status AtomicFile::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kChunk));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(path_);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return OkStatus();
}

Status AtomicFile::Write(std::string_view text) {
  return Write(std::as_bytes(std::span(text.data(), text.size())));
}

Status AtomicFile::WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n =
        ::pwrite(fd_, bytes.data(), std::min(bytes.size(), kChunk), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(path_);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return OkStatus();
}

Status AtomicFile::Commit() {
  if (fd_ < 0) return Internal(path_ + ": committed twice");
  // A library that writes by name may have replaced the file, so what is there now is synced.
  const int written = OpenRetrying(temporary_.c_str(), O_RDONLY | O_NOFOLLOW);
  if (written < 0) return SystemError(path_);
  const int synced = ::fsync(written);
  const int sync_errno = errno;
  ::close(written);
  errno = sync_errno;
  if (synced != 0) return SystemError(path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return SystemError(path_);
  const int closed = ::close(std::exchange(fd_, -1));
  if (closed != 0) return SystemError(path_);

  return SyncFolder(FolderOf(path_));
}

Result<std::string> ReadWholeFile(const std::string& path, std::uint64_t limit) {
  const int fd = OpenRetrying(path.c_str(), O_RDONLY);
  if (fd < 0) {
    return errno == ENOENT || errno == ENOTDIR ? NotFound(path + ": no such file")
                                               : SystemError(path);
  }
  std::string text;
  struct stat info{};
  Status status;
  if (::fstat(fd, &info) != 0) {
    status = SystemError(path);
  } else if (S_ISREG(info.st_mode)) {
    text.reserve(static_cast<std::size_t>(
        std::min<std::uint64_t>(static_cast<std::uint64_t>(info.st_size), limit)));
  }
  // The size is only a hint: pipes have none, and files grow.
  std::string block(std::size_t{1} << 16, '\0');
  while (status.ok()) {
    const ssize_t n = ::read(fd, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = SystemError(path);
    if (n <= 0) break;
    if (text.size() + static_cast<std::uint64_t>(n) > limit) {
      status = Invalid(path + ": larger than " + std::to_string(limit) + " bytes");
      break;
    }
    text.append(block, 0, static_cast<std::size_t>(n));
  }
  ::close(fd);
  if (!status.ok()) return status;
  return text;
}

Status WriteWholeFile(const std::string& path, std::string_view text) {
  ELEPHAS_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  ELEPHAS_RETURN_IF_ERROR(file.Write(text));
  return file.Commit();
}

Result<std::vector<std::string>> MakeFolders(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<fs::path> missing;
  std::error_code error;
  for (fs::path path = folder; !path.empty() && !fs::exists(path, error);
       path = path.parent_path()) {
    if (error && error != std::errc::no_such_file_or_directory) break;
    missing.push_back(path);
    if (path == path.parent_path()) break;
  }
  std::vector<std::string> made;
  for (auto path = missing.rbegin(); path != missing.rend(); ++path) {
    if (path->filename().empty()) continue;  // "folder/" is "folder"
    if (::mkdir(path->c_str(), 0777) == 0) {
      ELEPHAS_RETURN_IF_ERROR(SyncFolder(FolderOf(path->string())));
      made.push_back(path->string());
    } else if (errno != EEXIST) {
      return SystemError(path->string());
    }
  }
  if (!fs::is_directory(folder, error)) {
    errno = error ? error.value() : ENOTDIR;
    return SystemError(folder);
  }
  return made;
}

namespace {

// Where a file system has no hard links: exclusive too, but a crash may leave the file short.
Result<bool> CreateInPlace(const std::string& path, std::string_view text) {
  const int fd = OpenRetrying(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (fd < 0 && errno == EEXIST) return false;
  if (fd < 0) return SystemError(path);
  Status status;
  while (status.ok() && !text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      status = SystemError(path);
    } else {
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  if (status.ok() && ::fsync(fd) != 0) status = SystemError(path);
  ::close(fd);
  if (status.ok()) status = SyncFolder(FolderOf(path));
  if (!status.ok()) return status;
  return true;
}

}  // namespace

Result<bool> CreateWholeFile(const std::string& path, std::string_view text) {
  ELEPHAS_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  ELEPHAS_RETURN_IF_ERROR(file.Write(text));
  const int written = OpenRetrying(file.temporary_path().c_str(), O_RDONLY);
  if (written < 0) return SystemError(path);
  const bool synced = ::fsync(written) == 0;
  const Status status = synced ? OkStatus() : SystemError(path);
  ::close(written);
  if (!status.ok()) return status;
  if (::link(file.temporary_path().c_str(), path.c_str()) == 0) {
    ELEPHAS_RETURN_IF_ERROR(SyncFolder(FolderOf(path)));
    return true;
  }
  if (errno == EEXIST) return false;
  if (errno == EPERM || errno == ENOTSUP || errno == ENOSYS || errno == EMLINK) {
    return CreateInPlace(path, text);
  }
  return SystemError(path);
}

}  // namespace elephas
