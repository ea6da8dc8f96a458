#include "worker/exchange/rest_exchange.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <future>
#include <map>
#include <string_view>
#include <utility>

#include "common/http/client.h"
#include "common/protocol/partitioning.h"
#include "common/protocol/safetensors.h"
#include "worker/exchange/rest_call.h"

namespace elephas {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kExchangePatience{60000};
constexpr milliseconds kVersionWait{20000};
constexpr std::uint64_t kMaxHeader = 65536;

// One server's part of the arena and of each slot.
struct Part {
  Range parameters;  // elements of the arena
  Range trainable;   // the same, cut to the trainable part
};

Part PartOf(const ModelLayout& layout, std::size_t servers, std::size_t index) {
  const Range all = ShardElements(layout.total_elements, static_cast<std::int64_t>(servers),
                                  static_cast<std::int64_t>(index));
  const auto cut = [&](std::int64_t element) {
    return std::min(element, layout.trainable_elements);
  };
  return {all, {cut(all.first), cut(all.last)}};
}

template <typename T>
std::span<T> Sub(std::span<T> all, const Range& range) {
  return all.subspan(static_cast<std::size_t>(range.first), static_cast<std::size_t>(range.size()));
}

// The pieces of one server's part of the slots: a row of [slots, trainable] after the other.
template <typename T>
std::vector<std::span<T>> SlotRows(std::span<T> slots, const ModelLayout& layout,
                                   const Part& part) {
  std::vector<std::span<T>> rows;
  if (slots.empty()) return rows;
  for (std::size_t i = 0; i < layout.slot_names.size(); ++i) {
    const auto offset = static_cast<std::int64_t>(i) * layout.trainable_elements;
    rows.push_back(Sub(slots, {offset + part.trainable.first, offset + part.trainable.last}));
  }
  return rows;
}

safetensors::TensorInfo Vector(std::string name, std::int64_t elements) {
  return {std::move(name), "F32", {elements}, 0, 0};
}

// A body of one tensor over `values` and, where there are slot rows, a second one over them.
struct Body {
  std::string header;
  std::vector<std::span<const std::byte>> pieces;
};
Body MakeBody(const std::string& name, std::span<const float> values,
              const std::vector<std::span<const float>>& slots,
              const std::map<std::string, std::string>& metadata) {
  std::vector<safetensors::TensorInfo> tensors{
      Vector(name, static_cast<std::int64_t>(values.size()))};
  Body body;
  if (!slots.empty()) {
    tensors.push_back(
        {"slots",
         "F32",
         {static_cast<std::int64_t>(slots.size()), static_cast<std::int64_t>(slots[0].size())},
         0,
         0});
  }
  body.header = safetensors::SerializeHeader(metadata, tensors);
  body.pieces.emplace_back();  // the header's place: its bytes must not move any more
  body.pieces.push_back(std::as_bytes(values));
  for (const auto& row : slots) body.pieces.push_back(std::as_bytes(row));
  return body;
}

// Receives a safetensors reply: length and header into small buffers, then the numbers straight
// into the arena.
class TensorSink final : public HttpClient::Sink {
 public:
  TensorSink(std::span<float> parameters, std::vector<std::span<float>> slots)
      : parameters_(parameters), slots_(std::move(slots)) {}

  Result<std::span<std::byte>> Next(std::size_t remaining) override {
    for (;;) {
      switch (stage_++) {
        case 0:
          return std::as_writable_bytes(std::span(&length_, 1));
        case 1:
          if (length_ > kMaxHeader || length_ > remaining) {
            return Invalid("the reply's tensor header is too long");
          }
          text_.resize(length_);
          if (!text_.empty()) return std::as_writable_bytes(std::span(text_));
          continue;
        case 2:
          ELEPHAS_RETURN_IF_ERROR(CheckHeader(remaining));
          if (!parameters_.empty()) return std::as_writable_bytes(parameters_);
          continue;
        default: {
          const auto row = static_cast<std::size_t>(stage_ - 4);
          if (row >= slots_.size()) return Invalid("the reply is longer than its header says");
          if (!slots_[row].empty()) return std::as_writable_bytes(slots_[row]);
        }
      }
    }
  }

