#include "worker/keras_file/hdf5_writer.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "worker/keras_file/hdf5_handle.h"

namespace elephas::keras_file {

namespace {

// Attributes live in an object's header of at most 64 KiB; Keras leaves itself this much of it.
constexpr std::size_t kMaxHeaderBytes = 64512;

Status Failed(const std::string& what) { return Internal("HDF5 cannot write " + what); }

// Makes the groups on the way to a new object.
Hdf5Handle MakingParents() {
  Hdf5Handle properties(H5Pcreate(H5P_LINK_CREATE), &H5Pclose);
  if (properties.ok()) H5Pset_create_intermediate_group(properties.id(), 1);
  return properties;
}

}  // namespace

struct Hdf5Writer::File {
  std::unique_lock<std::recursive_mutex> lock;  // held for the file's life
  Hdf5Handle file;

  Status Write(const std::string& path, const std::vector<hsize_t>& extents, hid_t file_type,
               hid_t memory_type, const void* values, bool empty) const {
    const Hdf5Handle space(extents.empty() ? H5Screate(H5S_SCALAR)
                                           : H5Screate_simple(static_cast<int>(extents.size()),
                                                              extents.data(), nullptr),
                           &H5Sclose);
    const Hdf5Handle parents = MakingParents();
    if (!space.ok() || !parents.ok()) return Failed(path);
    const Hdf5Handle dataset(H5Dcreate2(file.id(), ("/" + path).c_str(), file_type, space.id(),
                                        parents.id(), H5P_DEFAULT, H5P_DEFAULT),
                             &H5Dclose);
    if (!dataset.ok()) return Failed(path);
    if (!empty && H5Dwrite(dataset.id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) {
      return Failed(path);
    }
    return OkStatus();
  }

  Status SetAttribute(const std::string& group, const std::string& name, hid_t type, hid_t space,
                      const void* value) const {
    const Hdf5Handle object(H5Gopen2(file.id(), ("/" + group).c_str(), H5P_DEFAULT), &H5Gclose);
    if (!object.ok()) return Failed(group);
    const Hdf5Handle attribute(
        H5Acreate2(object.id(), name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), &H5Aclose);
    if (!attribute.ok() || H5Awrite(attribute.id(), type, value) < 0) {
      return Failed(group + ", attribute " + name);
    }
    return OkStatus();
  }
};

Hdf5Writer::Hdf5Writer(std::unique_ptr<File> file) : file_(std::move(file)) {}
Hdf5Writer::Hdf5Writer(Hdf5Writer&&) noexcept = default;
Hdf5Writer& Hdf5Writer::operator=(Hdf5Writer&&) noexcept = default;
Hdf5Writer::~Hdf5Writer() = default;

Result<Hdf5Writer> Hdf5Writer::Create() {
  std::unique_lock lock(Hdf5Mutex());
  SilenceHdf5();
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), &H5Pclose);
  if (!access.ok() || H5Pset_fapl_core(access.id(), 1 << 20, /*backing_store=*/false) < 0) {
    return Failed("into memory");
  }
  Hdf5Handle file(H5Fcreate("weights.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access.id()), &H5Fclose);
  if (!file.ok()) return Failed("into memory");
  return Hdf5Writer(std::make_unique<File>(File{std::move(lock), std::move(file)}));
}

Status Hdf5Writer::AddGroup(const std::string& path) {
  const std::string absolute = "/" + path;
  const Hdf5Handle parents = MakingParents();
  const Hdf5Handle group(
      H5Gcreate2(file_->file.id(), absolute.c_str(), parents.id(), H5P_DEFAULT, H5P_DEFAULT),
      &H5Gclose);
  if (group.ok()) return OkStatus();
  // An earlier object may have made it on its way.
  const Hdf5Handle present(H5Gopen2(file_->file.id(), absolute.c_str(), H5P_DEFAULT), &H5Gclose);
  return present.ok() ? OkStatus() : Failed(path);
}

Status Hdf5Writer::AddFloats(const std::string& path, const std::vector<std::int64_t>& shape,
                             std::span<const float> values) {
  return file_->Write(path, {shape.begin(), shape.end()}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                      values.data(), values.empty());
}

Status Hdf5Writer::AddInteger(const std::string& path, std::int32_t value) {
  return file_->Write(path, {}, H5T_STD_I32LE, H5T_NATIVE_INT32, &value, false);
}

Status Hdf5Writer::SetText(const std::string& group, const std::string& name,
                           const std::string& text) {
  // Of variable length, so that long texts are kept outside the header.
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), &H5Tclose);
  const Hdf5Handle space(H5Screate(H5S_SCALAR), &H5Sclose);
  if (!type.ok() || !space.ok() || H5Tset_size(type.id(), H5T_VARIABLE) < 0 ||
      H5Tset_cset(type.id(), H5T_CSET_UTF8) < 0) {
    return Failed(group + ", attribute " + name);
  }
  const char* value = text.c_str();
  return file_->SetAttribute(group, name, type.id(), space.id(), &value);
}

Status Hdf5Writer::SetTexts(const std::string& group, const std::string& name,
                            const std::vector<std::string>& texts) {
  std::size_t width = 1;
  for (const std::string& text : texts) width = std::max(width, text.size());
  if (width > kMaxHeaderBytes)
    return Invalid(name + ": a name of " + std::to_string(width) + " bytes");
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), &H5Tclose);
  if (!type.ok() || H5Tset_size(type.id(), width) < 0 ||
      H5Tset_strpad(type.id(), H5T_STR_NULLPAD) < 0) {
    return Failed(group + ", attribute " + name);
  }
  const std::size_t fits = std::max<std::size_t>(1, kMaxHeaderBytes / width);
  const std::size_t parts = std::max<std::size_t>(1, (texts.size() + fits - 1) / fits);
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t first = part * fits;
    const std::size_t last = std::min(texts.size(), first + fits);
    std::string bytes((last - first) * width, '\0');
    for (std::size_t i = first; i < last; ++i) texts[i].copy(&bytes[(i - first) * width], width);
    const hsize_t count = last - first;
    const Hdf5Handle space(H5Screate_simple(1, &count, nullptr), &H5Sclose);
    if (!space.ok()) return Failed(group + ", attribute " + name);
    ELEPHAS_RETURN_IF_ERROR(file_->SetAttribute(group,
                                                parts == 1 ? name : name + std::to_string(part),
                                                type.id(), space.id(), bytes.data()));
  }
  return OkStatus();
}

Result<std::string> Hdf5Writer::Finish() && {
  const std::unique_ptr<File> file = std::move(file_);
  if (H5Fflush(file->file.id(), H5F_SCOPE_GLOBAL) < 0) return Failed("into memory");
  const ssize_t bytes = H5Fget_file_image(file->file.id(), nullptr, 0);
  if (bytes < 0) return Failed("into memory");
  std::string image(static_cast<std::size_t>(bytes), '\0');
  if (H5Fget_file_image(file->file.id(), image.data(), image.size()) != bytes) {
    return Failed("into memory");
  }
  return image;
}

}  // namespace elephas::keras_file
