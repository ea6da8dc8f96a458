// SIGTERM: a pod that is scaled away, evicted or drained. The worker gives its leases back at once,
// so that others go on without waiting for them to expire.
#pragma once

#include <string>

namespace elephas {

// From here on SIGTERM and SIGINT leave the job (server 0 at `server`) and end the process with
// kExitBySignal plus the signal's number; what was not pushed is lost, and another worker does it again. As the
// first process of a container nothing else would end it. Call once, before other threads start:
// they inherit the signal mask.
void LeaveOnSignal(const std::string& server, const std::string& token, const std::string& name);

// Does not return once the process is leaving: to be called before it joins, since a lease that it
// got after its farewell would lie idle until it expires.
void StayAwayIfLeaving();

}  // namespace elephas
