#include "worker/files/npy_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "common/base/atomic_file.h"
#include "common/base/own_file.h"
#include "common/storage/hidden_rows.h"

namespace elephas {

static_assert(std::endian::native == std::endian::little, "floats are written as they lie");

namespace {

Status SystemError(const std::string& path, int error) {
  return Internal(path + ": " + std::strerror(error));
}

std::uint64_t RowFloats(const std::vector<std::int64_t>& shape) {
  std::uint64_t product = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) product *= static_cast<std::uint64_t>(shape[i]);
  return product;
}

Status WriteAt(int fd, const std::string& path, std::uint64_t offset,
               std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), std::min<std::size_t>(bytes.size(), 1 << 30),
                               static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return OkStatus();
}

// Every process does the same here, so it does not matter who is first.
Status Prepare(int fd, const std::string& path, const std::string& header, std::uint64_t size) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return SystemError(path, errno);
  const auto present = static_cast<std::uint64_t>(info.st_size);
  if (present > 0) {
    std::string found(header.size(), '\0');
    const ssize_t n = ::pread(fd, found.data(), found.size(), 0);
    if (n < 0) return SystemError(path, errno);
    // Zeros: another process has made the space and not yet written the header.
    const bool blank = found.find_first_not_of('\0') == std::string::npos;
    if (present > size || (!blank && n == static_cast<ssize_t>(found.size()) && found != header)) {
      return Conflict(path + ": holds an array of another shape");
    }
  }
  if (present < size) {
    const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(size));
    // Some file systems cannot allocate; there a full disk shows when rows are written.
    if (error == EOPNOTSUPP || error == EINVAL) {
      if (::ftruncate(fd, static_cast<off_t>(size)) != 0) return SystemError(path, errno);
    } else if (error != 0) {
      return SystemError(path, error);
    }
  }
  return WriteAt(fd, path, 0, std::as_bytes(std::span(header)));
}

}  // namespace

std::string NpyHeader(const std::vector<std::int64_t>& shape) {
  std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    dict += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  dict += shape.size() == 1 ? ",), }" : "), }";
  constexpr std::size_t kBeforeDict = 10;
  const std::size_t padded = (kBeforeDict + dict.size() + 1 + 63) / 64 * 64;
  dict.resize(padded - kBeforeDict - 1, ' ');
  dict += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(dict.size() & 0xFF);
  out += static_cast<char>(dict.size() >> 8);
  return out + dict;
}

Status WriteNpy(const std::string& path, const std::vector<std::int64_t>& shape,
                std::span<const float> values) {
  ELEPHAS_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  ELEPHAS_RETURN_IF_ERROR(file.Write(NpyHeader(shape)));
  ELEPHAS_RETURN_IF_ERROR(file.Write(std::as_bytes(values)));
  return file.Commit();
}

NpyRowFile::NpyRowFile(std::string path, std::vector<std::int64_t> shape, int fd)
    : path_(std::move(path)), shape_(std::move(shape)), fd_(fd) {}

NpyRowFile::NpyRowFile(NpyRowFile&& other) noexcept
    : path_(std::move(other.path_)),
      shape_(std::move(other.shape_)),
      data_offset_(other.data_offset_),
      fd_(std::exchange(other.fd_, -1)) {}

NpyRowFile& NpyRowFile::operator=(NpyRowFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(shape_, other.shape_);
  std::swap(data_offset_, other.data_offset_);
  std::swap(fd_, other.fd_);
  return *this;
}

NpyRowFile::~NpyRowFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<NpyRowFile> NpyRowFile::Open(std::string path, std::vector<std::int64_t> shape) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) return Internal(folder.string() + ": " + error.message());
  // The name can be guessed, and the folder may be one that others write in.
  ELEPHAS_ASSIGN_OR_RETURN(const int fd, OpenOwnFile(path, O_RDWR | O_CREAT, 0666));
  NpyRowFile file(std::move(path), std::move(shape), fd);
  const std::string header = NpyHeader(file.shape_);
  file.data_offset_ = header.size();
  const std::uint64_t data =
      static_cast<std::uint64_t>(file.shape_[0]) * RowFloats(file.shape_) * sizeof(float);
  ELEPHAS_RETURN_IF_ERROR(Prepare(fd, file.path_, header, header.size() + data));
  return file;
}

Status NpyRowFile::WriteRows(std::int64_t first_row, std::span<const float> values) {
  const std::uint64_t row_floats = RowFloats(shape_);
  const std::uint64_t rows = values.size() / row_floats;
  const auto first = static_cast<std::uint64_t>(first_row);
  const auto all = static_cast<std::uint64_t>(shape_[0]);
  if (first_row < 0 || values.size() % row_floats != 0 || first > all || rows > all - first) {
    return Invalid(path_ + ": rows " + std::to_string(first_row) + " to " +
                   std::to_string(first + rows) + " do not fit into " + std::to_string(shape_[0]) +
                   " rows of " + std::to_string(row_floats));
  }
  return WriteAt(fd_, path_, data_offset_ + first * row_floats * sizeof(float),
                 std::as_bytes(values));
}

Status NpyRowFile::Sync() { return ::fsync(fd_) == 0 ? OkStatus() : SystemError(path_, errno); }

std::string HiddenPath(const std::string& final_path, const std::string& run,
                       const std::string& output) {
  const std::filesystem::path target(final_path);
  return (target.parent_path() / HiddenRowsName(target.filename().string(), run, output)).string();
}

Status PublishHidden(const std::string& hidden, const std::string& final_path) {
  const int fd = ::open(hidden.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    if (errno == ELOOP) return Invalid(hidden + ": is a link, and is not followed");
    if (errno != ENOENT) return SystemError(hidden, errno);
    std::error_code error;
    if (std::filesystem::is_regular_file(final_path, error)) return OkStatus();
    return NotFound(hidden + ": no such file");
  }
  const int synced = ::fsync(fd);
  const int sync_errno = errno;
  ::close(fd);
  if (synced != 0) return SystemError(hidden, sync_errno);
  if (::rename(hidden.c_str(), final_path.c_str()) != 0) return SystemError(final_path, errno);
  std::string folder = std::filesystem::path(final_path).parent_path().string();
  if (folder.empty()) folder = ".";
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd < 0) return SystemError(folder, errno);
  const bool durable = ::fsync(folder_fd) == 0 || errno == EINVAL || errno == ENOTSUP;
  const Status status = durable ? OkStatus() : SystemError(folder, errno);
  ::close(folder_fd);
  return status;
}

}  // namespace elephas
