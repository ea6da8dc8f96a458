#include "kube/guard.h"

#include <exception>
#include <new>
#include <string>

#include "common/base/log.h"
#include "common/base/utf8.h"

namespace elephas::kube {

namespace {

constexpr std::size_t kMaxText = 1'000;

// Of the exception that is being handled.
std::string Text() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return "out of memory";
  } catch (const std::exception& error) {
    return Shortened(ValidUtf8(error.what()), kMaxText);
  } catch (...) {
    return "an exception of no known type";
  }
}

}  // namespace

Status CaughtException(ClientObserver& observer, std::string_view where, std::string_view about) {
  try {
    std::string text = Text();
    observer.Panicked(where);
    LogError("exception caught", {{"where", where}, {"about", about}, {"error", text}});
    return Internal(std::move(text));
  } catch (...) {  // no memory even for that
    return Internal({});
  }
}

}  // namespace elephas::kube
