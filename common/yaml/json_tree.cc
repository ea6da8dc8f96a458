#include "common/yaml/json_tree.h"

#include <cstddef>
#include <iterator>
#include <string>

namespace elephas::manifest {

namespace {

using nlohmann::json;

// Where nlohmann's reader is: it tells events without places, but takes the text character by
// character, and never more than one beyond what it tells.
struct Position {
  int line = 1;
  int line_of_last_mark = 1;  // of what was no blank: numbers end at the character behind them
  std::size_t taken = 0;
};

class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, Position* position) : at_(at), position_(position) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    if (*at_ == '\n') {
      ++position_->line;
    } else if (*at_ != ' ' && *at_ != '\t' && *at_ != '\r') {
      position_->line_of_last_mark = position_->line;
    }
    ++at_;
    ++position_->taken;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) {
    return a.at_ == b.at_;
  }

 private:
  const char* at_;
  Position* position_;
};

ScalarText Plain(std::string text) { return {std::move(text), true}; }

class Sax {
 public:
  Sax(TreeBuilder* builder, const Position* position) : builder_(*builder), position_(*position) {}

  bool null() { return Scalar(Plain("null")); }
  bool boolean(bool value) { return Scalar(Plain(value ? "true" : "false")); }
  bool number_integer(std::int64_t value) { return Scalar(Plain(std::to_string(value))); }
  bool number_unsigned(std::uint64_t value) { return Scalar(Plain(std::to_string(value))); }
  bool number_float(double /*value*/, const std::string& text) { return Scalar(Plain(text)); }
  bool string(std::string& value) { return Scalar({std::move(value)}); }
  bool binary(json::binary_t& /*value*/) { return false; }
  bool key(std::string& value) { return Scalar({std::move(value)}); }
  bool start_object(std::size_t /*count*/) { return Open(Node::Kind::kMapping); }
  bool start_array(std::size_t /*count*/) { return Open(Node::Kind::kSequence); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }
  bool parse_error(std::size_t /*at*/, const std::string& token, const json::exception& error) {
    constexpr int kNumberOverflow = 406;
    if (error.id == kNumberOverflow) {
      throw Refusal{Line(), Printable(token) + " is not a number that JSON can hold"};
    }
    return false;
  }

  // Behind the outermost object; 0 when it has not ended.
  [[nodiscard]] std::size_t end() const { return end_; }

 private:
  [[nodiscard]] int Line() const { return position_.line_of_last_mark; }
  bool Scalar(ScalarText text) {
    builder_.Scalar(Line(), std::move(text));
    return true;
  }
  bool Open(Node::Kind kind) {
    ++depth_;
    builder_.Open(kind, Line());
    return true;
  }
  bool Close() {
    builder_.Close();
    if (--depth_ == 0) end_ = position_.taken;
    return true;
  }

  TreeBuilder& builder_;
  const Position& position_;
  int depth_ = 0;
  std::size_t end_ = 0;
};

ScalarText TextOf(const std::string& text) {
  if (!IsUtf8(text)) throw Refusal{0, "is not UTF-8 text"};
  return {text};
}

}  // namespace

std::size_t BuildFromJsonText(std::string_view text, TreeBuilder& builder) {
  Position position;
  Sax sax(&builder, &position);
  constexpr bool kNothingMayFollow = false;
  static_cast<void>(json::sax_parse(CountingIterator(text.data(), &position),
                                    CountingIterator(text.data() + text.size(), &position), &sax,
                                    json::input_format_t::json, kNothingMayFollow));
  return sax.end();
}

// As deep as the builder lets it go.
void BuildFromJson(const json& document, TreeBuilder& builder) {
  switch (document.type()) {
    case json::value_t::object:
      builder.Open(Node::Kind::kMapping, 0);
      for (const auto& [key, value] : document.items()) {
        builder.Scalar(0, TextOf(key));
        BuildFromJson(value, builder);
      }
      builder.Close();
      break;
    case json::value_t::array:
      builder.Open(Node::Kind::kSequence, 0);
      for (const json& item : document) BuildFromJson(item, builder);
      builder.Close();
      break;
    case json::value_t::string:
      builder.Scalar(0, TextOf(document.get_ref<const std::string&>()));
      break;
    default:
      builder.Scalar(0, Plain(document.dump()));
  }
}

}  // namespace elephas::manifest
