// Reads zip archives (.npz, .keras). Members are asked for by name and read into memory; nothing is
// ever extracted to a path, so names that climb out have nowhere to go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas {

// Not thread-safe.
class ZipReader {
 public:
  struct Member {
    std::string name;
    std::uint64_t bytes = 0;       // uncompressed, as the archive claims
    std::uint64_t compressed = 0;  // in the archive
  };

  // kNotFound; kInvalid when it is not a whole zip archive, or holds two members of one name.
  static Result<ZipReader> OpenFile(const std::string& path);
  // `bytes` must outlive the reader. Messages name no file.
  static Result<ZipReader> OpenMemory(std::span<const std::byte> bytes);
  ZipReader(ZipReader&&) noexcept;
  ZipReader& operator=(ZipReader&&) noexcept;
  ~ZipReader();

  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  // Null when there is none.
  [[nodiscard]] const Member* Find(std::string_view name) const;

  // The first bytes of a member, at most `limit`.
  Result<std::string> ReadPrefix(const Member& member, std::size_t limit);
  // Skips `skip` bytes, fills `into` and checks that the member ends there and its checksum holds.
  // kInvalid otherwise. Lets a caller bound what it allocates by what it has read of the prefix.
  Status ReadRest(const Member& member, std::uint64_t skip, std::span<std::byte> into);
  // The whole of a member; kInvalid when it is longer than `limit`, claims more than its compressed
  // bytes can hold or than there is memory.
  Result<std::string> ReadAll(const Member& member, std::uint64_t limit);

 private:
  struct Archive;
  explicit ZipReader(std::unique_ptr<Archive> archive);
  Status ReadDirectory();
  std::unique_ptr<Archive> archive_;
  std::vector<Member> members_;
};

// False when `bytes` cannot come out of `compressed` bytes of a stored or deflated member: deflate
// makes at most 1032 bytes of one. Then the archive's claim is a lie and must not be allocated.
bool PlausibleZipSize(std::uint64_t bytes, std::uint64_t compressed);

}  // namespace elephas
