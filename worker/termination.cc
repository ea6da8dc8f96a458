#include "worker/termination.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "common/base/log.h"
#include "common/base/program.h"
#include "worker/exchange/job_client.h"

namespace elephas {

namespace {

std::atomic<bool> leaving = false;

}  // namespace

void LeaveOnSignal(const std::string& server, const std::string& token, const std::string& name) {
  const sigset_t ends = BlockSignals({SIGTERM, SIGINT});
  std::thread([ends, server, token, name] {
    int signal = 0;
    while (sigwait(&ends, &signal) != 0) {
    }
    leaving = true;
    JobClient client(server, token);
    const Status left = client.Leave(name);
    LogInfo("leaving", {{"worker", name},
                        {"signal", signal},
                        {"message", left.ok() ? "leases given back" : left.message()}});
    // Not exit(): other threads are in the middle of their work.
    _exit(kExitBySignal + signal);
  }).detach();
}

void StayAwayIfLeaving() {
  while (leaving) pause();  // the other thread ends the process
}

}  // namespace elephas
