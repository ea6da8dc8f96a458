#include "worker/files/zip_reader.h"

#include <zip.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <set>
#include <utility>

#include "common/base/memory_budget.h"
#include "worker/files/printable.h"

namespace elephas {

namespace {

// Members that anything of ours could have; a central directory of millions is an attack.
constexpr zip_int64_t kMaxMembers = 100000;

struct CloseZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseZipFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using OpenMember = std::unique_ptr<zip_file_t, CloseZipFile>;

std::string ErrorText(zip_error_t* error) {
  std::string text = zip_error_strerror(error);
  zip_error_fini(error);
  return text;
}

Status ReadExactly(zip_file_t* file, std::span<std::byte> into) {
  while (!into.empty()) {
    const zip_int64_t n =
        zip_fread(file, into.data(), std::min<std::size_t>(into.size(), std::size_t{1} << 30));
    if (n < 0) return Invalid(zip_file_strerror(file));
    if (n == 0) return Invalid("ends early");
    into = into.subspan(static_cast<std::size_t>(n));
  }
  return OkStatus();
}

// The checksum is compared when the end is read.
Status ExpectEnd(zip_file_t* file) {
  std::byte extra{};
  const zip_int64_t n = zip_fread(file, &extra, 1);
  if (n < 0) return Invalid(zip_file_strerror(file));
  if (n > 0) return Invalid("is longer than it should be");
  return OkStatus();
}

}  // namespace

struct ZipReader::Archive {
  std::unique_ptr<zip_t, CloseZip> zip;

  Result<OpenMember> Open(const Member& member) const {
    zip_file_t* file = zip_fopen(zip.get(), member.name.c_str(), ZIP_FL_ENC_RAW);
    if (file == nullptr) {
      return Invalid("member '" + Printable(member.name) + "': " + zip_strerror(zip.get()));
    }
    return OpenMember(file);
  }
};

ZipReader::ZipReader(std::unique_ptr<Archive> archive) : archive_(std::move(archive)) {}
ZipReader::ZipReader(ZipReader&&) noexcept = default;
ZipReader& ZipReader::operator=(ZipReader&&) noexcept = default;
ZipReader::~ZipReader() = default;

Result<ZipReader> ZipReader::OpenFile(const std::string& path) {
  int code = 0;
  auto archive = std::make_unique<Archive>();
  archive->zip.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (!archive->zip) {
    if (code == ZIP_ER_NOENT) return NotFound(path + ": no such file");
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    return Invalid(path + ": not a whole zip archive: " + ErrorText(&error));
  }
  ZipReader reader(std::move(archive));
  if (const Status status = reader.ReadDirectory(); !status.ok()) return status.Annotate(path);
  return reader;
}

Result<ZipReader> ZipReader::OpenMemory(std::span<const std::byte> bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &error);
  if (source == nullptr) return Internal(ErrorText(&error));
  auto archive = std::make_unique<Archive>();
  archive->zip.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
  if (!archive->zip) {
    zip_source_free(source);
    return Invalid("not a whole zip archive: " + ErrorText(&error));
  }
  zip_error_fini(&error);
  ZipReader reader(std::move(archive));
  ELEPHAS_RETURN_IF_ERROR(reader.ReadDirectory());
  return reader;
}

Status ZipReader::ReadDirectory() {
  zip_t* const zip = archive_->zip.get();
  const zip_int64_t count = zip_get_num_entries(zip, 0);
  if (count > kMaxMembers) return Invalid("an archive of more than 100000 members");
  std::set<std::string_view> seen;
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t info;
    const zip_uint64_t wanted = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if (zip_stat_index(zip, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW, &info) != 0 ||
        (info.valid & wanted) != wanted) {
      return Invalid("its directory is broken");
    }
    // Two members of one name: readers differ in which they take.
    if (!seen.insert(info.name).second) {
      return Invalid("two members are named '" + Printable(info.name) + "'");
    }
    members_.push_back({info.name, info.size, info.comp_size});
  }
  return OkStatus();
}

const ZipReader::Member* ZipReader::Find(std::string_view name) const {
  const auto it = std::find_if(members_.begin(), members_.end(),
                               [&](const Member& member) { return member.name == name; });
  return it == members_.end() ? nullptr : &*it;
}

Result<std::string> ZipReader::ReadPrefix(const Member& member, std::size_t limit) {
  ELEPHAS_ASSIGN_OR_RETURN(const OpenMember file, archive_->Open(member));
  std::string out(static_cast<std::size_t>(std::min<std::uint64_t>(limit, member.bytes)), '\0');
  const Status status = ReadExactly(file.get(), std::as_writable_bytes(std::span(out)));
  if (!status.ok()) return status.Annotate("member '" + Printable(member.name) + "'");
  return out;
}

Status ZipReader::ReadRest(const Member& member, std::uint64_t skip, std::span<std::byte> into) {
  ELEPHAS_ASSIGN_OR_RETURN(const OpenMember file, archive_->Open(member));
  const std::string where = "member '" + Printable(member.name) + "'";
  std::string skipped(static_cast<std::size_t>(std::min<std::uint64_t>(skip, 65536)), '\0');
  for (std::uint64_t left = skip; left > 0;) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left, skipped.size()));
    const Status status =
        ReadExactly(file.get(), std::as_writable_bytes(std::span(skipped).first(part)));
    if (!status.ok()) return status.Annotate(where);
    left -= part;
  }
  ELEPHAS_RETURN_IF_ERROR(ReadExactly(file.get(), into).Annotate(where));
  return ExpectEnd(file.get()).Annotate(where);
}

Result<std::string> ZipReader::ReadAll(const Member& member, std::uint64_t limit) {
  if (member.bytes > limit) {
    return Invalid("member '" + Printable(member.name) + "' claims " +
                   std::to_string(member.bytes) + " bytes, more than " + std::to_string(limit));
  }
  if (!PlausibleZipSize(member.bytes, member.compressed)) {
    return Invalid("member '" + Printable(member.name) + "' claims " +
                   std::to_string(member.bytes) + " bytes in " + std::to_string(member.compressed));
  }
  ELEPHAS_RETURN_IF_ERROR(
      CheckMemory(FreeMemory(), member.bytes, "member '" + Printable(member.name) + "'"));
  std::string out;
  try {
    out.resize(static_cast<std::size_t>(member.bytes));
  } catch (const std::bad_alloc&) {
    return Internal("not enough memory for member '" + Printable(member.name) + "'");
  }
  ELEPHAS_RETURN_IF_ERROR(ReadRest(member, 0, std::as_writable_bytes(std::span(out))));
  return out;
}

bool PlausibleZipSize(std::uint64_t bytes, std::uint64_t compressed) {
  constexpr std::uint64_t kDeflateRatio = 1032;
  constexpr std::uint64_t kSlack = 64;
  return compressed >= (UINT64_MAX - kSlack) / kDeflateRatio ||
         bytes <= compressed * kDeflateRatio + kSlack;
}

}  // namespace elephas
