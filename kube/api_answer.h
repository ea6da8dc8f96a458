// What an API server's answers mean. Pure: no sockets.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/json/json_bounds.h"
#include "kube/client.h"

namespace elephas::kube {

// The Status for an answer that is not a success. `body` is a metav1.Status as a rule; what a proxy
// in between says instead is quoted, shortened. `retry_after`: from the header, zero when it had
// none.
Status StatusOfAnswer(int http_status, std::string_view body,
                      std::chrono::milliseconds retry_after);

// The Status for a metav1.Status object, as an ERROR event of a watch carries it.
Status StatusOfObject(const nlohmann::json& status, int http_status);

// One line of a watch. An ERROR event is its Status (kGone when the resourceVersion is too old); a
// line that is no event is kUnavailable: the answer was cut or mixed up.
// With `bounds` its object comes as ParseObject makes it.
Result<WatchEvent> ParseWatchLine(std::string_view line,
                                  const std::optional<JsonBounds>& bounds = {});

// The body of a list. With `bounds` its objects come as ParseObject makes them, and are parsed one
// by one. They go to `each` where there is one. kUnavailable: it is no list, or was cut short.
Result<ListPage> ParseList(std::string_view body, const std::optional<JsonBounds>& bounds = {},
                           const std::function<void(nlohmann::json)>& each = {});

// Cuts a stream into lines of bounded length. Not thread-safe.
class LineSplitter {
 public:
  // `take` gets each whole line without its end; an error stops the splitting and is what Add
  // returns.
  using Take = std::function<Status(std::string_view line)>;
  LineSplitter(std::size_t max_line, Take take) : max_line_(max_line), take_(std::move(take)) {}

  // kUnavailable for a line longer than the bound.
  Status Add(std::string_view bytes);
  // What came after the last line end.
  [[nodiscard]] const std::string& rest() const { return rest_; }

 private:
  std::size_t max_line_;
  Take take_;
  std::string rest_;
};

using Query = std::vector<std::pair<std::string, std::string>>;

// "/api/v1/namespaces/default/pods/digits-worker-0/log?follow=true". Empty parts are left out;
// names are escaped.
std::string ResourcePath(const Kind& kind, const ObjectName& name, std::string_view subresource,
                         const Query& query);

}  // namespace elephas::kube
