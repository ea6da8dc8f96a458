// Issue 11, the whole program: a good job beside 85 that are not, in one operator against an API
// server on a socket. It lives, serves the good one, stays small, and ends when it is told to.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common/json/json_at.h"
#include "kube/testing/fake_api_server.h"
#include "operator/testing/builders.h"

#ifndef ELEPHAS_OPERATOR_PROGRAM
#error "ELEPHAS_OPERATOR_PROGRAM comes from CMake"
#endif

extern char** environ;  // POSIX has it in no header

namespace elephas {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

constexpr seconds kPatience{90};
constexpr std::int64_t kMostKib = 120 << 10;  // of the chart's 128Mi
constexpr std::size_t kBadJobs = 85;

bool Eventually(const std::function<bool()>& holds) {
  const auto end = SteadyClock::now() + kPatience;
  while (SteadyClock::now() < end) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

// A parameter server that is none: what it does with a connection is the test's to say.
class Server {
 public:
  // Called on a thread of the connection's own; ends when the peer has gone or `stop` is set.
  using Talk = std::function<void(int fd, const std::atomic<bool>& stop)>;
  explicit Server(Talk talk) : talk_(std::move(talk)) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(socket_, 64), 0);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    stop_ = true;
    ::shutdown(socket_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::close(socket_);
  }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void Accept() {
    while (!stop_) {
      const int fd = ::accept(socket_, nullptr, nullptr);
      if (fd < 0) continue;
      ++connections_;
      threads_.emplace_back([this, fd] {
        talk_(fd, stop_);
        ::close(fd);
      });
    }
  }

  const Talk talk_;
  int socket_ = -1, port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

bool Send(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void ReadRequest(int fd) {
  std::string text;
  char buffer[4096];
  while (text.find("\r\n\r\n") == std::string::npos) {
    const ssize_t count = ::recv(fd, buffer, sizeof buffer, 0);
    if (count <= 0) return;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

Server::Talk Answering(const std::string& body) {
  return [body](int fd, const std::atomic<bool>&) {
    ReadRequest(fd);
    (void)Send(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n\r\n" + body);
  };
}

// One byte per half second, in the header and in the body.
Server::Talk Dripping(const std::string& at_once) {
  return [at_once](int fd, const std::atomic<bool>& stop) {
    ReadRequest(fd);
    if (!Send(fd, at_once)) return;
    while (!stop && Send(fd, "x")) {
      pollfd wait{fd, POLLRDHUP, 0};
      if (::poll(&wait, 1, 500) > 0) return;
    }
  };
}

// The operator under test, as a process.
class Operator {
 public:
  Operator(const std::string& kubeconfig, const std::string& log) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    std::vector<std::string> words{ELEPHAS_OPERATOR_PROGRAM,
                                   "--kubeconfig",
                                   kubeconfig,
                                   "--address",
                                   "127.0.0.1",
                                   "--port",
                                   "0"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, arguments.data(), environ),
              0);
    posix_spawn_file_actions_destroy(&actions);
  }
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;
  ~Operator() {
    if (!alive()) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] bool alive() {
    if (ended_) return false;
    ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
    return !ended_;
  }
  // The most memory that it has had at once.
  [[nodiscard]] std::int64_t PeakKib() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string word; status >> word;) {
      std::int64_t kib = 0;
      if (word == "VmHWM:" && status >> kib) return kib;
    }
    return -1;
  }
  void Terminate() const { ::kill(pid_, SIGTERM); }
  [[nodiscard]] bool EndedWell() const { return WIFEXITED(status_) && WEXITSTATUS(status_) == 0; }

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

std::string Elephants(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += "象";
  return out;
}

// What is wrong with a job: of its manifest, or (with nothing changed there) of its pods.
std::vector<std::pair<const char*, json>> BadManifests() {
  json layers = json::array(), deep = 1, weights = json::object();
  for (int i = 0; i < 160'000; ++i) layers.push_back(json::array());
  for (int i = 0; i < 2'000; ++i) deep = json::array({deep});
  for (int i = 0; i < 3'000; ++i) weights["c" + std::to_string(i)] = 1;
  const json giant{{"inline", {{"config", std::string(1'400'000, 'x')}}}};
  const json valid_giant{{"inline",
                          {{"class_name", "Sequential"},
                           {"config", {{"name", "s"}, {"layers", json::array()}}},
                           {"notes", std::string(900'000, 'n')}}}};
  const char* const containers = "/spec/workers/template/spec/containers";
  return {
      {"/spec/workers/template/spec/hostNetwork", "yes"},
      {"/spec/workers/template/spec/volumes", json::parse(R"([{"name": 5}])")},
      {containers, json::parse(R"([{"volumeMounts": ["x"]}])")},
      {containers, json::parse(R"([{"resources": "x"}])")},
      {containers, nullptr},
      {"/spec/workers/template/spec", nullptr},
      {"/spec/workers/template", json::array()},
      {"/spec/fit/classWeight", weights},
      {"/spec/model", giant},
      {"/spec/model", valid_giant},
      {"/spec/model", {{"inline", {{"config", layers}}}}},
      {"/spec/model", {{"inline", {{"config", deep}}}}},
      {"/spec/compile/loss", Elephants(12'000)},
      {"/metadata/annotations", {{"a", std::string(250'000, 'a')}}},
  };
}

json Running(const std::string& container) {
  return {{"phase", "Running"},
          {"podIP", "127.0.0.1"},
          {"conditions", {{{"type", "Ready"}, {"status", "True"}}}},
          {"containerStatuses",
           {{{"name", container},
             {"restartCount", 0},
             {"state", {{"running", {{"startedAt", kube::TimeText(kStart)}}}}}}}}};
}

json Ended(const std::string& container, int code, const std::string& message) {
  return {{"phase", "Failed"},
          {"containerStatuses",
           {{{"name", container},
             {"state", {{"terminated", {{"exitCode", code}, {"message", message}}}}}}}}};
}

class Cluster {
 public:
  void Add(std::string name, std::pair<const char*, json> change, int port) {
    MakeJob job(name);
    job.Set("/spec/parameterServers", {{"replicas", 1}, {"port", port}});
    job.Set("/metadata/namespace", name.starts_with("good") ? "good" : "bad");
    if (*change.first != '\0') job.Set(change.first, std::move(change.second));
    client.Put(kube::kElephasJob, job.Object());
  }
  // Every pod that is pending runs; workers of every third bad job die with a long last line.
  void KubeletsWork() {
    for (const json& pod : client.All(kube::kPod)) {
      if (TextAt(pod, "/status/phase") != "Pending") continue;
      const auto name = kube::NameOf(pod);
      const std::string role =
          name.name.find("-worker-") == std::string::npos ? "paramserver" : "worker";
      const bool dies = role == "worker" && name.ns == "bad" && (++workers_ % 3) == 0;
      client.PutStatus(kube::kPod, name,
                       dies ? Ended(role, 1, "x" + Elephants(12'000)) : Running(role));
    }
  }
  [[nodiscard]] json StatusOf(const kube::ObjectName& name) const {
    const auto job = client.Find(kube::kElephasJob, name);
    return job ? MemberOf(*job, "status") : json();
  }

  SystemClock clock;
  kube::FakeClient client{clock};

 private:
  int workers_ = 0;
};

TEST(OperatorProcess, EightyFiveBadJobsDoNotKeepItFromServingAGoodOne) {
  const std::string answer =
      R"({"state": "Running", "epoch": 7, "epochs": 9, "progress": 0.7, "metrics": {"loss": 0.5}})";
  Server good(Answering(answer)), brackets(Answering(std::string(std::size_t{4} << 20, '['))),
      few_brackets(Answering(std::string(60'000, '['))), header(Dripping("")),
      body(Dripping("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
  Cluster cluster;
  const std::vector<int> ports{brackets.port(), few_brackets.port(), header.port(), body.port()};
  const auto manifests = BadManifests();
  for (std::size_t i = 0; i < kBadJobs; ++i) {
    // Every second one has a good manifest and a bad server.
    const bool by_server = i % 2 == 0;
    cluster.Add(
        "bad-" + std::to_string(i),
        by_server ? std::pair<const char*, json>("", nullptr) : manifests[i / 2 % manifests.size()],
        ports[i / 2 % ports.size()]);
  }
  kube::FakeApiServer api(cluster.client);
  const std::string folder = testing::TempDir();
  const std::string kubeconfig = folder + "/survival.kubeconfig";
  std::ofstream(kubeconfig) << api.Kubeconfig();
  Operator program(kubeconfig, folder + "/survival.log");

  // The good one comes when the others are there, so that it meets them at work.
  ASSERT_TRUE(Eventually([&] {
    cluster.KubeletsWork();
    return brackets.connections() > 0 && header.connections() > 0 && body.connections() > 0;
  }));
  cluster.Add("good", {"", nullptr}, good.port());
  EXPECT_TRUE(Eventually([&] {
    cluster.KubeletsWork();
    const json status = cluster.StatusOf({"good", "good"});
    return TextAt(status, "/state") == "Running" && IntegerAt(status, "/epoch") == 7;
  })) << cluster.StatusOf({"good", "good"});
  // Each bad one is told something.
  EXPECT_TRUE(Eventually([&] {
    cluster.KubeletsWork();
    for (std::size_t i = 0; i < kBadJobs; ++i) {
      if (At(cluster.StatusOf({"bad", "bad-" + std::to_string(i)}), "/conditions").empty()) {
        return false;
      }
    }
    return true;
  }));
  EXPECT_TRUE(program.alive());
  // A sanitizer keeps books of its own, which are larger.
  const char* sanitizers = std::getenv("ELEPHAS_SANITIZE");
  if (sanitizers == nullptr || *sanitizers == '\0') {
    EXPECT_LT(program.PeakKib(), kMostKib);
  }
  RecordProperty("peak_kib", std::to_string(program.PeakKib()));
  std::printf("peak: %lld KiB\n", static_cast<long long>(program.PeakKib()));
  for (std::size_t i = 1; i < kBadJobs; i += 2) {
    const std::string name = "bad-" + std::to_string(i);
    if (i / 2 % manifests.size() > 3) continue;
    EXPECT_EQ(TextAt(cluster.StatusOf({"bad", name}), "/state"), "Failed") << name;
  }

  const auto told_at = SteadyClock::now();
  program.Terminate();
  EXPECT_TRUE(Eventually([&] { return !program.alive(); }));
  EXPECT_TRUE(program.EndedWell());
  EXPECT_LT(SteadyClock::now() - told_at, seconds(25));  // of a pod's grace of 30
}

}  // namespace
}  // namespace elephas
