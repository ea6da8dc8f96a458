#include "worker/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace elephas {

Result<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return NotFound(path + ": no such file");
    return Internal(path + ": " + std::strerror(errno));
  }
  struct stat info{};
  Status status;
  void* address = nullptr;
  std::size_t size = 0;
  if (::fstat(fd, &info) != 0) {
    status = Internal(path + ": " + std::strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    status = Invalid(path + ": is not a file");
  } else if (info.st_size > 0) {  // an empty mapping is an error to mmap
    size = static_cast<std::size_t>(info.st_size);
    address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) status = Internal(path + ": " + std::strerror(errno));
  }
  ::close(fd);
  if (!status.ok()) return status;
  return std::shared_ptr<const MappedFile>(
      new MappedFile({static_cast<const std::byte*>(address), size}));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

}  // namespace elephas
