// An HttpRequest without a socket, for tests and fuzzers of the REST edge.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/http/server.h"
#include "common/http/target.h"

namespace elephas {

class FakeRequest final : public HttpRequest {
 public:
  // `announced`: Content-Length when it is not the body's true size.
  FakeRequest(std::string method, std::string_view target,
              std::map<std::string, std::string> headers, std::string body,
              std::int64_t announced = -1)
      : method_(std::move(method)), headers_(std::move(headers)), body_(std::move(body)) {
    auto parsed = ParseHttpTarget(target);
    if (parsed.ok()) target_ = std::move(parsed).value();
    length_ = announced < 0 ? body_.size() : static_cast<std::uint64_t>(announced);
  }
  [[nodiscard]] std::string_view method() const override { return method_; }
  [[nodiscard]] std::string_view path() const override { return target_.path; }
  [[nodiscard]] std::optional<std::string> query(std::string_view name) const override {
    for (const auto& [key, value] : target_.query) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::vector<std::string> query_names() const override {
    std::vector<std::string> names;
    for (const auto& [key, value] : target_.query) names.push_back(key);
    return names;
  }
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const override {
    const auto found = headers_.find(std::string(name));
    if (found == headers_.end()) return std::nullopt;
    return found->second;
  }
  [[nodiscard]] std::uint64_t content_length() const override { return length_; }
  [[nodiscard]] std::uint64_t body_left() const override { return length_ - read_; }
  Status ReadBody(std::span<std::byte> bytes) override {
    if (bytes.size() > body_left()) return Invalid("past the end of the body");
    if (read_ + bytes.size() > body_.size()) return Invalid("the body is truncated");
    if (!bytes.empty()) std::memcpy(bytes.data(), body_.data() + read_, bytes.size());
    read_ += bytes.size();
    return OkStatus();
  }

 private:
  std::string method_;
  HttpTarget target_;
  std::map<std::string, std::string> headers_;
  std::string body_;
  std::uint64_t length_ = 0, read_ = 0;
};

}  // namespace elephas
