// Cuts CSV text into cells as RFC 4180 says: commas, quotes with "" for a quote inside, lines that
// end in LF or CRLF, the last one perhaps in nothing.
//
//   file   := record *(newline record) [newline]
//   record := cell *("," cell)
//   cell   := '"' *(any character but '"' / '""') '"'   / *(any character but ',' '"' newline)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace elephas {

struct CsvCell {
  std::string_view text;  // until the next call; without quotes
  bool quoted = false;
  bool ends_record = false;
};

class CsvCursor {
 public:
  // `text` must outlive the cursor. A byte order mark is skipped.
  explicit CsvCursor(std::string_view text);

  // Skips empty lines; true when no record is left.
  bool AtEnd();
  // From 1, where the next cell starts.
  [[nodiscard]] std::int64_t line() const { return line_; }
  // Bytes that are left.
  [[nodiscard]] std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }

  // kInvalid (without file and line): a quote that is not closed, or stands where none may.
  // Precondition: not behind the last cell.
  Status Next(CsvCell& cell);

  // The fast path: when the next cell is a plain finite number up to its comma or line end, reads
  // it. False, and nothing has moved, otherwise.
  bool NextNumber(float& value, bool& ends_record);

 private:
  Status NextQuoted(CsvCell& cell);
  // Consumes the comma or line end at `at`; false when something else stands there.
  bool Delimiter(const char* at, bool& ends_record);

  const char* at_;
  const char* end_;
  std::int64_t line_ = 1;
  std::string unescaped_;  // of a cell with doubled quotes
};

}  // namespace elephas
