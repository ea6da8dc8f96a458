#include "worker/files/zip_writer.h"

#include <zip.h>

#include <memory>

#include "common/base/atomic_file.h"

namespace elephas {

namespace {

struct DiscardZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};

// 1 January 1980, the first day that the format knows (MS-DOS date: year-1980, month, day).
constexpr zip_uint16_t kDosDate = (0 << 9) | (1 << 5) | 1;

}  // namespace

Status WriteZip(const std::string& path, const std::vector<ZipMember>& members) {
  // Reserves the name and knows how to commit; libzip replaces what is there.
  ELEPHAS_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  int code = 0;
  std::unique_ptr<zip_t, DiscardZip> zip(
      zip_open(file.temporary_path().c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (!zip) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    return Internal(path + ": " + text);
  }
  const auto failed = [&] { return Internal(path + ": " + zip_strerror(zip.get())); };
  for (const ZipMember& member : members) {
    zip_source_t* source =
        zip_source_buffer(zip.get(), member.bytes.data(), member.bytes.size(), /*freep=*/0);
    if (source == nullptr) return failed();
    const zip_int64_t index =
        zip_file_add(zip.get(), member.name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      return failed();
    }
    const auto at = static_cast<zip_uint64_t>(index);
    if (zip_set_file_compression(zip.get(), at, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip.get(), at, 0, kDosDate, 0) != 0) {
      return failed();
    }
  }
  if (zip_close(zip.get()) != 0) return failed();
  (void)zip.release();  // closed and freed
  return file.Commit();
}

}  // namespace elephas
