#include "worker/data/npy_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "worker/files/printable.h"

namespace elephas::npy {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kVersionAt = 6;
constexpr std::size_t kLengthAt = 8;

struct KindRow {
  std::string_view name;
  Kind kind;
  std::size_t bytes;
};
constexpr std::array<KindRow, 12> kKinds{{{"f2", Kind::kF2, 2},
                                          {"f4", Kind::kF4, 4},
                                          {"f8", Kind::kF8, 8},
                                          {"i1", Kind::kI1, 1},
                                          {"i2", Kind::kI2, 2},
                                          {"i4", Kind::kI4, 4},
                                          {"i8", Kind::kI8, 8},
                                          {"u1", Kind::kU1, 1},
                                          {"u2", Kind::kU2, 2},
                                          {"u4", Kind::kU4, 4},
                                          {"u8", Kind::kU8, 8},
                                          {"b1", Kind::kB1, 1}}};

// Walks the dict literal. Only what NumPy writes is understood; anything else is "not a header".
class DictReader {
 public:
  explicit DictReader(std::string_view text) : text_(text) {}

  bool Take(char wanted) {
    SkipSpace();
    if (text_.empty() || text_.front() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }
  [[nodiscard]] bool AtEnd() {
    SkipSpace();
    return text_.empty();
  }

  std::optional<std::string_view> String() {
    SkipSpace();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) return std::nullopt;
    const std::size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }

  std::optional<bool> Bool() {
    SkipSpace();
    for (const auto& [word, value] :
         {std::pair{std::string_view("True"), true}, std::pair{std::string_view("False"), false}}) {
      if (text_.starts_with(word)) {
        text_.remove_prefix(word.size());
        return value;
      }
    }
    return std::nullopt;
  }

  // "(3, 4)", "(3,)" or "()"; Python 2 wrote "3L".
  std::optional<std::vector<std::int64_t>> Shape() {
    if (!Take('(')) return std::nullopt;
    std::vector<std::int64_t> shape;
    while (!Take(')')) {
      SkipSpace();
      std::int64_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0) return std::nullopt;
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      Take('L');
      shape.push_back(extent);
      if (shape.size() > 64) return std::nullopt;
      if (!Take(',')) {
        if (!Take(')')) return std::nullopt;
        break;
      }
    }
    return shape;
  }

  // The text of a list up to its closing bracket, for messages.
  std::string_view RawList() {
    SkipSpace();
    const std::string_view start = text_;
    int depth = 0;
    while (!text_.empty()) {
      const char c = text_.front();
      text_.remove_prefix(1);
      if (c == '[') ++depth;
      if (c == ']' && --depth <= 0) break;
    }
    return start.substr(0, start.size() - text_.size());
  }

  [[nodiscard]] char Peek() {
    SkipSpace();
    return text_.empty() ? '\0' : text_.front();
  }

 private:
  void SkipSpace() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n' ||
                              text_.front() == '\t' || text_.front() == '\r')) {
      text_.remove_prefix(1);
    }
  }
  std::string_view text_;
};

Status ReadDtype(std::string_view descr, Header& header) {
  const auto refuse = [&] {
    return Invalid("dtype '" + Printable(descr) +
                   "' is not supported: use a float, integer or bool dtype");
  };
  std::string_view kind = descr;
  if (!kind.empty() &&
      (kind.front() == '<' || kind.front() == '>' || kind.front() == '|' || kind.front() == '=')) {
    header.big_endian = kind.front() == '>';
    kind.remove_prefix(1);
  }
  const auto* const row =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const KindRow& r) { return r.name == kind; });
  if (row == kKinds.end()) return refuse();
  header.kind = row->kind;
  header.item_bytes = row->bytes;
  return OkStatus();
}

Status ReadDict(std::string_view text, Header& header) {
  const Status broken = Invalid("its .npy header is broken");
  DictReader reader(text);
  bool descr = false;
  bool order = false;
  bool shape = false;
  if (!reader.Take('{')) return broken;
  while (!reader.Take('}')) {
    const std::optional<std::string_view> key = reader.String();
    if (!key || !reader.Take(':')) return broken;
    if (*key == "descr" && !descr) {
      if (reader.Peek() == '[') {
        return Invalid("structured dtype " + Printable(reader.RawList()) +
                       " is not supported: save one plain array per column");
      }
      const std::optional<std::string_view> value = reader.String();
      if (!value) return broken;
      ELEPHAS_RETURN_IF_ERROR(ReadDtype(*value, header));
      descr = true;
    } else if (*key == "fortran_order" && !order) {
      const std::optional<bool> value = reader.Bool();
      if (!value) return broken;
      header.fortran_order = *value;
      order = true;
    } else if (*key == "shape" && !shape) {
      std::optional<std::vector<std::int64_t>> value = reader.Shape();
      if (!value) return broken;
      header.shape = *std::move(value);
      shape = true;
    } else {
      return broken;
    }
    if (!reader.Take(',')) {
      if (!reader.Take('}')) return broken;
      break;
    }
  }
  return descr && order && shape && reader.AtEnd() ? OkStatus() : broken;
}

}  // namespace

Result<Header> ParseHeader(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kMagic)) return Invalid("is not an .npy array");
  if (text.size() < kLengthAt) return Invalid("truncated .npy array");
  const int major = static_cast<unsigned char>(text[kVersionAt]);
  if (major < 1 || major > 3) {
    return Invalid(".npy version " + std::to_string(major) + " is not supported");
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  if (text.size() < kLengthAt + length_bytes) return Invalid("truncated .npy array");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    length |= static_cast<std::size_t>(static_cast<unsigned char>(text[kLengthAt + i])) << (8 * i);
  }
  const std::size_t start = kLengthAt + length_bytes;
  if (length > kMaxPrefixBytes - start) return Invalid("its .npy header is too long");
  if (text.size() - start < length) return Invalid("truncated .npy array");

  Header header;
  ELEPHAS_RETURN_IF_ERROR(ReadDict(text.substr(start, length), header));
  header.data_offset = start + length;
  header.data_bytes = header.item_bytes;
  for (const std::int64_t extent : header.shape) {
    const auto size = static_cast<std::uint64_t>(extent);
    if (__builtin_mul_overflow(header.elements, size, &header.elements) ||
        __builtin_mul_overflow(header.data_bytes, size, &header.data_bytes) ||
        header.data_bytes > static_cast<std::uint64_t>(INT64_MAX)) {
      return Invalid("its shape is too large");
    }
  }
  return header;
}

}  // namespace elephas::npy
