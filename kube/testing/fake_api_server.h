// An API server on a real TLS socket of this machine, for tests of clients. It serves the objects
// of a FakeClient, and a test can answer single requests itself, or badly: slowly, in halves, with
// the connection cut in the middle.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "kube/config/rest_config.h"
#include "kube/testing/fake_client.h"
#include "kube/testing/test_certificate.h"

namespace elephas::kube {

class FakeApiServer {
 public:
  struct Request {
    std::string method, path, body;
    std::map<std::string, std::string> query;    // unescaped
    std::map<std::string, std::string> headers;  // names in small letters
    std::string client_name;  // the common name of the client's certificate, "" without
    [[nodiscard]] std::string Header(const std::string& name) const;
  };

  // One request's way back. Not thread-safe.
  class Answer {
   public:
    virtual ~Answer() = default;
    // A whole answer.
    virtual void Send(int status, std::string_view body,
                      const std::map<std::string, std::string>& headers = {}) = 0;
    // An answer in chunks, as a watch is.
    virtual void StartChunks() = 0;
    virtual void Chunk(std::string_view piece) = 0;
    virtual void EndChunks() = 0;
    // Bytes as they are.
    virtual void Raw(std::string_view bytes) = 0;
    // Closes the connection at once.
    virtual void Cut() = 0;
    // Blocks until the client has closed the connection, or the server stops.
    virtual void WaitForClient() = 0;
  };
  // False: not mine, serve it as usual.
  using Handler = std::function<bool(const Request& request, Answer& answer)>;

  struct Options {
    std::vector<std::string> names = {"IP:127.0.0.1", "DNS:localhost"};  // of the certificate
    int certificate_hours = 24;
    std::string address = "127.0.0.1";
    // When it is set, requests need it (401 otherwise) unless they show a certificate.
    std::string token = {};
  };
  // `objects` outlives the server.
  explicit FakeApiServer(FakeClient& objects) : FakeApiServer(objects, Options{}) {}
  FakeApiServer(FakeClient& objects, Options options);
  ~FakeApiServer();
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  // "https://127.0.0.1:PORT"
  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] const TestCertificate& authority() const { return authority_; }
  // What reaches this server: its address, its authority, its token.
  [[nodiscard]] RestConfig Config() const;
  // The same as a kubeconfig.
  [[nodiscard]] std::string Kubeconfig() const;

  // Looks at every request until it has answered one.
  void Once(Handler handler);
  void SetToken(std::string token);
  // Connections accepted so far.
  [[nodiscard]] std::size_t connections() const;
  // The requests so far: "GET /api/v1/…".
  [[nodiscard]] std::vector<std::string> requests() const;
  // Header lines of the last request.
  [[nodiscard]] Request last_request() const;

 private:
  struct Network;
  struct Peer;
  void Accept();
  void Serve(Peer& peer);
  void Handle(const Request& request, Answer& answer);
  void Watch(const Kind& kind, const std::string& ns, const Request& request, Answer& answer);

  FakeClient& objects_;
  const Options options_;
  const TestCertificate authority_;
  std::string url_;
  std::unique_ptr<Network> network_;
  std::stop_source stop_;
  mutable Mutex mutex_;
  std::string token_ ELEPHAS_GUARDED_BY(mutex_);
  std::list<Handler> once_ ELEPHAS_GUARDED_BY(mutex_);
  std::list<std::unique_ptr<Peer>> peers_ ELEPHAS_GUARDED_BY(mutex_);
  std::size_t connections_ ELEPHAS_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> requests_ ELEPHAS_GUARDED_BY(mutex_);
  Request last_ ELEPHAS_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace elephas::kube
