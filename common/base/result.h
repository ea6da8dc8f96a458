// Status and Result: how every fallible function in the project answers.
//
// A caller decides by `Code`, never by the text of `message`. Third-party exceptions are turned
// into a Status at the adapter that calls the third party; they do not cross a public header.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace elephas {

enum class Code : std::uint8_t {
  kOk,
  kInvalid,       // the input is wrong; the same call will fail again
  kNotFound,      // the thing named does not exist
  kExists,        // the thing to be made is there already
  kConflict,      // the state moved on; re-read it and decide again
  kUnauthorized,  // the bearer token is missing or wrong
  kForbidden,     // known, but not allowed: a policy or a quota is in the way
  kGone,          // what was asked for existed and is no longer kept; start over
  kUnavailable,   // the other side cannot answer now; try again
  kTimeout,       // a deadline passed; try again
  kInternal,      // a defect or a broken machine (disk full, out of memory)
};

// "invalid", "not_found", … for logs and REST replies.
std::string_view CodeName(Code code);

// NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): it does not know what a variant holds
class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] bool ok() const { return code_ == Code::kOk; }
  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  // True for the kinds that a caller may simply try again.
  [[nodiscard]] bool retryable() const {
    return code_ == Code::kUnavailable || code_ == Code::kTimeout;
  }
  // How long the other side asked us to wait before the next try; zero: it did not say.
  [[nodiscard]] std::chrono::milliseconds retry_after() const { return retry_after_; }
  [[nodiscard]] Status WithRetryAfter(std::chrono::milliseconds wait) const {
    Status status = *this;
    status.retry_after_ = wait;
    return status;
  }
  // The same, message prefixed with `where` and ": ".
  [[nodiscard]] Status Annotate(std::string_view where) const {
    if (ok()) return *this;
    return Status(code_, std::string(where) + ": " + message_).WithRetryAfter(retry_after_);
  }

 private:
  Code code_ = Code::kOk;
  std::chrono::milliseconds retry_after_{0};
  std::string message_;
};

inline Status OkStatus() { return {}; }
inline Status Invalid(std::string m) { return {Code::kInvalid, std::move(m)}; }
inline Status NotFound(std::string m) { return {Code::kNotFound, std::move(m)}; }
inline Status Exists(std::string m) { return {Code::kExists, std::move(m)}; }
inline Status Conflict(std::string m) { return {Code::kConflict, std::move(m)}; }
inline Status Unauthorized(std::string m) { return {Code::kUnauthorized, std::move(m)}; }
inline Status Forbidden(std::string m) { return {Code::kForbidden, std::move(m)}; }
inline Status Gone(std::string m) { return {Code::kGone, std::move(m)}; }
inline Status Unavailable(std::string m) { return {Code::kUnavailable, std::move(m)}; }
inline Status Timeout(std::string m) { return {Code::kTimeout, std::move(m)}; }
inline Status Internal(std::string m) { return {Code::kInternal, std::move(m)}; }

// A value, or the Status that says why there is none (never kOk then).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : state_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return std::holds_alternative<T>(state_); }
  [[nodiscard]] Status status() const { return ok() ? Status() : std::get<Status>(state_); }

  // Precondition: ok().
  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace elephas

#define ELEPHAS_CONCAT_INNER(a, b) a##b
#define ELEPHAS_CONCAT(a, b) ELEPHAS_CONCAT_INNER(a, b)
#define ELEPHAS_RETURN_IF_ERROR(expr)                                                           \
  do {                                                                                          \
    if (::elephas::Status elephas_status = (expr); !elephas_status.ok()) return elephas_status; \
  } while (false)
#define ELEPHAS_ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                                   \
  if (!result.ok()) return result.status();               \
  lhs = std::move(result).value()
// ELEPHAS_ASSIGN_OR_RETURN(auto x, F()): x is F()'s value, or the function returns F()'s Status.
#define ELEPHAS_ASSIGN_OR_RETURN(lhs, expr) \
  ELEPHAS_ASSIGN_OR_RETURN_INNER(ELEPHAS_CONCAT(elephas_result_, __LINE__), lhs, expr)