  [[nodiscard]] std::int64_t Metadata(const std::string& name) const {
    const auto it = header_.metadata.find(name);
    std::int64_t value = 0;
    if (it != header_.metadata.end()) {
      (void)std::from_chars(it->second.data(), it->second.data() + it->second.size(), value);
    }
    return value;
  }

 private:
  Status CheckHeader(std::size_t remaining) {
    ELEPHAS_ASSIGN_OR_RETURN(header_, safetensors::ParseHeader(text_));
    const safetensors::TensorInfo* parameters = header_.Find("parameters");
    const std::size_t expected =
        parameters_.size_bytes() + (slots_.empty() ? 0 : slots_.size() * slots_[0].size_bytes());
    if (parameters == nullptr || parameters->dtype != "F32" || parameters->begin != 0 ||
        parameters->end != parameters_.size_bytes() || remaining != expected) {
      return Invalid("the reply does not hold the parameters that were asked for");
    }
    return OkStatus();
  }

  std::span<float> parameters_;
  std::vector<std::span<float>> slots_;
  int stage_ = 0;
  std::uint64_t length_ = 0;
  std::string text_;
  safetensors::Header header_;
};

class RestExchange final : public Exchange {
 public:
  RestExchange(const std::vector<std::string>& servers, const std::string& token,
               Incarnation incarnation, const ModelLayout& layout)
      : layout_(layout), incarnation_(incarnation) {
    for (std::size_t i = 0; i < servers.size(); ++i) {
      servers_.push_back({HttpClient({.base_url = servers[i], .token = token}),
                          PartOf(layout, servers.size(), i)});
    }
  }

  Status Initialise(const ModelLayout& layout, std::span<const float> parameters,
                    std::span<const float> slots, std::int64_t iterations) override {
    return OnAll(0, [&](Server& server) -> Status {
      const std::string text = ToJson(layout).dump();
      ELEPHAS_RETURN_IF_ERROR(Send(server, "PUT", "/v1/layout", "application/json",
                                   {std::as_bytes(std::span(text))}, nullptr)
                                  .status());
      Body body = MakeBody("parameters", Sub(parameters, server.part.parameters),
                           SlotRows(slots, layout_, server.part),
                           {{"iterations", std::to_string(iterations)}});
      body.pieces[0] = std::as_bytes(std::span(body.header));
      return Send(server, "PUT", "/v1/parameters", "application/octet-stream", body.pieces, nullptr)
          .status();
    });
  }

  Result<Pulled> Pull(Version minimum, std::span<float> parameters,
                      std::span<float> slots) override {
    const std::string target = "/v1/parameters?minVersion=" + std::to_string(minimum.value()) +
                               "&wait=" + std::to_string(kVersionWait.count() / 1000) +
                               (slots.empty() ? "" : "&slots=true");
    return PullFrom(target, parameters, slots);
  }

  Result<Pulled> PullEpoch(std::int64_t epoch, std::span<float> parameters,
                           std::span<float> slots) override {
    return PullFrom(
        "/v1/parameters?epoch=" + std::to_string(epoch) + (slots.empty() ? "" : "&slots=true"),
        parameters, slots);
  }

