// Pulls and pushes of one size against a running parameter server, as a worker does them: straight
// into and out of memory that it holds. Started by bench/dataplane.py.
//
// usage: bench-dataplane URL TOKEN ELEMENTS REPEATS
//   URL       of server 0 of a job with one partition, batchSize 1, asynchronous, frequency batch
//   ELEMENTS  float32 parameters of the model
// Prints one line of JSON: {"bytes": …, "pull": [seconds…], "push": [seconds…]}.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/http/client.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/protocol.h"
#include "common/protocol/safetensors.h"

namespace elephas {
namespace {

using nlohmann::json;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{30};
constexpr int kWarmUp = 3;  // buffers of the server's pool, the socket's windows

[[noreturn]] void GiveUp(const std::string& message) {
  std::fprintf(stderr, "bench-dataplane: %s\n", message.c_str());
  std::exit(1);
}

// First the safetensors header, whose size is the same each time, then the floats.
class FloatSink final : public HttpClient::Sink {
 public:
  explicit FloatSink(std::span<float> floats) : floats_(std::as_writable_bytes(floats)) {}
  Result<std::span<std::byte>> Next(std::size_t remaining) override {
    if (remaining == floats_.size()) return floats_;
    header_.resize(remaining - floats_.size());
    return std::span(header_);
  }

 private:
  std::span<std::byte> floats_;
  std::vector<std::byte> header_;
};

class Bench {
 public:
  Bench(const std::string& url, const std::string& token, std::int64_t elements)
      : http_({.base_url = url, .token = token}),
        floats_(static_cast<std::size_t>(elements), 0.5F) {
    incarnation_ = Json("POST", "/v1/workers", {{"name", "bench"}}).at("incarnation");
    Initialise(elements);
    const json reply = Json("POST", "/v1/leases", {{"worker", "bench"}, {"wait", 10}});
    auto lease = LeaseFromJson(reply.at("lease"));
    if (!lease.ok()) GiveUp(lease.status().message());
    lease_ = *lease;
  }

  void Pull() {
    FloatSink sink(floats_);
    Check(http_.Send("GET", "/v1/parameters", Headers(""), {}, kPatience, &sink));
  }

  // The next batch: a repeated one would only be answered.
  void Push() {
    UpdateHeader update;
    update.incarnation = Incarnation(incarnation_);
    update.lease = lease_.id;
    update.task = lease_.task;
    update.batches = {batch_, batch_ + 1};
    update.base = Version(batch_);
    update.examples = update.steps = 1;
    update.metrics = {{}};
    ++batch_;
    Tensors("POST", "/v1/updates", "delta", {{"update", ToJson(update).dump()}});
  }

 private:
  void Initialise(std::int64_t elements) {
    ModelLayout layout;
    layout.weights.resize(1);
    layout.weights[0].name = "dense/kernel";
    layout.weights[0].shape = {elements};
    layout.weights[0].size = elements;
    layout.trainable_elements = layout.total_elements = elements;
    layout.optimizer = {{"class_name", "SGD"}, {"config", {{"learning_rate", 0.1}}}};
    layout.examples = 100000;
    (void)Json("PUT", "/v1/layout", ToJson(layout));
    Tensors("PUT", "/v1/parameters", "parameters", {});
  }

  std::vector<std::pair<std::string, std::string>> Headers(const std::string& type) const {
    std::vector<std::pair<std::string, std::string>> headers;
    if (incarnation_ != 0)
      headers.emplace_back("Elephas-Incarnation", std::to_string(incarnation_));
    if (!type.empty()) headers.emplace_back("Content-Type", type);
    return headers;
  }

  static HttpResponse Check(Result<HttpResponse> response) {
    if (!response.ok()) GiveUp(response.status().message());
    if (response->status / 100 != 2)
      GiveUp(std::to_string(response->status) + " " + response->body);
    return std::move(response).value();
  }

  json Json(const std::string& method, const std::string& target, const json& body) {
    const std::string text = body.dump();
    return json::parse(Check(http_.Send(method, target, Headers("application/json"),
                                        {std::as_bytes(std::span(text))}, kPatience))
                           .body);
  }

  void Tensors(const std::string& method, const std::string& target, const std::string& name,
               const std::map<std::string, std::string>& metadata) {
    const std::string header = safetensors::SerializeHeader(
        metadata, {{name, "F32", {static_cast<std::int64_t>(floats_.size())}, 0, 0}});
    (void)Check(http_.Send(
        method, target, Headers("application/octet-stream"),
        {std::as_bytes(std::span(header)), std::as_bytes(std::span(std::as_const(floats_)))},
        kPatience));
  }

  HttpClient http_;
  std::vector<float> floats_;
  std::int64_t incarnation_ = 0;
  Lease lease_;
  std::int64_t batch_ = 0;
};

std::vector<double> Time(int repeats, const std::function<void()>& call) {
  for (int i = 0; i < kWarmUp; ++i) call();
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const auto start = SteadyClock::now();
    call();
    seconds.push_back(std::chrono::duration<double>(SteadyClock::now() - start).count());
  }
  return seconds;
}

}  // namespace
}  // namespace elephas

int main(int argc, char** argv) {
  if (argc != 5) elephas::GiveUp("usage: bench-dataplane URL TOKEN ELEMENTS REPEATS");
  const std::int64_t elements = std::atoll(argv[3]);
  const int repeats = std::atoi(argv[4]);
  if (elements < 1 || repeats < 1) elephas::GiveUp("ELEMENTS and REPEATS are whole numbers from 1");
  elephas::Bench bench(argv[1], argv[2], elements);
  const nlohmann::json result{{"bytes", elements * static_cast<std::int64_t>(sizeof(float))},
                              {"pull", elephas::Time(repeats, [&] { bench.Pull(); })},
                              {"push", elephas::Time(repeats, [&] { bench.Push(); })}};
  std::printf("%s\n", result.dump().c_str());
}
