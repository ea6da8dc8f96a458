#include "kube/testing/fake_api_server.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include "common/base/base64.h"

namespace elephas::kube {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using nlohmann::json;
using TlsStream = beast::ssl_stream<tcp::socket>;

constexpr std::array kKinds{kElephasJob, kPod,           kService,
                            kSecret,     kConfigMap,     kEvent,
                            kLease,      kNode,          kPersistentVolumeClaim,
                            kNamespace,  kNetworkPolicy, kResourceQuota};

std::string Unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

struct Resource {
  const Kind* kind = nullptr;
  ObjectName name;
  std::string subresource;
};

// "/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/SUBRESOURCE", parts of it left out.
Resource ResourceOf(const std::string& path) {
  Resource resource;
  std::vector<std::string> parts = Split(path, '/');
  const std::size_t head = !parts.empty() && parts[0] == "apis" ? 3 : 2;
  if (parts.size() <= head) return resource;
  const std::string group = head == 3 ? parts[1] : "";
  parts.erase(parts.begin(), parts.begin() + static_cast<long>(head));
  if (parts.size() > 2 && parts[0] == "namespaces") {
    resource.name.ns = Unescaped(parts[1]);
    parts.erase(parts.begin(), parts.begin() + 2);
  }
  for (const Kind& kind : kKinds) {
    if (kind.group == group && kind.plural == parts[0]) resource.kind = &kind;
  }
  if (parts.size() > 1) resource.name.name = Unescaped(parts[1]);
  if (parts.size() > 2) resource.subresource = parts[2];
  return resource;
}

struct Failure {
  Code code;
  int status;
  const char* reason;
};
constexpr std::array<Failure, 9> kFailures{{{Code::kNotFound, 404, "NotFound"},
                                            {Code::kExists, 409, "AlreadyExists"},
                                            {Code::kConflict, 409, "Conflict"},
                                            {Code::kGone, 410, "Expired"},
                                            {Code::kInvalid, 422, "Invalid"},
                                            {Code::kForbidden, 403, "Forbidden"},
                                            {Code::kUnauthorized, 401, "Unauthorized"},
                                            {Code::kUnavailable, 503, "ServiceUnavailable"},
                                            {Code::kTimeout, 504, "Timeout"}}};

json StatusObject(const Status& status, int& http_status) {
  http_status = 500;
  std::string reason = "InternalError";
  for (const Failure& failure : kFailures) {
    if (failure.code != status.code()) continue;
    http_status = failure.status;
    reason = failure.reason;
  }
  return {{"kind", "Status"},    {"apiVersion", "v1"},
          {"status", "Failure"}, {"message", status.message()},
          {"reason", reason},    {"code", http_status}};
}

void SendObject(FakeApiServer::Answer& answer, const Result<json>& object, int good = 200) {
  if (object.ok()) return answer.Send(good, object->dump());
  int status = 500;
  const json failure = StatusObject(object.status(), status);
  std::map<std::string, std::string> headers;
  if (const auto wait = object.status().retry_after(); wait.count() > 0) {
    headers["Retry-After"] = std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count());
  }
  answer.Send(status, failure.dump(), headers);
}

class StreamAnswer final : public FakeApiServer::Answer {
 public:
  StreamAnswer(TlsStream& stream, std::stop_token stop) : stream_(stream), stop_(std::move(stop)) {}

  void Send(int status, std::string_view body,
            const std::map<std::string, std::string>& headers) override {
    std::string text = "HTTP/1.1 " + std::to_string(status) +
                       " Answer\r\nContent-Type: application/json\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n";
    for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
    Raw(text + "\r\n" + std::string(body));
  }
  void StartChunks() override {
    Raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  void Chunk(std::string_view piece) override {
    if (piece.empty()) return;
    std::array<char, 32> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", piece.size());
    Raw(size.data() + std::string(piece) + "\r\n");
  }
  void EndChunks() override { Raw("0\r\n\r\n"); }
  void Raw(std::string_view bytes) override {
    if (broken_) return;
    boost::system::error_code error;
    asio::write(stream_, asio::buffer(bytes.data(), bytes.size()), error);
    broken_ = static_cast<bool>(error);
  }
  void Cut() override {
    broken_ = true;
    ::shutdown(stream_.next_layer().native_handle(), SHUT_RDWR);
  }
  void WaitForClient() override {
    broken_ = true;
    while (!stop_.stop_requested()) {
      pollfd wait{stream_.next_layer().native_handle(), POLLIN | POLLRDHUP, 0};
      if (::poll(&wait, 1, 50) > 0) return;
    }
  }
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  TlsStream& stream_;
  std::stop_token stop_;
  bool broken_ = false;
};

std::string CommonName(SSL* ssl) {
  X509* certificate = SSL_get1_peer_certificate(ssl);
  if (certificate == nullptr) return "";
  std::array<char, 256> name{};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name.data(),
                            static_cast<int>(name.size()));
  X509_free(certificate);
  return name.data();
}

}  // namespace

