#include "common/base/program.h"

#include <pthread.h>

#include <algorithm>

#include "common/base/atomic_file.h"

namespace elephas {

sigset_t BlockSignals(std::initializer_list<int> signals) {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : signals) sigaddset(&blocked, signal);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  return blocked;
}

Result<std::string> ReadToken(const std::string& path) {
  ELEPHAS_ASSIGN_OR_RETURN(std::string token, ReadWholeFile(path, 4096));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  const auto visible = [](char c) { return c > ' ' && c <= '~'; };
  if (!std::ranges::all_of(token, visible)) {
    return Invalid(path + ": a token is one line of visible characters");
  }
  if (token.empty()) return Invalid(path + ": the token is empty");
  return token;
}

}  // namespace elephas
