// A child process (isolated.h) walks the file and sends:
//
//   reply  := length index data
//   length := u64 little endian, bytes in index, which pads to a multiple of 8
//   index  := JSON {"groups": {path: {attribute: text or [text]}},
//                   "datasets": [[path, integer, [shape…]]…]}
//   data   := the datasets one after another, float32 or int64, each padded to a multiple of 8
//   bytes
#include "worker/keras_file/hdf5_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <new>
#include <set>
#include <utility>

#include "common/base/memory_budget.h"
#include "common/json/bounded_json.h"
#include "worker/files/printable.h"
#include "worker/keras_file/hdf5_handle.h"
#include "worker/keras_file/isolated.h"
#include "worker/keras_file/path.h"

namespace elephas::keras_file {

namespace {

using nlohmann::json;

// A broken file may send the library round in circles. Reading takes well under a second per 100
// MB.
constexpr unsigned kCpuSeconds = 5;
constexpr std::uint64_t kBytesPerCpuSecond = 10'000'000;
// What the child may use besides the datasets: the library, names and attributes.
constexpr std::uint64_t kChildMemory = std::uint64_t{1} << 30;
constexpr std::size_t kMaxObjects = 1 << 20;
constexpr std::size_t kMaxDepth = 64;
constexpr hsize_t kMaxAttributeBytes = std::size_t{256} << 20;
// As in zip: the only compression that h5py writes by itself is deflate.
constexpr std::uint64_t kMaxExpansion = 1032;
constexpr std::uint64_t kExpansionSlack = 1 << 16;

struct Request {
  const std::string* path = nullptr;  // null: `image` is the file
  std::string_view image;
  std::uint64_t max_bytes = 0;
  bool root_only = false;
  std::string limit = {};  // why max_bytes is less than the model can need; empty: it is not
};

struct Found {
  std::string path;
  bool integer = false;
  bool bfloat16 = false;
  std::vector<std::int64_t> shape;
  std::uint64_t elements = 1;
};

std::size_t Padded(std::size_t bytes) { return (bytes + 7) / 8 * 8; }

// ---- in the child

class Walker {
 public:
  Walker(hid_t file, std::uint64_t file_bytes, const Request& request)
      : file_(file), file_bytes_(file_bytes), request_(request) {}

  Status Walk() {
    Hdf5Handle root(H5Gopen2(file_, "/", H5P_DEFAULT), &H5Gclose);
    if (!root.ok()) return Invalid("is broken: it has no root group");
    return Group(root.id(), "", 0);
  }

  Status Send(const ByteSink& sink) {
    json datasets = json::array();
    for (const Found& found : found_) {
      datasets.push_back(json::array({found.path, found.integer, found.shape}));
    }
    std::string index = json{{"groups", groups_}, {"datasets", datasets}}.dump(
        -1, ' ', false, json::error_handler_t::replace);
    index.resize(Padded(index.size()), ' ');
    const std::uint64_t length = index.size();
    if (!sink(std::as_bytes(std::span(&length, 1))) || !sink(std::as_bytes(std::span(index)))) {
      return Internal("the reader cannot answer");
    }
    for (const Found& found : found_) ELEPHAS_RETURN_IF_ERROR(SendData(found, sink));
    return OkStatus();
  }

 private:
  static std::string Where(const std::string& path) { return "'" + Printable(path, 200) + "'"; }

