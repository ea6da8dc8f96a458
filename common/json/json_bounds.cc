#include "common/json/json_bounds.h"

#include <string>

namespace elephas {

namespace {

using nlohmann::json;

// Counts what a parser would make. Every function answers whether to go on.
class Counter final : public nlohmann::json_sax<json> {
 public:
  explicit Counter(const JsonBounds& bounds) : bounds_(bounds) {}

  bool null() override { return Node(); }
  bool boolean(bool) override { return Node(); }
  bool number_integer(number_integer_t) override { return Node(); }
  bool number_unsigned(number_unsigned_t) override { return Node(); }
  bool number_float(number_float_t, const string_t&) override { return Node(); }
  bool string(string_t&) override { return Node(); }
  bool binary(binary_t&) override { return Node(); }
  bool key(string_t&) override { return Node(); }
  bool start_object(std::size_t) override { return Deeper(); }
  bool end_object() override { return Shallower(); }
  bool start_array(std::size_t) override { return Deeper(); }
  bool end_array() override { return Shallower(); }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    problem_ = "is not JSON: byte " + std::to_string(position) + " does not fit";
    return false;
  }

  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  bool Node() {
    if (++nodes_ <= bounds_.nodes) return true;
    problem_ = "holds more than " + std::to_string(bounds_.nodes) + " values";
    return false;
  }
  bool Deeper() {
    if (++depth_ <= bounds_.depth) return Node();
    problem_ = "is nested deeper than " + std::to_string(bounds_.depth) + " levels";
    return false;
  }
  bool Shallower() {
    --depth_;
    return true;
  }

  const JsonBounds bounds_;
  std::size_t nodes_ = 0, depth_ = 0;
  std::string problem_;
};

// Reads tokens of a JSON text far enough to know where values end.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) { SkipBlanks(); }

  [[nodiscard]] bool AtEnd() const { return at_ == text_.size(); }
  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    SkipBlanks();
    return true;
  }
  // Between the quotes; false when there is no string.
  bool TakeString(std::string_view& inside) {
    if (AtEnd() || text_[at_] != '"') return false;
    const std::size_t begin = at_ + 1;
    if (!SkipString()) return false;
    inside = text_.substr(begin, at_ - begin - 1);
    SkipBlanks();
    return true;
  }
  bool TakeValue(std::string_view& value) {
    const std::size_t begin = at_;
    std::size_t depth = 0;
    while (!AtEnd()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!SkipString()) return false;
      } else if (c == '{' || c == '[') {
        ++depth;
        ++at_;
      } else if (c == '}' || c == ']') {
        if (depth == 0) break;
        --depth;
        ++at_;
      } else if (c == ',' && depth == 0) {
        break;
      } else {
        ++at_;
      }
    }
    value = text_.substr(begin, at_ - begin);
    while (!value.empty() && IsBlank(value.back())) value.remove_suffix(1);
    return depth == 0 && !value.empty();
  }

 private:
  static bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  void SkipBlanks() {
    while (!AtEnd() && IsBlank(text_[at_])) ++at_;
  }
  // Past the closing quote.
  bool SkipString() {
    for (++at_; !AtEnd(); ++at_) {
      if (text_[at_] == '\\') {
        if (++at_ == text_.size()) return false;
      } else if (text_[at_] == '"') {
        ++at_;
        return true;
      }
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Status Walk(std::string_view text, bool mapping, const JsonPiece& piece) {
  const Status broken = Invalid(mapping ? "is no JSON mapping" : "is no JSON list");
  const char close = mapping ? '}' : ']';
  Cursor cursor(text);
  if (!cursor.Take(mapping ? '{' : '[')) return broken;
  bool first = true;
  while (!cursor.Take(close)) {
    if (!first && !cursor.Take(',')) return broken;
    first = false;
    std::string_view key, value;
    if (mapping && (!cursor.TakeString(key) || !cursor.Take(':'))) return broken;
    if (!cursor.TakeValue(value)) return broken;
    ELEPHAS_RETURN_IF_ERROR(piece(key, value));
  }
  return cursor.AtEnd() ? OkStatus() : broken;
}

}  // namespace

Result<json> ParseBounded(std::string_view text, const JsonBounds& bounds) {
  if (text.size() > bounds.bytes) {
    return Invalid("has " + std::to_string(text.size()) + " bytes, more than " +
                   std::to_string(bounds.bytes));
  }
  Counter counter(bounds);
  if (!json::sax_parse(text, &counter)) return Invalid(counter.problem());
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Invalid("is not JSON");
  return value;
}

Status ForEachMember(std::string_view mapping, const JsonPiece& piece) {
  return Walk(mapping, true, piece);
}

Status ForEachEntry(std::string_view list, const JsonPiece& piece) {
  return Walk(list, false, piece);
}

}  // namespace elephas
