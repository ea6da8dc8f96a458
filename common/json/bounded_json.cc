#include "common/json/bounded_json.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace elephas {

namespace {

using nlohmann::json;

// Told of each value as the parser meets it; false from any of them ends the parse.
class BoundedBuilder final : public nlohmann::json_sax<json> {
 public:
  explicit BoundedBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return Add(nullptr) != nullptr; }
  bool boolean(bool value) override { return Add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return Add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    return Add(value) != nullptr;
  }
  bool string(string_t& value) override { return Add(std::move(value)) != nullptr; }
  // JSON text has none.
  bool binary(binary_t& /*value*/) override { return false; }

  bool start_object(std::size_t /*size*/) override { return Open(json::value_t::object); }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t /*size*/) override { return Open(json::value_t::array); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    // The entry is made when its value comes, so that it is counted once.
    if (limits_.unique_keys && open_.back()->contains(name)) {
      return Stop("'" + name + "' appears twice");
    }
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const json::exception& /*error*/) override {
    return Stop("not JSON: wrong at byte " + std::to_string(position));
  }

  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] json TakeValue() { return std::move(root_); }

 private:
  bool Stop(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
    return false;
  }

  // Where the value now is; nullptr: there is no room for it.
  template <typename Value>
  json* Add(Value&& value) {
    if (++nodes_ > limits_.max_nodes) {
      Stop("more than " + std::to_string(limits_.max_nodes) + " values");
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::forward<Value>(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      auto& elements = parent.get_ref<json::array_t&>();
      return &elements.emplace_back(std::forward<Value>(value));
    }
    json& entry = parent.get_ref<json::object_t&>()[std::move(key_)];
    entry = std::forward<Value>(value);
    return &entry;
  }

  bool Open(json::value_t kind) {
    if (open_.size() >= limits_.max_depth) {
      return Stop("nested deeper than " + std::to_string(limits_.max_depth) + " levels");
    }
    json* const container = Add(json(kind));
    if (container == nullptr) return false;
    open_.push_back(container);
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits& limits_;
  json root_;
  // The containers around the place that is read. A parent does not grow while its child is open,
  // so the addresses hold.
  std::vector<json*> open_;
  std::string key_;
  std::size_t nodes_ = 0;
  std::string problem_;
};

}  // namespace

JsonLimits JsonLimitsFor(std::size_t max_bytes) {
  constexpr std::size_t kBytesEach = 4;
  constexpr std::size_t kAlways = 1024;  // short texts may have shorter values
  return {.max_bytes = max_bytes, .max_nodes = std::max(kAlways, max_bytes / kBytesEach)};
}

Result<json> ParseBoundedJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Invalid("JSON of " + std::to_string(text.size()) + " bytes, the limit is " +
                   std::to_string(limits.max_bytes));
  }
  BoundedBuilder builder(limits);
  if (!json::sax_parse(text.begin(), text.end(), &builder)) return Invalid(builder.problem());
  return builder.TakeValue();
}

}  // namespace elephas