std::string FakeApiServer::Request::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

struct FakeApiServer::Network {
  asio::io_context io;
  asio::ssl::context tls{asio::ssl::context::tls_server};
  tcp::acceptor acceptor{io};
};

struct FakeApiServer::Peer {
  explicit Peer(tcp::socket socket, asio::ssl::context& tls) : stream(std::move(socket), tls) {}
  TlsStream stream;
  std::thread thread;
};

FakeApiServer::FakeApiServer(FakeClient& objects, Options options)
    : objects_(objects),
      options_(std::move(options)),
      authority_(MakeTestAuthority("fake-api-server")),
      network_(std::make_unique<Network>()),
      token_(options_.token) {
  const TestCertificate own =
      MakeTestCertificate(authority_, "kube-apiserver", options_.names, options_.certificate_hours);
  network_->tls.use_certificate_chain(asio::buffer(own.cert_pem));
  network_->tls.use_private_key(asio::buffer(own.key_pem), asio::ssl::context::pem);
  network_->tls.add_certificate_authority(asio::buffer(authority_.cert_pem));
  network_->tls.set_verify_mode(asio::ssl::verify_peer);  // of clients that show one
  const tcp::endpoint endpoint(asio::ip::make_address(options_.address), 0);
  network_->acceptor.open(endpoint.protocol());
  network_->acceptor.bind(endpoint);
  network_->acceptor.listen();
  const std::string host =
      endpoint.address().is_v6() ? "[" + options_.address + "]" : options_.address;
  url_ = "https://" + host + ":" + std::to_string(network_->acceptor.local_endpoint().port());
  acceptor_ = std::thread([this] { Accept(); });
}

FakeApiServer::~FakeApiServer() {
  stop_.request_stop();
  objects_.CloseWatches();
  ::shutdown(network_->acceptor.native_handle(), SHUT_RDWR);
  acceptor_.join();
  for (const auto& peer : peers_) {
    ::shutdown(peer->stream.next_layer().native_handle(), SHUT_RDWR);
  }
  for (const auto& peer : peers_) peer->thread.join();
}

RestConfig FakeApiServer::Config() const {
  RestConfig config;
  config.server = url_;
  config.ns = "default";
  config.ca_pem = authority_.cert_pem;
  const MutexLock lock(mutex_);
  config.token = token_;
  return config;
}

std::string FakeApiServer::Kubeconfig() const {
  const RestConfig config = Config();
  const json kubeconfig{
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"current-context", "fake"},
      {"contexts", {{{"name", "fake"}, {"context", {{"cluster", "fake"}, {"user", "me"}}}}}},
      {"clusters",
       {{{"name", "fake"},
         {"cluster",
          {{"server", url_}, {"certificate-authority-data", EncodeBase64(config.ca_pem)}}}}}},
      {"users", {{{"name", "me"}, {"user", {{"token", config.token}}}}}}};
  return kubeconfig.dump(2);
}

void FakeApiServer::Once(Handler handler) {
  const MutexLock lock(mutex_);
  once_.push_back(std::move(handler));
}

void FakeApiServer::SetToken(std::string token) {
  const MutexLock lock(mutex_);
  token_ = std::move(token);
}

std::size_t FakeApiServer::connections() const {
  const MutexLock lock(mutex_);
  return connections_;
}

std::vector<std::string> FakeApiServer::requests() const {
  const MutexLock lock(mutex_);
  return requests_;
}

FakeApiServer::Request FakeApiServer::last_request() const {
  const MutexLock lock(mutex_);
  return last_;
}

void FakeApiServer::Accept() {
  while (!stop_.stop_requested()) {
    boost::system::error_code error;
    tcp::socket socket = network_->acceptor.accept(error);
    if (error) continue;
    const MutexLock lock(mutex_);
    ++connections_;
    Peer& peer = *peers_.emplace_back(std::make_unique<Peer>(std::move(socket), network_->tls));
    peer.thread = std::thread([this, &peer] { Serve(peer); });
  }
}

void FakeApiServer::Serve(Peer& peer) {
  boost::system::error_code error;
  peer.stream.handshake(asio::ssl::stream_base::server, error);
  if (error) {
    ::shutdown(peer.stream.next_layer().native_handle(), SHUT_RDWR);
    return;
  }
  beast::flat_buffer buffer;
  while (!stop_.stop_requested()) {
    http::request<http::string_body> message;
    http::read(peer.stream, buffer, message, error);
    if (error) break;
    Request request;
    request.method = std::string(message.method_string());
    const std::string target(message.target());
    const auto question = std::min(target.find('?'), target.size());
    request.path = target.substr(0, question);
    for (const std::string& pair :
         Split(std::string_view(target).substr(std::min(question + 1, target.size())), '&')) {
      const auto equals = std::min(pair.find('='), pair.size());
      request.query[pair.substr(0, equals)] =
          Unescaped(std::string_view(pair).substr(std::min(equals + 1, pair.size())));
    }
    for (const auto& field : message) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request.headers[name] = std::string(field.value());
    }
    request.body = std::move(message.body());
    request.client_name = CommonName(peer.stream.native_handle());
    StreamAnswer answer(peer.stream, stop_.get_token());
    Handle(request, answer);
    if (answer.broken()) break;
  }
  ::shutdown(peer.stream.next_layer().native_handle(), SHUT_RDWR);
}

