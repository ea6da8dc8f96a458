// The other servers report to server 0.
#include <algorithm>

#include "common/json/reader.h"
#include "common/protocol/protocol.h"
#include "paramserver/rest/route.h"

namespace elephas::rest {
namespace {

using nlohmann::json;

Status CheckUrl(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-";
  const std::string_view authority = url.substr(std::min(url.size(), kScheme.size()));
  if (!url.starts_with(kScheme) || authority.empty() || authority.size() > 255 ||
      authority.find_first_not_of(kAllowed) != std::string_view::npos) {
    return Invalid("'url' must be http://host:port");
  }
  return OkStatus();
}

Result<HttpReply> RegisterPeer(PeerService& peers, Context& context, Call& call) {
  ELEPHAS_ASSIGN_OR_RETURN(const json body, ReadJson(call.request));
  JsonReader reader(body, "peer");
  const std::int64_t index = reader.Int("index", 0, kMaxCount);
  const std::string boot = reader.String("boot");
  const std::string url = reader.String("url");
  const Incarnation newest(body.contains("newest") ? reader.Int("newest", 0, kMaxCount) : 0);
  const std::string run = body.contains("run") ? reader.String("run") : "";
  const Incarnation incarnation(reader.Int("incarnation", 0, kMaxCount));
  const json& cuts_json = reader.Any("cuts");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  const std::int64_t servers = context.job.spec().parameter_servers.replicas;
  if (index < 1 || index >= servers) {
    return NotFound("there is no server " + std::to_string(index) + " that registers: of " +
                    std::to_string(servers) + " servers, 0 does not");
  }
  ELEPHAS_RETURN_IF_ERROR(CheckName(boot).Annotate("'boot'"));
  if (!run.empty()) ELEPHAS_RETURN_IF_ERROR(CheckName(run).Annotate("'run'"));
  ELEPHAS_RETURN_IF_ERROR(CheckUrl(url));
  if (!cuts_json.is_array()) return Invalid("'cuts' must be an array of whole numbers");
  std::vector<std::int64_t> cuts;
  for (const json& cut : cuts_json) {
    if (!cut.is_number_integer() || cut < 1 || cut > kMaxCount) {
      return Invalid("'cuts' must be an array of whole numbers from 1");
    }
    cuts.push_back(cut.get<std::int64_t>());
  }
  ELEPHAS_ASSIGN_OR_RETURN(
      const PeerService::PeerReply peer,
      peers.RegisterPeer(index, {boot, url, incarnation, std::move(cuts), newest, run}));
  return JsonReply({{"incarnation", peer.incarnation.value()},
                    {"cut", peer.cut},
                    {"seed", peer.seed},
                    {"uid", peer.uid}});
}

}  // namespace

std::vector<Route> PeerRoutes(PeerService& peers) {
  constexpr std::uint64_t kMegabyte = 1 << 20;  // a peer's list of cuts may be long
  return {
      Route{"POST", "/v1/peers", With(peers, RegisterPeer), Body::kJson, {}, kMegabyte},
  };
}

}  // namespace elephas::rest
