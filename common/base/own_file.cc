#include "common/base/own_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace elephas {

Result<int> OpenOwnFile(const std::string& path, int flags, mode_t mode) {
  // A pipe without a reader must not be waited for. What it truncates it has looked at before.
  const bool truncate = (flags & O_TRUNC) != 0;
  int fd = -1;
  do {
    fd = ::open(path.c_str(), (flags & ~O_TRUNC) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0 && errno == ELOOP) return Invalid(path + ": is a link, and is not followed");
  if (fd < 0) return Internal(path + ": " + std::strerror(errno));
  struct stat info{};
  Status status;
  if (::fstat(fd, &info) != 0) {
    status = Internal(path + ": " + std::strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    status = Invalid(path + ": is not a file");
  } else if (info.st_nlink > 1) {
    status = Invalid(path + ": is the file of another name, too");
  } else if ((truncate && ::ftruncate(fd, 0) != 0) ||
             ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) != 0) {
    status = Internal(path + ": " + std::strerror(errno));
  }
  if (status.ok()) return fd;
  ::close(fd);
  return status;
}

}  // namespace elephas