void FakeApiServer::Handle(const Request& request, Answer& answer) {
  std::string token;
  std::list<Handler> handlers;
  {
    const MutexLock lock(mutex_);
    requests_.push_back(request.method + " " + request.path);
    last_ = request;
    token = token_;
    handlers.swap(once_);
  }
  // Handlers run without the lock: they may block.
  bool handled = false;
  for (auto it = handlers.begin(); it != handlers.end() && !handled;) {
    handled = (*it)(request, answer);
    it = handled ? handlers.erase(it) : std::next(it);
  }
  {
    const MutexLock lock(mutex_);
    once_.splice(once_.begin(), handlers);
  }
  if (handled) return;

  if (!token.empty() && request.client_name.empty() &&
      request.Header("authorization") != "Bearer " + token) {
    return SendObject(answer, Unauthorized("Unauthorized"));
  }
  const auto [kind, name, subresource] = ResourceOf(request.path);
  if (kind == nullptr) {
    return SendObject(answer, NotFound("the server could not find the requested resource"));
  }
  const auto query = [&](const char* key) {
    const auto found = request.query.find(key);
    return found == request.query.end() ? std::string() : found->second;
  };
  const json body = json::parse(request.body, nullptr, false);
  if (request.method == "GET" && !query("watch").empty()) {
    return Watch(*kind, name.ns, request, answer);
  }
  if (request.method == "GET" && subresource == "log") {
    std::string text;
    const Status read = objects_.ReadPodLog(
        name, {},
        [&](std::string_view piece) {
          text += piece;
          return true;
        },
        stop_.get_token());
    if (!read.ok()) return SendObject(answer, read);
    return answer.Send(200, text);
  }
  if (request.method == "GET" && name.name.empty()) {
    ListOptions options{.ns = name.ns,
                        .label_selector = query("labelSelector"),
                        .field_selector = query("fieldSelector"),
                        .continue_token = query("continue")};
    if (!query("limit").empty()) options.limit = std::stoll(query("limit"));
    auto page = objects_.List(*kind, options);
    if (!page.ok()) return SendObject(answer, page.status());
    return SendObject(
        answer,
        json{{"kind", std::string(kind->kind) + "List"},
             {"apiVersion", kind->ApiVersion()},
             {"metadata",
              {{"resourceVersion", page->resource_version}, {"continue", page->continue_token}}},
             {"items", page->items}});
  }
  if (request.method == "GET") return SendObject(answer, objects_.Get(*kind, name));
  if (request.method == "POST") return SendObject(answer, objects_.Create(*kind, body), 201);
  if (request.method == "PUT") return SendObject(answer, objects_.Update(*kind, body));
  if (request.method == "PATCH") {
    const ApplyOptions options{.field_manager = query("fieldManager"),
                               .force = query("force") == "true",
                               .dry_run = query("dryRun") == "All"};
    return SendObject(answer, subresource == "status" ? objects_.ApplyStatus(*kind, body, options)
                                                      : objects_.Apply(*kind, body, options));
  }
  DeleteOptions options;
  if (body.is_object() && body.contains("preconditions")) {
    options.uid = body["preconditions"].value("uid", "");
  }
  if (body.is_object() && body.contains("gracePeriodSeconds")) {
    options.grace_seconds = body["gracePeriodSeconds"].get<std::int64_t>();
  }
  const Status gone = objects_.Delete(*kind, name, options);
  if (!gone.ok()) return SendObject(answer, gone);
  SendObject(answer, json{{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Success"}});
}

void FakeApiServer::Watch(const Kind& kind, const std::string& ns, const Request& request,
                          Answer& answer) {
  const auto query = [&](const char* key) {
    const auto found = request.query.find(key);
    return found == request.query.end() ? std::string() : found->second;
  };
  const WatchOptions options{.ns = ns,
                             .label_selector = query("labelSelector"),
                             .field_selector = query("fieldSelector"),
                             .resource_version = query("resourceVersion")};
  static constexpr std::array kWords{"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
  answer.StartChunks();
  const Status end = objects_.Watch(
      kind, options,
      [&](const WatchEvent& event) {
        const json line{{"type", kWords.at(static_cast<std::size_t>(event.type))},
                        {"object", event.object}};
        answer.Chunk(line.dump() + "\n");
      },
      stop_.get_token());
  // A real server, too, tells inside the watch that the version is too old.
  if (!end.ok()) {
    int status = 500;
    const json line{{"type", "ERROR"}, {"object", StatusObject(end, status)}};
    answer.Chunk(line.dump() + "\n");
  }
  answer.EndChunks();
}

}  // namespace elephas::kube