  Status Group(hid_t group, const std::string& path, std::size_t depth) {
    if (depth > kMaxDepth) return Invalid(Where(path) + " is nested too deeply");
    H5O_info_t info;
    if (H5Oget_info2(group, &info, H5O_INFO_BASIC) < 0) return Invalid(Where(path) + " is broken");
    // A group that is its own grandchild would never end.
    if (!addresses_.insert(info.addr).second) return Invalid(Where(path) + " is linked twice");
    json& attributes = groups_[path];
    attributes = json::object();
    ELEPHAS_RETURN_IF_ERROR(Attributes(group, path, attributes));
    if (request_.root_only) return OkStatus();

    std::vector<std::pair<std::string, H5L_type_t>> links;
    const auto collect = [](hid_t, const char* name, const H5L_info_t* link, void* out) -> herr_t {
      auto* list = static_cast<std::vector<std::pair<std::string, H5L_type_t>>*>(out);
      if (list->size() >= kMaxObjects) return -1;
      list->emplace_back(name, link->type);
      return 0;
    };
    hsize_t position = 0;
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, &position, collect, &links) < 0) {
      return Invalid(Where(path) + " is broken");
    }
    for (const auto& [name, type] : links) {
      const std::string inner = Join(path, name);
      if (type != H5L_TYPE_HARD) {
        return Invalid(Where(inner) + " is a link to elsewhere, which is not allowed");
      }
      if (++objects_ > kMaxObjects) return Invalid("holds too many objects");
      const Hdf5Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), &H5Oclose);
      if (!object.ok()) return Invalid(Where(inner) + " is broken");
      switch (H5Iget_type(object.id())) {
        case H5I_GROUP:
          ELEPHAS_RETURN_IF_ERROR(Group(object.id(), inner, depth + 1));
          break;
        case H5I_DATASET:
          ELEPHAS_RETURN_IF_ERROR(Dataset(object.id(), inner));
          break;
        default:
          break;  // a named type holds no numbers
      }
    }
    return OkStatus();
  }

  Status Dataset(hid_t dataset, const std::string& path) {
    const Hdf5Handle creation(H5Dget_create_plist(dataset), &H5Pclose);
    if (!creation.ok()) return Invalid(Where(path) + " is broken");
    if (H5Pget_layout(creation.id()) == H5D_VIRTUAL || H5Pget_external_count(creation.id()) > 0) {
      return Invalid(Where(path) + " has its data in another file, which is not allowed");
    }
    const Hdf5Handle type(H5Dget_type(dataset), &H5Tclose);
    const Hdf5Handle space(H5Dget_space(dataset), &H5Sclose);
    if (!type.ok() || !space.ok()) return Invalid(Where(path) + " is broken");
    Found found;
    found.path = path;
    if (!Kind(dataset, type.id(), found)) return OkStatus();
    const H5S_class_t space_class = H5Sget_simple_extent_type(space.id());
    if (space_class == H5S_NULL) return OkStatus();
    const int rank = H5Sget_simple_extent_ndims(space.id());
    if (rank < 0 || rank > H5S_MAX_RANK) return Invalid(Where(path) + " is broken");
    std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
    if (rank > 0 && H5Sget_simple_extent_dims(space.id(), extents.data(), nullptr) != rank) {
      return Invalid(Where(path) + " is broken");
    }
    for (const hsize_t extent : extents) {
      if (extent > static_cast<hsize_t>(INT64_MAX) ||
          __builtin_mul_overflow(found.elements, extent, &found.elements)) {
        return Invalid(Where(path) + " has a shape that is too large");
      }
      found.shape.push_back(static_cast<std::int64_t>(extent));
    }
    ELEPHAS_RETURN_IF_ERROR(CheckSize(dataset, creation.id(), type.id(), found));
    found_.push_back(std::move(found));
    return OkStatus();
  }

  // Sets what kind of numbers these are; false for anything else.
  static bool Kind(hid_t dataset, hid_t type, Found& found) {
    switch (H5Tget_class(type)) {
      case H5T_FLOAT:
        return true;
      case H5T_INTEGER:
        found.integer = true;
        return true;
      case H5T_OPAQUE:
        // Keras' way to keep bfloat16: raw bytes with an attribute that names them.
        found.bfloat16 = H5Tget_size(type) == 2 && H5Aexists(dataset, "dtype") > 0;
        return found.bfloat16;
      default:
        return false;
    }
  }

  // Refuses a claim that the bytes of the file cannot back, of one dataset or of all together.
  Status CheckSize(hid_t dataset, hid_t creation, hid_t type, const Found& found) {
    std::uint64_t bytes = 0;
    const Status bomb = Invalid(Where(found.path) + " claims more data than the file can hold");
    if (__builtin_mul_overflow(found.elements, std::uint64_t{H5Tget_size(type)}, &bytes) ||
        __builtin_add_overflow(claimed_, bytes, &claimed_)) {
      return bomb;
    }
    const std::uint64_t stored = H5Dget_storage_size(dataset);
    if (stored > file_bytes_ || bytes > stored * kMaxExpansion + kExpansionSlack ||
        claimed_ > file_bytes_ * kMaxExpansion + kExpansionSlack) {
      return bomb;
    }
    // As they are sent: narrow numbers are widened.
    const std::uint64_t width = found.integer ? sizeof(std::int64_t) : sizeof(float);
    sent_ += Padded(found.elements * width);
    if (std::max(claimed_, sent_) > request_.max_bytes) {
      return TooLarge(found.path, std::max(claimed_, sent_));
    }
    return CheckChunk(creation, type, found);
  }

  // The library inflates whole chunks, which may be larger than the dataset.
  Status CheckChunk(hid_t creation, hid_t type, const Found& found) const {
    if (H5Pget_layout(creation) != H5D_CHUNKED) return OkStatus();
    std::array<hsize_t, H5S_MAX_RANK> extents{};
    const int rank = H5Pget_chunk(creation, H5S_MAX_RANK, extents.data());
    if (rank < 0 || rank > H5S_MAX_RANK) return Invalid(Where(found.path) + " is broken");
    std::uint64_t bytes = H5Tget_size(type);
    for (int axis = 0; axis < rank; ++axis) {
      if (__builtin_mul_overflow(bytes, extents[static_cast<std::size_t>(axis)], &bytes)) {
        bytes = UINT64_MAX;
        break;
      }
    }
    return bytes > request_.max_bytes ? TooLarge(found.path, bytes) : OkStatus();
  }

  [[nodiscard]] Status TooLarge(const std::string& path, std::uint64_t bytes) const {
    return Invalid(Where(path) + " brings the data to " + std::to_string(bytes) +
                   " bytes, more than " +
                   (request_.limit.empty()
                        ? "the " + std::to_string(request_.max_bytes) + " that the model can need"
                        : request_.limit));
  }

  Status SendData(const Found& found, const ByteSink& sink) {
    const Hdf5Handle dataset(H5Dopen2(file_, ("/" + found.path).c_str(), H5P_DEFAULT), &H5Dclose);
    if (!dataset.ok()) return Invalid(Where(found.path) + " is broken");
    const auto elements = static_cast<std::size_t>(found.elements);
    const std::size_t width = found.integer ? sizeof(std::int64_t) : sizeof(float);
    std::vector<std::byte> data(Padded(elements * width));
    if (elements > 0) {
      if (found.bfloat16) {
        ELEPHAS_RETURN_IF_ERROR(ReadBfloat16(dataset.id(), found, data));
      } else {
        const hid_t type = found.integer ? H5T_NATIVE_INT64 : H5T_NATIVE_FLOAT;
        if (H5Dread(dataset.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()) < 0) {
          return Invalid(Where(found.path) + ": its data cannot be read");
        }
      }
    }
    return sink(data) ? OkStatus() : Internal("the reader cannot answer");
  }

  Status ReadBfloat16(hid_t dataset, const Found& found, std::span<std::byte> data) const {
    const Hdf5Handle type(H5Dget_type(dataset), &H5Tclose);
    std::vector<std::uint16_t> raw(static_cast<std::size_t>(found.elements));
    if (!type.ok() || H5Dread(dataset, type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()) < 0) {
      return Invalid(Where(found.path) + ": its data cannot be read");
    }
    for (std::size_t i = 0; i < raw.size(); ++i) {
      const std::uint32_t bits = static_cast<std::uint32_t>(raw[i]) << 16;
      std::memcpy(data.data() + i * sizeof(bits), &bits, sizeof(bits));
    }
    return OkStatus();
  }

  Status Attributes(hid_t object, const std::string& path, json& out) {
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* list) -> herr_t {
      static_cast<std::vector<std::string>*>(list)->emplace_back(name);
      return 0;
    };
    hsize_t position = 0;
    if (H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, &position, collect, &names) < 0) {
      return Invalid(Where(path) + ": its attributes are broken");
    }
    for (const std::string& name : names) {
      const Hdf5Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), &H5Aclose);
      if (!attribute.ok()) return Invalid(Where(path) + ": its attributes are broken");
      ELEPHAS_RETURN_IF_ERROR(ReadAttribute(attribute.id(), out[name])
                                  .Annotate(Where(path) + ", attribute '" + Printable(name) + "'"));
      if (out[name].is_null()) out.erase(name);
    }
    return OkStatus();
  }

  // Leaves `out` null for what is not text.
  static Status ReadAttribute(hid_t attribute, json& out) {
    const Hdf5Handle type(H5Aget_type(attribute), &H5Tclose);
    const Hdf5Handle space(H5Aget_space(attribute), &H5Sclose);
    if (!type.ok() || !space.ok()) return Invalid("is broken");
    const hssize_t count = H5Sget_simple_extent_npoints(space.id());
    const bool scalar = H5Sget_simple_extent_type(space.id()) == H5S_SCALAR;
    if (count < 0) return Invalid("is broken");
    if (count == 0) {
      out = json::array();
      return OkStatus();
    }
    if (H5Tget_class(type.id()) != H5T_STRING) return OkStatus();
    if (H5Aget_storage_size(attribute) > kMaxAttributeBytes ||
        static_cast<hsize_t>(count) > kMaxAttributeBytes) {
      return Invalid("is too large");
    }
    std::vector<std::string> texts;
    ELEPHAS_RETURN_IF_ERROR(H5Tis_variable_str(type.id()) > 0
                                ? ReadVariable(attribute, type.id(), space.id(), count, texts)
                                : ReadFixed(attribute, type.id(), count, texts));
    if (scalar) {
      out = texts[0];
    } else {
      out = texts;
    }
    return OkStatus();
  }

  static Status ReadVariable(hid_t attribute, hid_t type, hid_t space, hssize_t count,
                             std::vector<std::string>& texts) {
    std::vector<char*> raw(static_cast<std::size_t>(count), nullptr);
    if (H5Aread(attribute, type, raw.data()) < 0) return Invalid("cannot be read");
    for (const char* text : raw) texts.emplace_back(text == nullptr ? "" : text);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw.data());
    return OkStatus();
  }

  static Status ReadFixed(hid_t attribute, hid_t type, hssize_t count,
                          std::vector<std::string>& texts) {
    const std::size_t width = H5Tget_size(type);
    std::size_t bytes = 0;
    if (width == 0 || __builtin_mul_overflow(width, static_cast<std::size_t>(count), &bytes) ||
        bytes > kMaxAttributeBytes) {
      return Invalid("is too large");
    }
    std::string raw(bytes, '\0');
    if (H5Aread(attribute, type, raw.data()) < 0) return Invalid("cannot be read");
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      std::string text = raw.substr(i * width, width);
      text.resize(std::min(text.size(), text.find('\0')));  // padded with zeros
      texts.push_back(std::move(text));
    }
    return OkStatus();
  }

  hid_t file_;
  std::uint64_t file_bytes_;
  const Request& request_;
  std::uint64_t claimed_ = 0;  // in the file's types
  std::uint64_t sent_ = 0;
  std::size_t objects_ = 0;
  std::set<haddr_t> addresses_;
  std::map<std::string, json> groups_;
  std::vector<Found> found_;
};

