#include "common/storage/folder_probe.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

namespace elephas {

namespace {

bool IsLasting(int error) {
  constexpr std::array kLasting{EACCES, EPERM,        EROFS, ENOTDIR, ENOSPC,
                                EDQUOT, ENAMETOOLONG, ELOOP, EISDIR,  EEXIST};
  return std::ranges::find(kLasting, error) != kLasting.end();
}

// "user 65532, group 65532, further groups 2000"
std::string WhoAmI() {
  std::string text = "user " + std::to_string(::geteuid());
  text.append(", group ").append(std::to_string(::getegid()));
  const int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(count, 0)));
  if (count > 0 && ::getgroups(count, groups.data()) == count) {
    const char* separator = ", further groups ";
    for (const gid_t group : groups) {
      if (group == ::getegid()) continue;
      text.append(separator).append(std::to_string(group));
      separator = " ";
    }
  }
  return text;
}

// "; it belongs to user 0, group 0, mode 755", of what exists of the path.
std::string Owner(const std::string& folder) {
  namespace fs = std::filesystem;
  struct stat info{};
  fs::path path = folder;
  while (::stat(path.c_str(), &info) != 0) {
    if (path.empty() || path == path.parent_path()) return "";
    path = path.parent_path();
  }
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%03o", static_cast<unsigned>(info.st_mode & 07777U));
  std::string text = path == folder ? "; it" : "; " + path.string();
  text.append(" belongs to user ").append(std::to_string(info.st_uid));
  text.append(", group ").append(std::to_string(info.st_gid));
  text.append(", mode ").append(mode.data());
  return text;
}

// 0 or the errno of what failed.
int WriteProbe(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return errno;
  constexpr std::string_view kText = "elephas looks whether it can write here\n";
  int error = 0;
  const ssize_t written = ::write(fd, kText.data(), kText.size());
  if (written < 0) error = errno;
  if (error == 0 && static_cast<std::size_t>(written) < kText.size()) error = ENOSPC;
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (::unlink(path.c_str()) != 0 && error == 0) error = errno;
  return error;
}

}  // namespace

FolderProblem ProblemOf(const std::string& folder, int error) {
  std::string message = folder;
  message.append(" cannot be written: ").append(std::strerror(error));
  message.append(" (this process is ").append(WhoAmI()).append(Owner(folder)).append(")");
  return {IsLasting(error), std::move(message)};
}

std::optional<FolderProblem> ProbeFolder(const std::string& folder) {
  // Process numbers repeat between the pods that share a volume.
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) return ProblemOf(folder, errno);
  std::array<char, 17> hex{};
  std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(random));
  std::string path = folder;
  path.append("/.elephas-write-check.").append(hex.data()).append(".tmp");
  const int error = WriteProbe(path);
  if (error != 0) return ProblemOf(folder, error);
  return std::nullopt;
}

std::string WayOut(const std::string& pod_template, const std::string& uri_field) {
  std::string text = "on a cluster set ";
  text.append(pod_template).append(".spec.securityContext.fsGroup to a group that may write the ");
  text.append("volume, mount a subPath that the pods' user owns, or name another path in ");
  text.append(uri_field);
  return text;
}

}  // namespace elephas
