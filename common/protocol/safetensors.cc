#include "common/protocol/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/base/atomic_file.h"
#include "common/base/memory_budget.h"
#include "common/json/bounded_json.h"

namespace elephas::safetensors {

static_assert(std::endian::native == std::endian::little, "the format's byte order is taken as is");

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's own bound
constexpr std::size_t kLengthBytes = 8;

constexpr std::array<std::pair<std::string_view, std::size_t>, 17> kDtypes{{
    {"F64", 8},
    {"F32", 4},
    {"F16", 2},
    {"BF16", 2},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"F8_E8M0", 1},
    {"I64", 8},
    {"I32", 4},
    {"I16", 2},
    {"I8", 1},
    {"U64", 8},
    {"U32", 4},
    {"U16", 2},
    {"U8", 1},
    {"BOOL", 1},
    {"C64", 8},
}};

// shape x dtype in bytes, or nothing when it does not fit.
bool TensorBytes(const TensorInfo& tensor, std::uint64_t* bytes) {
  std::uint64_t product = DtypeBytes(tensor.dtype);
  bool overflow = false;
  for (const std::int64_t extent : tensor.shape) {
    // A zero later in the shape must not hide an overflow that another reader would run into.
    overflow |= __builtin_mul_overflow(product, static_cast<std::uint64_t>(extent), &product);
  }
  *bytes = product;
  return !overflow;
}

bool ReadUnsigned(const json& value, std::uint64_t limit, std::uint64_t* out) {
  if (!value.is_number_unsigned()) return false;
  *out = value.get<std::uint64_t>();
  return *out <= limit;
}

Result<TensorInfo> ReadTensor(const std::string& name, const json& entry) {
  const auto bad = [&](const std::string& what) {
    return Invalid("tensor '" + name + "': " + what);
  };
  if (!entry.is_object()) return bad("must be an object");
  for (const auto& [key, value] : entry.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      return bad("unknown field '" + key + "'");
    }
  }
  const auto dtype = entry.find("dtype");
  const auto shape = entry.find("shape");
  const auto offsets = entry.find("data_offsets");
  if (dtype == entry.end() || !dtype->is_string()) return bad("'dtype' must be a string");
  if (shape == entry.end() || !shape->is_array()) return bad("'shape' must be an array");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2) {
    return bad("'data_offsets' must be [begin, end]");
  }
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = dtype->get<std::string>();
  if (DtypeBytes(tensor.dtype) == 0) return bad("unknown dtype '" + tensor.dtype + "'");
  for (const json& value : *shape) {
    std::uint64_t extent = 0;
    if (!ReadUnsigned(value, INT64_MAX, &extent)) return bad("'shape' must hold sizes");
    tensor.shape.push_back(static_cast<std::int64_t>(extent));
  }
  if (!ReadUnsigned((*offsets)[0], INT64_MAX, &tensor.begin) ||
      !ReadUnsigned((*offsets)[1], INT64_MAX, &tensor.end) || tensor.begin > tensor.end) {
    return bad("'data_offsets' must be [begin, end] with begin <= end");
  }
  std::uint64_t bytes = 0;
  if (!TensorBytes(tensor, &bytes)) return bad("its shape is too large");
  if (bytes != tensor.end - tensor.begin) {
    return bad("shape and dtype make " + std::to_string(bytes) + " bytes, data_offsets hold " +
               std::to_string(tensor.end - tensor.begin));
  }
  return tensor;
}

// A tensor has some eight values in more than fifty bytes, and there are at most a few hundred
// thousand of them; three levels are all that the format has.
JsonLimits HeaderLimits(std::size_t bytes) {
  constexpr std::size_t kMost = 4'000'000;
  return {.max_bytes = bytes,
          .max_depth = 3,
          .max_nodes = std::min(kMost, JsonLimitsFor(bytes).max_nodes),
          .unique_keys = true};
}

// Closes when it goes out of scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Status ReadExactly(int fd, std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t n = ::read(fd, into.data(), std::min<std::size_t>(into.size(), 1 << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Internal(std::strerror(errno));
    if (n == 0) return Invalid("truncated while it was read");
    into = into.subspan(static_cast<std::size_t>(n));
  }
  return OkStatus();
}

