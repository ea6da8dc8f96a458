#include "worker/data/csv_records.h"

#include <cstring>

#include "worker/data/number_text.h"

namespace elephas {

CsvCursor::CsvCursor(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) at_ += kByteOrderMark.size();
}

bool CsvCursor::AtEnd() {
  while (at_ != end_) {
    const bool crlf = *at_ == '\r' && at_ + 1 != end_ && at_[1] == '\n';
    if (*at_ != '\n' && !crlf) return false;
    at_ += crlf ? 2 : 1;
    ++line_;
  }
  return true;
}

bool CsvCursor::Delimiter(const char* at, bool& ends_record) {
  if (at == end_) {
    ends_record = true;
    at_ = at;
    return true;
  }
  if (*at == ',') {
    ends_record = false;
    at_ = at + 1;
    return true;
  }
  if (*at == '\r' && (at + 1 == end_ || at[1] == '\n')) ++at;
  if (at != end_ && *at != '\n') return false;
  ends_record = true;
  at_ = at == end_ ? at : at + 1;
  ++line_;
  return true;
}

bool CsvCursor::NextNumber(float& value, bool& ends_record) {
  const char* const stop = ParseFloatPrefix(at_, end_, value);
  return stop != nullptr && Delimiter(stop, ends_record);
}

Status CsvCursor::Next(CsvCell& cell) {
  if (at_ != end_ && *at_ == '"') return NextQuoted(cell);
  const char* stop = at_;
  while (stop != end_ && *stop != ',' && *stop != '\n' && *stop != '"') ++stop;
  if (stop != end_ && *stop == '"') {
    return Invalid("a quote inside a cell that does not start with one");
  }
  // CR belongs to the line's end, not to the cell.
  const bool carriage_return = stop != at_ && stop[-1] == '\r' && (stop == end_ || *stop == '\n');
  cell.text = {at_, static_cast<std::size_t>(stop - at_) - (carriage_return ? 1 : 0)};
  cell.quoted = false;
  Delimiter(stop, cell.ends_record);
  return OkStatus();
}

Status CsvCursor::NextQuoted(CsvCell& cell) {
  const char* start = at_ + 1;
  unescaped_.clear();
  while (true) {
    const void* found = std::memchr(start, '"', static_cast<std::size_t>(end_ - start));
    if (found == nullptr) return Invalid("a quote is opened and never closed");
    const char* const quote = static_cast<const char*>(found);
    const bool doubled = quote + 1 != end_ && quote[1] == '"';
    unescaped_.append(start, quote + (doubled ? 1 : 0));
    start = quote + (doubled ? 2 : 1);
    if (!doubled) break;
  }
  for (const char c : unescaped_) line_ += c == '\n' ? 1 : 0;
  cell.text = unescaped_;
  cell.quoted = true;
  if (!Delimiter(start, cell.ends_record)) return Invalid("characters after a closing quote");
  return OkStatus();
}

}  // namespace elephas