Status ReadInChild(const Request& request, const ByteSink& sink) {
  const std::string* path = request.path;
  const std::string_view image = request.image;
  SilenceHdf5();
  H5PLset_loading_state(0);  // a file must not make the library load filters from somewhere
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), &H5Pclose);
  if (path == nullptr) {
    // The library takes a non-const pointer and copies from it.
    H5Pset_fapl_core(access.id(), 1 << 20, false);
    H5Pset_file_image(access.id(), const_cast<char*>(image.data()), image.size());
  }
  const std::string name = path == nullptr ? "weights.h5" : *path;
  const Hdf5Handle file(H5Fopen(name.c_str(), H5F_ACC_RDONLY, access.id()), &H5Fclose);
  if (!file.ok()) return Invalid("not a whole HDF5 file");
  hsize_t bytes = 0;
  if (H5Fget_filesize(file.id(), &bytes) < 0) return Invalid("not a whole HDF5 file");
  Walker walker(file.id(), bytes, request);
  ELEPHAS_RETURN_IF_ERROR(walker.Walk());
  return walker.Send(sink);
}

// ---- in the parent

Result<Hdf5Contents> Unpack(std::string bytes) {
  const Status broken = Internal("the reader's answer is broken");
  std::uint64_t length = 0;
  if (bytes.size() < sizeof(length)) return broken;
  std::memcpy(&length, bytes.data(), sizeof(length));
  std::size_t at = sizeof(length);
  if (length > bytes.size() - at) return broken;
  const auto fit = static_cast<std::size_t>(FreeMemory().bytes / kJsonNodeBytes);
  auto parsed = ParseBoundedJson(std::string_view(bytes).substr(at, length),
                                 {.max_bytes = length, .max_nodes = fit});
  if (!parsed.ok()) return parsed.status().Annotate("its groups and attributes");
  const json& index = *parsed;
  at += length;
  if (!index.is_object()) return broken;

  Hdf5Contents contents;
  contents.bytes = std::move(bytes);
  for (const auto& [path, attributes] : index.at("groups").items()) {
    contents.groups.emplace(path, attributes);
  }
  for (const json& entry : index.at("datasets")) {
    Dataset dataset;
    dataset.integer = entry.at(1).get<bool>();
    dataset.shape = entry.at(2).get<std::vector<std::int64_t>>();
    std::size_t elements = 1;
    for (const std::int64_t extent : dataset.shape) elements *= static_cast<std::size_t>(extent);
    const std::size_t width = dataset.integer ? sizeof(std::int64_t) : sizeof(float);
    if (elements > (contents.bytes.size() - at) / width) return broken;
    const char* data = contents.bytes.data() + at;
    if (dataset.integer) {
      dataset.ints = {reinterpret_cast<const std::int64_t*>(data), elements};
    } else {
      dataset.floats = {reinterpret_cast<const float*>(data), elements};
    }
    at += Padded(elements * width);
    contents.datasets.emplace(entry.at(0).get<std::string>(), std::move(dataset));
  }
  return contents;
}