Result<File> ReadOpenFile(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return Internal(std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return Invalid("is not a file");
  const auto file_bytes = static_cast<std::uint64_t>(info.st_size);
  std::uint64_t length = 0;
  if (file_bytes < kLengthBytes) return Invalid("truncated: shorter than a safetensors header");
  ELEPHAS_RETURN_IF_ERROR(ReadExactly(fd, std::as_writable_bytes(std::span(&length, 1))));
  if (length > kMaxHeaderBytes || length > file_bytes - kLengthBytes) {
    return Invalid("not a safetensors file, or truncated: its header claims " +
                   std::to_string(length) + " bytes of a file of " + std::to_string(file_bytes));
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  ELEPHAS_RETURN_IF_ERROR(ReadExactly(fd, std::as_writable_bytes(std::span(text))));
  File file;
  ELEPHAS_ASSIGN_OR_RETURN(file.header, ParseHeader(text));
  const std::uint64_t data_bytes = file_bytes - kLengthBytes - length;
  if (data_bytes < file.header.data_bytes) {
    return Invalid("truncated: tensors need " + std::to_string(file.header.data_bytes) +
                   " bytes of data, the file has " + std::to_string(data_bytes));
  }
  if (data_bytes > file.header.data_bytes) {
    return Invalid(std::to_string(data_bytes - file.header.data_bytes) +
                   " trailing bytes after the last tensor");
  }
  ELEPHAS_RETURN_IF_ERROR(CheckMemory(FreeMemory(), data_bytes, "its data"));
  file.data.resize(static_cast<std::size_t>(data_bytes));
  ELEPHAS_RETURN_IF_ERROR(ReadExactly(fd, file.data));
  return file;
}

}  // namespace

std::size_t DtypeBytes(std::string_view dtype) {
  for (const auto& [name, bytes] : kDtypes) {
    if (name == dtype) return bytes;
  }
  return 0;
}

const TensorInfo* Header::Find(std::string_view name) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(),
                               [&](const TensorInfo& tensor) { return tensor.name == name; });
  return it == tensors.end() ? nullptr : &*it;
}

std::span<const std::byte> File::Bytes(const TensorInfo& tensor) const {
  return std::span(data).subspan(tensor.begin, tensor.end - tensor.begin);
}

Result<Header> ParseHeader(std::string_view text) {
  if (text.empty() || text.front() != '{') return Invalid("the header is not a JSON object");
  auto read = ParseBoundedJson(text, HeaderLimits(text.size()));
  if (!read.ok()) return read.status().Annotate("the header");
  const json& parsed = *read;
  Header header;
  for (const auto& [name, entry] : parsed.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) return Invalid("'__metadata__' must be an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) return Invalid("'__metadata__': '" + key + "' must be a string");
        header.metadata.emplace(key, value.get<std::string>());
      }
      continue;
    }
    ELEPHAS_ASSIGN_OR_RETURN(TensorInfo tensor, ReadTensor(name, entry));
    header.tensors.push_back(std::move(tensor));
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  for (const TensorInfo& tensor : header.tensors) {
    if (tensor.begin != header.data_bytes) {
      return Invalid("tensor '" + tensor.name + "' starts at byte " + std::to_string(tensor.begin) +
                     ", " +
                     (tensor.begin < header.data_bytes ? "inside the one before it"
                                                       : "leaving a gap after the one before it") +
                     ", which ends at " + std::to_string(header.data_bytes));
    }
    header.data_bytes = tensor.end;
  }
  return header;
}

std::string SerializeHeader(const std::map<std::string, std::string>& metadata,
                            const std::vector<TensorInfo>& tensors) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const TensorInfo& tensor : tensors) {
    std::uint64_t bytes = DtypeBytes(tensor.dtype);
    for (const std::int64_t extent : tensor.shape) bytes *= static_cast<std::uint64_t>(extent);
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::string out(kLengthBytes, '\0');
  std::memcpy(out.data(), &length, kLengthBytes);
  return out + text;
}

Result<File> ReadFile(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    return errno == ENOENT || errno == ENOTDIR ? NotFound(path + ": no such file")
                                               : Internal(path + ": " + std::strerror(errno));
  }
  Result<File> file = ReadOpenFile(fd.get());
  if (!file.ok()) return file.status().Annotate(path);
  return file;
}

Status WriteFile(const std::string& path, const std::map<std::string, std::string>& metadata,
                 std::vector<TensorInfo> tensors,
                 const std::vector<std::span<const std::byte>>& data) {
  if (tensors.size() != data.size()) return Invalid(path + ": a tensor without data");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::uint64_t bytes = 0;
    if (!TensorBytes(tensors[i], &bytes) || bytes != data[i].size() ||
        DtypeBytes(tensors[i].dtype) == 0) {
      return Invalid(path + ": tensor '" + tensors[i].name + "' has " +
                     std::to_string(data[i].size()) + " bytes, its shape and dtype make " +
                     std::to_string(bytes));
    }
  }
  ELEPHAS_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  ELEPHAS_RETURN_IF_ERROR(file.Write(SerializeHeader(metadata, tensors)));
  for (const std::span<const std::byte> bytes : data) ELEPHAS_RETURN_IF_ERROR(file.Write(bytes));
  return file.Commit();
}

}  // namespace elephas::safetensors
