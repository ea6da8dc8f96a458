// Kubernetes' times: RFC 3339, UTC.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace elephas::kube {

// "2026-03-01T12:00:00Z": metav1.Time. The milliseconds are cut off.
std::string TimeText(std::int64_t unix_millis);
// "2026-03-01T12:00:00.123000Z": metav1.MicroTime, of Leases and events.
std::string MicroTimeText(std::int64_t unix_millis);
// Milliseconds since 1970; nullopt when `text` is neither of these, or has another offset than Z
// that cannot be read.
std::optional<std::int64_t> ParseTime(std::string_view text);

}  // namespace elephas::kube
