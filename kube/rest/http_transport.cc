#include "kube/rest/http_transport.h"

#include <cpprest/http_client.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pplx/threadpool.h>

#include <array>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "common/base/atomic_file.h"
#include "common/base/mutex.h"

namespace elephas::kube {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

constexpr std::size_t kPieceBytes = std::size_t{16} << 10;
constexpr std::size_t kMaxErrorBytes = std::size_t{1} << 20;
constexpr std::uint64_t kMaxPemBytes = std::uint64_t{4} << 20;
// How long a call that was cancelled may take to notice.
constexpr milliseconds kCancelPatience{2'000};
// Our own deadlines end calls; cpprestsdk's is only there so that nothing stays for ever.
constexpr std::chrono::hours kLibraryTimeout{24};

// --- TLS -------------------------------------------------------------------------------------

// What the handshakes of one transport share. Outlives them: callbacks hold it.
struct TlsSetup {
  std::string ca_pem, ca_file, cert_pem, key_pem;
  std::string peer;  // the name or address that the certificate must be for
  bool insecure = false;

  Mutex mutex;
  std::string last_error ELEPHAS_GUARDED_BY(mutex);

  void Remember(std::string error) {
    const MutexLock lock(mutex);
    last_error = std::move(error);
  }
  std::string TakeError() {
    const MutexLock lock(mutex);
    return std::exchange(last_error, {});
  }
};

template <auto free_it>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    free_it(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freed<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

BioPtr MemoryBio(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Makes `pem` all that is trusted. False when it holds no certificate.
bool TrustOnly(SSL_CTX* context, const std::string& pem) {
  X509_STORE* store = X509_STORE_new();
  SSL_CTX_set_cert_store(context, store);  // takes it over
  const BioPtr bio = MemoryBio(pem);
  int count = 0;
  for (;;) {
    const X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    if (X509_STORE_add_cert(store, certificate.get()) == 1) ++count;
  }
  ERR_clear_error();  // the end of the text counts as an error
  // An authority in the middle of a chain may be what is trusted, as in Go.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return count > 0;
}

bool IsAddress(const std::string& host) {
  boost::system::error_code error;
  boost::asio::ip::make_address(host, error);
  return !error;
}

// Verifies the chain and the peer's name, and keeps the reason of a refusal: cpprestsdk would only
// say that the handshake failed.
int VerifyPeer(X509_STORE_CTX* store_context, void* argument) {
  auto* setup = static_cast<TlsSetup*>(argument);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(store_context);
  if (IsAddress(setup->peer)) {
    X509_VERIFY_PARAM_set1_ip_asc(parameters, setup->peer.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(parameters, setup->peer.c_str(), setup->peer.size());
  }
  const int good = X509_verify_cert(store_context);
  if (good == 1) return 1;
  const int error = X509_STORE_CTX_get_error(store_context);
  std::string reason = "the server's certificate is not accepted";
  if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    reason += ": it is not valid for " + setup->peer;
  } else if (error != X509_V_OK) {
    reason += ": " + std::string(X509_verify_cert_error_string(error));
  }
  setup->Remember(std::move(reason));
  return good;
}

void SetUpTls(TlsSetup& setup, boost::asio::ssl::context& context) {
  SSL_CTX* ssl = context.native_handle();
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  std::string authorities = setup.ca_pem;
  if (!setup.ca_file.empty()) {
    auto text = ReadWholeFile(setup.ca_file, kMaxPemBytes);
    if (!text.ok()) setup.Remember(text.status().message());
    authorities = text.ok() ? *std::move(text) : "";
  }
  // With a file that cannot be read nothing is trusted, rather than what the system trusts.
  if ((!setup.ca_pem.empty() || !setup.ca_file.empty()) && !TrustOnly(ssl, authorities)) {
    setup.Remember("no certificate authority in " +
                   (setup.ca_file.empty() ? "the configuration" : setup.ca_file));
  }
  if (!setup.insecure) SSL_CTX_set_cert_verify_callback(ssl, VerifyPeer, &setup);
  if (!setup.cert_pem.empty()) {
    boost::system::error_code error;
    (void)context.use_certificate_chain(boost::asio::buffer(setup.cert_pem), error);
    if (!error) {
      (void)context.use_private_key(boost::asio::buffer(setup.key_pem),
                                    boost::asio::ssl::context::pem, error);
    }
    if (error) setup.Remember("the client certificate: " + error.message());
  }
}

// So that a wrong certificate or key is told at the start, not at every connection.
Status CheckPem(const RestConfig& config) {
  if (!config.ca_pem.empty()) {
    const BioPtr bio = MemoryBio(config.ca_pem);
    const X509Ptr first(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    ERR_clear_error();
    if (first == nullptr) return Invalid("the certificate authority holds no PEM certificate");
  }
  if (config.client_cert_pem.empty()) return OkStatus();
  const BioPtr cert_bio = MemoryBio(config.client_cert_pem);
  const X509Ptr certificate(PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr));
  const BioPtr key_bio = MemoryBio(config.client_key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  const bool fit = certificate != nullptr && key != nullptr &&
                   X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (certificate == nullptr) return Invalid("the client certificate is not a PEM certificate");
  if (key == nullptr) return Invalid("the client key is not a PEM private key");
  if (!fit) return Invalid("the client key does not belong to the client certificate");
  return OkStatus();
}

// --- waiting for cpprestsdk ------------------------------------------------------------------

enum class WaitEnd : std::uint8_t { kDone, kTimeout, kStopped };

// Waits for a task without ever blocking past the deadline; the task itself offers no such wait.
// Its exception is looked at here, or cpprestsdk would end the process.
template <typename T>
WaitEnd WaitFor(pplx::task<T>& task, SteadyTime deadline, const std::stop_token& stop) {
  struct State {
    Mutex mutex;
    std::condition_variable_any changed;
    bool done ELEPHAS_GUARDED_BY(mutex) = false;
  };
  const auto state = std::make_shared<State>();
  task.then([state](const pplx::task<T>& finished) {
    try {
      finished.wait();
    } catch (...) {  // NOLINT(bugprone-empty-catch): the waiting side asks the task again
    }
    const MutexLock lock(state->mutex);
    state->done = true;
    state->changed.notify_all();
  });
  const MutexLock lock(state->mutex);
  const auto done = [&state] {
    state->mutex.AssertHeld();
    return state->done;
  };
  if (state->changed.wait_until(state->mutex, stop, deadline, done)) {
    return WaitEnd::kDone;
  }
  return stop.stop_requested() ? WaitEnd::kStopped : WaitEnd::kTimeout;
}

// Waits a little for a cancelled task, so that as a rule nothing of it is left.
template <typename T>
void Abandon(pplx::task<T>& task, pplx::cancellation_token_source& cancel) {
  cancel.cancel();
  (void)WaitFor(task, std::chrono::steady_clock::now() + kCancelPatience, {});
}

milliseconds RetryAfter(const web::http::http_headers& headers) {
  const auto found = headers.find("Retry-After");
  if (found == headers.end()) return milliseconds(0);
  const std::string& text = found->second;
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  // The other form, a date, API servers do not send.
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0) {
    return milliseconds(0);
  }
  return std::chrono::seconds(std::min(seconds, 86'400));
}

void StartThreads(int threads) {
  static std::once_flag once;
  std::call_once(once, [&] {
    try {
      crossplat::threadpool::initialize_with_threads(static_cast<std::size_t>(threads));
      // NOLINTNEXTLINE(bugprone-empty-catch): it runs already, with threads of its own
    } catch (const std::exception&) {
    }
  });
}

}  // namespace

struct HttpTransport::Impl {
  Impl(RestConfig rest_config, const Options& transport_options, std::shared_ptr<TlsSetup> setup,
       const web::uri& uri, const web::http::client::http_client_config& http)
      : config(std::move(rest_config)),
        options(transport_options),
        tls(std::move(setup)),
        client(uri, http) {}

  web::http::http_request Request(const HttpCall& call) const;
  Status Explain(const std::exception& error) const;

  // Waits for the header of the answer.
  Result<web::http::http_response> Send(const HttpCall& call, SteadyTime deadline,
                                        const std::stop_token& stop,
                                        pplx::cancellation_token_source& cancel);
  // The next bytes of the body, at most `piece`'s size; 0 at the end, nullopt when `stop` came
  // first.
  Result<std::optional<std::size_t>> Read(const web::http::http_response& response,
                                          std::span<std::uint8_t> piece, SteadyTime deadline,
                                          const std::stop_token& stop,
                                          pplx::cancellation_token_source& cancel);
  Result<std::string> ReadAll(const web::http::http_response& response, std::size_t limit,
                              SteadyTime deadline, pplx::cancellation_token_source& cancel);

  const RestConfig config;
  const Options options;
  const std::shared_ptr<TlsSetup> tls;
  web::http::client::http_client client;
};

web::http::http_request HttpTransport::Impl::Request(const HttpCall& call) const {
  web::http::http_request request(call.method);
  request.set_request_uri(web::uri(call.target));
  auto& headers = request.headers();
  headers.add("Accept", "application/json");
  headers.add("User-Agent", config.user_agent);
  // cpprestsdk takes the name for SNI and the certificate from here.
  if (!config.tls_server_name.empty()) headers.add("Host", config.tls_server_name);
  for (const auto& [name, value] : call.headers) headers.add(name, value);
  if (!call.body.empty()) request.set_body(call.body, call.content_type);
  return request;
}

Status HttpTransport::Impl::Explain(const std::exception& error) const {
  std::string reason = tls->TakeError();
  if (reason.empty()) reason = error.what();
  return Unavailable(config.server + ": " + reason);
}

Result<web::http::http_response> HttpTransport::Impl::Send(
    const HttpCall& call, SteadyTime deadline, const std::stop_token& stop,
    pplx::cancellation_token_source& cancel) {
  try {
    pplx::task<web::http::http_response> task = client.request(Request(call), cancel.get_token());
    const WaitEnd end = WaitFor(task, deadline, stop);
    if (end == WaitEnd::kDone) return task.get();
    Abandon(task, cancel);
    if (end == WaitEnd::kStopped) return Unavailable("stopped");
    return Timeout(config.server + ": no answer in time");
  } catch (const std::exception& error) {
    return Explain(error);
  }
}

Result<std::optional<std::size_t>> HttpTransport::Impl::Read(
    const web::http::http_response& response, std::span<std::uint8_t> piece, SteadyTime deadline,
    const std::stop_token& stop, pplx::cancellation_token_source& cancel) {
  try {
    auto buffer = response.body().streambuf();
    if (buffer.in_avail() == 0) {
      auto next = buffer.getc();  // done as soon as there is anything
      const WaitEnd end = WaitFor(next, deadline, stop);
      if (end != WaitEnd::kDone) {
        Abandon(next, cancel);
        if (end == WaitEnd::kStopped) return std::optional<std::size_t>();
        return Timeout(config.server + ": the answer stopped coming");
      }
      next.get();
    }
    const std::size_t ready = std::min(buffer.in_avail(), piece.size());
    if (ready > 0) return std::optional(buffer.getn(piece.data(), ready).get());
    // The end; an answer that was cut short says so here.
    auto complete = response.content_ready();
    if (WaitFor(complete, deadline, stop) == WaitEnd::kDone) complete.get();
    return std::optional<std::size_t>(0);
  } catch (const std::exception& error) {
    return Explain(error);
  }
}

Result<std::string> HttpTransport::Impl::ReadAll(const web::http::http_response& response,
                                                 std::size_t limit, SteadyTime deadline,
                                                 pplx::cancellation_token_source& cancel) {
  std::string body;
  std::array<std::uint8_t, kPieceBytes> piece{};
  for (;;) {
    ELEPHAS_ASSIGN_OR_RETURN(const auto got, Read(response, piece, deadline, {}, cancel));
    if (got.value_or(0) == 0) return body;
    if (body.size() + *got > limit) {
      cancel.cancel();
      return Invalid(config.server + ": the answer has more than " + std::to_string(limit) +
                     " bytes");
    }
    body.append(reinterpret_cast<const char*>(piece.data()), *got);
  }
}

HttpTransport::HttpTransport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpTransport::~HttpTransport() = default;

Result<std::unique_ptr<HttpTransport>> HttpTransport::Make(const RestConfig& config,
                                                           const Options& options) {
  ELEPHAS_RETURN_IF_ERROR(CheckPem(config));
  StartThreads(options.io_threads);
  try {
    const web::uri uri(config.server);
    if (uri.host().empty()) return Invalid(config.server + ": names no host");
    if (uri.host().front() == '[') {
      // cpprestsdk looks the brackets up, too.
      return Invalid(config.server +
                     ": an IPv6 address cannot be reached directly; name it in DNS "
                     "or /etc/hosts");
    }
    auto tls = std::make_shared<TlsSetup>();
    tls->ca_pem = config.ca_pem;
    tls->ca_file = config.ca_file;
    tls->cert_pem = config.client_cert_pem;
    tls->key_pem = config.client_key_pem;
    tls->insecure = config.insecure;
    tls->peer = config.tls_server_name.empty() ? uri.host() : config.tls_server_name;
    web::http::client::http_client_config http;
    http.set_timeout(kLibraryTimeout);
    http.set_validate_certificates(!config.insecure);
    http.set_max_redirects(0);  // a token must not follow to another server
    http.set_ssl_context_callback(
        [tls](boost::asio::ssl::context& context) { SetUpTls(*tls, context); });
    return std::unique_ptr<HttpTransport>(
        new HttpTransport(std::make_unique<Impl>(config, options, std::move(tls), uri, http)));
  } catch (const std::exception& error) {
    return Invalid(config.server + ": " + error.what());
  }
}

Result<HttpAnswer> HttpTransport::Call(const HttpCall& call, milliseconds timeout) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
  pplx::cancellation_token_source cancel;
  ELEPHAS_ASSIGN_OR_RETURN(const auto response, impl_->Send(call, deadline, {}, cancel));
  HttpAnswer answer;
  answer.status = response.status_code();
  answer.retry_after = RetryAfter(response.headers());
  ELEPHAS_ASSIGN_OR_RETURN(
      answer.body, impl_->ReadAll(response, impl_->options.max_answer_bytes, deadline, cancel));
  return answer;
}

Result<HttpAnswer> HttpTransport::Stream(const HttpCall& call, const StreamLimits& limits,
                                         const Sink& sink, const std::stop_token& stop) {
  const SteadyTime start = std::chrono::steady_clock::now();
  const SteadyTime end = limits.duration.count() > 0 ? start + limits.duration : SteadyTime::max();
  pplx::cancellation_token_source cancel;
  HttpAnswer answer;
  auto response = impl_->Send(call, start + limits.first_byte, stop, cancel);
  if (!response.ok()) {
    if (stop.stop_requested()) return answer;
    return response.status();
  }
  answer.status = response->status_code();
  answer.retry_after = RetryAfter(response->headers());
  if (answer.status != 200) {
    ELEPHAS_ASSIGN_OR_RETURN(
        answer.body, impl_->ReadAll(*response, kMaxErrorBytes, start + limits.first_byte, cancel));
    return answer;
  }
  std::array<std::uint8_t, kPieceBytes> piece{};
  for (;;) {
    const SteadyTime now = std::chrono::steady_clock::now();
    const SteadyTime deadline = std::min(now + limits.silence, end);
    const auto got = impl_->Read(*response, piece, deadline, stop, cancel);
    if (!got.ok()) {
      if (std::chrono::steady_clock::now() >= end) return answer;
      return got.status();
    }
    if (got->value_or(0) == 0) return answer;
    if (!sink({reinterpret_cast<const char*>(piece.data()), **got})) {
      cancel.cancel();
      return answer;
    }
  }
}

}  // namespace elephas::kube
