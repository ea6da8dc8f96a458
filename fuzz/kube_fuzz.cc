// What comes from an API server and from kubeconfig files: never a crash, never an object without
// end.
#include <cstdint>
#include <string_view>

#include "common/base/base64.h"
#include "common/base/timestamp.h"
#include "fuzz/fuzz_check.h"
#include "kube/api_answer.h"
#include "kube/config/credentials.h"
#include "kube/config/rest_config.h"
#include "kube/testing/selector.h"

using namespace elephas;        // NOLINT(google-build-using-namespace): a program of its own
using namespace elephas::kube;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::size_t kMaxLine = 1'000;
constexpr std::int64_t kYear10000 = 253'402'300'800'000;

void Watch(std::string_view text) {
  // However the bytes arrive, the lines are the same.
  std::string whole, pieces;
  LineSplitter at_once(kMaxLine, [&](std::string_view line) {
    whole += std::string(line) + "\n";
    return ParseWatchLine(line).status();
  });
  const Status first = at_once.Add(text);
  LineSplitter one_by_one(kMaxLine, [&](std::string_view line) {
    pieces += std::string(line) + "\n";
    return ParseWatchLine(line).status();
  });
  Status second;
  for (std::size_t i = 0; i < text.size() && second.ok(); ++i) {
    second = one_by_one.Add(text.substr(i, 1));
  }
  FuzzCheck(first.code() == second.code(), "lines depend on how they arrive");
  FuzzCheck(whole == pieces, "lines depend on how they arrive");
  FuzzCheck(at_once.rest().size() <= kMaxLine, "a rest without bound");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Watch(text);
  for (const int status : {404, 409, 429, 500}) {
    FuzzCheck(!StatusOfAnswer(status, text, {}).ok(), "a refusal that is ok");
  }
  // Files that it names are looked for below a folder that is not there.
  (void)ResolveKubeconfig({{"/nonexistent/config", std::string(text)}}, {});
  (void)ResolveKubeconfig({{"/nonexistent/config", std::string(text)}},
                          {.cluster = "k", .user = "u"});
  (void)ParseExecCredential(text, "client.authentication.k8s.io/v1");
  (void)MatchesSelector({{"a", "b"}}, text);
  if (const auto bytes = DecodeBase64(text)) {
    FuzzCheck(DecodeBase64(EncodeBase64(*bytes)) == bytes, "base64 there and back");
  }
  if (const auto millis = ParseTime(text); millis && *millis >= 0 && *millis < kYear10000) {
    FuzzCheck(ParseTime(MicroTimeText(*millis)) == millis, "a time there and back");
  }
  return 0;
}
