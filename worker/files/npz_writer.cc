#include "worker/files/npz_writer.h"

#include <filesystem>
#include <memory>
#include <set>

#include "worker/files/mapped_file.h"
#include "worker/files/zip_writer.h"

namespace elephas {

namespace {

// What an earlier call that was killed may have left.
Status RemoveParts(const std::vector<NpzPart>& parts) {
  for (const NpzPart& part : parts) {
    std::error_code error;
    std::filesystem::remove(part.path, error);
    if (error) return Internal(part.path + ": " + error.message());
  }
  return OkStatus();
}

}  // namespace

Status WriteNpz(const std::string& path, const std::vector<NpzPart>& parts) {
  std::vector<std::shared_ptr<const MappedFile>> files;
  std::vector<ZipMember> members;
  std::set<std::string> names;
  for (const NpzPart& part : parts) {
    if (!names.insert(part.name).second) {
      return Invalid(path + ": two arrays are named '" + part.name + "'");
    }
    Result<std::shared_ptr<const MappedFile>> file = MappedFile::Open(part.path);
    if (!file.ok()) {
      std::error_code error;
      const bool repeat =
          file.status().code() == Code::kNotFound && std::filesystem::is_regular_file(path, error);
      return repeat ? RemoveParts(parts) : file.status();
    }
    members.push_back({part.name + ".npy", (*file)->bytes()});
    files.push_back(*std::move(file));
  }
  ELEPHAS_RETURN_IF_ERROR(WriteZip(path, members));
  return RemoveParts(parts);
}

}  // namespace elephas