  Result<Pushed> Push(const UpdateHeader& header, std::span<const float> delta,
                      std::span<const float> slots, std::span<float> fresh) override {
    const std::map<std::string, std::string> metadata{{"update", ToJson(header).dump()}};
    const std::string target = fresh.empty() ? "/v1/updates" : "/v1/updates?return=parameters";
    Pushed pushed;
    const auto push = [&](Server& server) -> Status {
      Body body = MakeBody("delta", Sub(delta, server.part.parameters),
                           SlotRows(slots, layout_, server.part), metadata);
      body.pieces[0] = std::as_bytes(std::span(body.header));
      TensorSink sink(fresh.empty() ? fresh : Sub(fresh, server.part.parameters), {});
      ELEPHAS_ASSIGN_OR_RETURN(const HttpResponse response,
                               Send(server, "POST", target, "application/octet-stream", body.pieces,
                                    fresh.empty() ? nullptr : &sink));
      if (&server == &servers_[0]) ReadOutcome(response, pushed);
      return OkStatus();
    };
    ELEPHAS_RETURN_IF_ERROR(OnAll(1, push));
    ELEPHAS_RETURN_IF_ERROR(push(servers_[0]));
    return pushed;
  }

 private:
  struct Server {
    HttpClient http;
    Part part;
  };

  Result<Pulled> PullFrom(const std::string& target, std::span<float> parameters,
                          std::span<float> slots) {
    Pulled pulled;
    const auto pull = [&](Server& server) -> Status {
      TensorSink sink(Sub(parameters, server.part.parameters),
                      SlotRows(slots, layout_, server.part));
      ELEPHAS_RETURN_IF_ERROR(Send(server, "GET", target, "", {}, &sink).status());
      if (&server == &servers_[0]) {
        pulled.version = Version(sink.Metadata("version"));
        pulled.iterations = sink.Metadata("iterations");
      }
      return OkStatus();
    };
    ELEPHAS_RETURN_IF_ERROR(OnAll(0, pull));
    return pulled;
  }

  static void ReadOutcome(const HttpResponse& response, Pushed& pushed) {
    const auto header = [&](std::string_view name) {
      const auto it = response.headers.find(name);
      return it == response.headers.end() ? std::string() : it->second;
    };
    pushed.outcome = header("elephas-outcome") == Word(UpdateOutcome::kDuplicate)
                         ? UpdateOutcome::kDuplicate
                         : UpdateOutcome::kApplied;
    const std::string version = header("elephas-version");
    std::int64_t value = 0;
    (void)std::from_chars(version.data(), version.data() + version.size(), value);
    pushed.version = Version(value);
  }

  Result<HttpResponse> Send(Server& server, std::string_view method, std::string_view target,
                            std::string_view content_type,
                            const std::vector<std::span<const std::byte>>& body,
                            HttpClient::Sink* sink) {
    std::vector<std::pair<std::string, std::string>> headers{
        {"Elephas-Incarnation", std::to_string(incarnation_.value())}};
    if (!content_type.empty()) headers.emplace_back("Content-Type", content_type);
    ELEPHAS_ASSIGN_OR_RETURN(HttpResponse response, server.http.Send(method, target, headers, body,
                                                                     kExchangePatience, sink));
    if (response.status < 200 || response.status > 299) return StatusFromReply(response);
    return response;
  }

  // `call` on servers first..n-1 at once; the first error in their order.
  Status OnAll(std::size_t first, const std::function<Status(Server&)>& call) {
    if (servers_.size() == first + 1) return call(servers_[first]);
    std::vector<std::future<Status>> others;
    for (std::size_t i = first + 1; i < servers_.size(); ++i) {
      others.push_back(std::async(std::launch::async, call, std::ref(servers_[i])));
    }
    Status status = first < servers_.size() ? call(servers_[first]) : OkStatus();
    for (std::future<Status>& other : others) {
      Status result = other.get();
      if (status.ok()) status = std::move(result);
    }
    return status;
  }

  const ModelLayout& layout_;
  const Incarnation incarnation_;
  std::vector<Server> servers_;
};

}  // namespace

std::unique_ptr<Exchange> MakeRestExchange(const std::vector<std::string>& servers,
                                           const std::string& token, Incarnation incarnation,
                                           const ModelLayout& layout) {
  return std::make_unique<RestExchange>(servers, token, incarnation, layout);
}

}  // namespace elephas