Result<Hdf5Contents> Read(Request request) {
  const std::unique_lock lock(Hdf5Mutex());
  // The child holds a dataset, the parent all of them, twice while its buffer grows.
  const MemoryBudget memory = FreeMemory();
  if (memory.bytes / 3 < request.max_bytes) {
    request.max_bytes = memory.bytes / 3;
    request.limit =
        "a third of the " + BytesText(memory.bytes) + " that are left of " + memory.limit;
  }
  std::error_code error;
  const std::uint64_t size = request.path == nullptr
                                 ? request.image.size()
                                 : std::filesystem::file_size(*request.path, error);
  if (error) return Internal(error.message());
  const auto seconds = static_cast<unsigned>(kCpuSeconds + size / kBytesPerCpuSecond);
  ELEPHAS_ASSIGN_OR_RETURN(
      std::string bytes,
      ReadIsolated([&](const ByteSink& sink) { return ReadInChild(request, sink); }, seconds,
                   kChildMemory + size + 2 * request.max_bytes));
  try {
    return Unpack(std::move(bytes));
  } catch (const json::exception&) {
    return Internal("the reader's answer is broken");
  } catch (const std::bad_alloc&) {
    return Internal("not enough memory");
  }
}

}  // namespace

const json* Hdf5Contents::Attribute(std::string_view group, std::string_view name) const {
  const auto found = groups.find(group);
  if (found == groups.end()) return nullptr;
  const auto attribute = found->second.find(name);
  return attribute == found->second.end() ? nullptr : &*attribute;
}

Result<Hdf5Contents> ReadHdf5File(const std::string& path, std::uint64_t max_bytes) {
  return Read({&path, {}, max_bytes, false});
}

Result<Hdf5Contents> ReadHdf5Bytes(std::string_view file, std::uint64_t max_bytes) {
  return Read({nullptr, file, max_bytes, false});
}

Result<Hdf5Contents> ReadHdf5Root(const std::string& path) { return Read({&path, {}, 0, true}); }

}  // namespace elephas::keras_file
