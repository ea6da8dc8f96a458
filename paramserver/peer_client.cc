#include "paramserver/peer_client.h"

#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "common/base/log.h"
#include "common/http/client.h"
#include "common/json/bounded_json.h"
#include "common/json/reader.h"
#include "common/protocol/protocol.h"

namespace elephas {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kRequestTimeout{5};
constexpr std::size_t kMaxReply = 65536;
// How soon a new cut is noticed; looking costs a lock.
constexpr std::chrono::milliseconds kLook{100};

std::string BootId() {
  std::random_device device;
  std::string text;
  for (int i = 0; i < 4; ++i) {
    char part[9];
    std::snprintf(part, sizeof(part), "%08x", device());
    text += part;
  }
  return text;
}

Result<PeerService::PeerReply> ParseReply(const std::string& body) {
  ELEPHAS_ASSIGN_OR_RETURN(const json parsed, ParseBoundedJson(body, JsonLimitsFor(kMaxReply)));
  JsonReader reader(parsed, "peer reply");
  PeerService::PeerReply reply;
  reply.incarnation = Incarnation(reader.Int("incarnation", 0, kMaxCount));
  reply.cut = reader.Int("cut", 0, kMaxCount);
  const json& seed = reader.Any("seed");
  if (!seed.is_number_integer()) reader.Fail("'seed' must be an integer");
  reply.uid = reader.String("uid");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  reply.seed = seed.get<std::uint64_t>();
  return reply;
}

}  // namespace

PeerClient::PeerClient(PeerService& service, Options options)
    : service_(service), options_(std::move(options)), boot_(BootId()) {
  thread_ = std::thread([this] { Run(); });
}

PeerClient::~PeerClient() { Stop(); }

void PeerClient::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

bool PeerClient::Sleep(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  const MutexLock lock(mutex_);
  while (!stopping_ && changed_.WaitUntil(mutex_, until)) {
  }
  return stopping_;
}

void PeerClient::Run() {
  HttpClient client(
      {.base_url = options_.coordinator_url, .token = options_.token, .max_body = kMaxReply});
  for (;;) {
    const auto cuts = service_.Cuts();
    const auto changed = Register(client);
    Report(changed.status());
    if (changed.ok() && *changed) {
      if (Sleep(std::chrono::milliseconds(0))) return;
      continue;
    }
    for (auto slept = std::chrono::milliseconds(0); slept < options_.interval; slept += kLook) {
      if (Sleep(kLook)) return;
      if (service_.Cuts() != cuts) break;
    }
  }
}

Result<bool> PeerClient::Register(HttpClient& client) {
  const PeerService::PeerReport report = service_.OwnReport();
  const std::string body = json{
      {"index", options_.index},
      {"boot", boot_},
      {"url", options_.own_url},
      {"incarnation", report.incarnation.value()},
      {"newest", report.newest.value()},
      {"run", report.run},
      {"cuts", report.cuts}}.dump();
  ELEPHAS_ASSIGN_OR_RETURN(const HttpResponse response,
                           client.Send("POST", "/v1/peers", {{"Content-Type", "application/json"}},
                                       {std::as_bytes(std::span(body))}, kRequestTimeout));
  if (response.status != 200) {
    return Unavailable("server 0 answers " + std::to_string(response.status) + ": " +
                       response.body);
  }
  ELEPHAS_ASSIGN_OR_RETURN(const PeerService::PeerReply reply, ParseReply(response.body));
  if (reply.incarnation == report.incarnation && reply.incarnation.value() != 0) return false;
  ELEPHAS_RETURN_IF_ERROR(service_.Restore(reply));
  if (reply.incarnation.value() == 0) return reply.uid != report.run && !reply.uid.empty();
  LogInfo("incarnation taken up", {{"incarnation", reply.incarnation.value()}, {"cut", reply.cut}});
  return true;
}

void PeerClient::Report(const Status& status) {
  if (!status.ok() && status.message() != last_error_) {
    LogWarning("server 0 cannot be told", {{"message", status.message()}});
  }
  last_error_ = status.message();
}

}  // namespace elephas
