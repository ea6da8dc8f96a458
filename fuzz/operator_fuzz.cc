// A job, its pods' status, its server's answer and a stranger's pod, a line each, beside a good job:
// from text to plan, to writes, to status. Nothing throws, and the good job is served.
#include <array>
#include <cstdint>
#include <string_view>

#include "common/base/log.h"
#include "common/json/json_bounds.h"
#include "fuzz/fuzz_check.h"
#include "operator/testing/survival.h"

using namespace elephas;  // NOLINT(google-build-using-namespace): a program of its own

namespace {

std::string_view TakeLine(std::string_view& text) {
  const auto end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

nlohmann::json Parsed(std::string_view text) {
  const auto value = ParseBounded(text, {});
  return value.ok() ? *value : nlohmann::json();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool kQuiet = InitLog({.level = "off"}).ok();
  FuzzCheck(kQuiet, "the log cannot be switched off");
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const nlohmann::json job = Parsed(TakeLine(text)), status = Parsed(TakeLine(text));
  const std::string answer(TakeLine(text));
  Neighbours cluster;
  cluster.PutBad(job);
  cluster.PutPod(Parsed(TakeLine(text)), "bad-worker-0");
  const std::string wrong = cluster.Live(status, answer);
  FuzzCheck(wrong.empty(), wrong.c_str());
  return 0;
}
