#include "worker/keras_file/isolated.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <new>

namespace elephas::keras_file {

namespace {

// The child ends its bytes with: code (1 byte), message, length of the message (8 bytes).
constexpr std::size_t kLengthBytes = 8;

bool WriteAll(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

void Limit(decltype(RLIMIT_CPU) what, rlim_t value) {
  const rlimit limit{value, value};
  ::setrlimit(what, &limit);
}

// What this process has mapped: the child begins with as much.
std::uint64_t MappedBytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t pages = 0;
  file >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

[[noreturn]] void RunChild(const std::function<Status(const ByteSink&)>& read, int fd,
                           unsigned cpu_seconds, std::uint64_t address_space) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Limit(RLIMIT_CPU, cpu_seconds);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_AS, address_space);
  // The parent's handlers (a crash report, a graceful stop) are not for the child.
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTERM, SIGINT}) {
    std::signal(number, SIG_DFL);
  }
  Status status;
  try {
    status = read([fd](std::span<const std::byte> bytes) { return WriteAll(fd, bytes); });
  } catch (const std::bad_alloc&) {
    status = Internal("not enough memory");
  }
  const auto code = static_cast<std::byte>(status.code());
  const std::uint64_t length = status.message().size();
  const bool sent = WriteAll(fd, {&code, 1}) &&
                    WriteAll(fd, std::as_bytes(std::span(status.message()))) &&
                    WriteAll(fd, std::as_bytes(std::span(&length, 1)));
  ::_exit(sent ? 0 : 1);  // no destructors of the parent's objects
}

Status ReadAll(int fd, std::string& out) {
  std::string block(std::size_t{1} << 20, '\0');
  while (true) {
    const ssize_t n = ::read(fd, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Internal(std::strerror(errno));
    if (n == 0) return OkStatus();
    out.append(block, 0, static_cast<std::size_t>(n));
  }
}

// Takes the child's verdict off the end of its bytes.
Status TakeVerdict(std::string& bytes) {
  const Status broken = Internal("the reader's answer is incomplete");
  std::uint64_t length = 0;
  if (bytes.size() < kLengthBytes + 1) return broken;
  std::memcpy(&length, bytes.data() + bytes.size() - kLengthBytes, kLengthBytes);
  if (length > bytes.size() - kLengthBytes - 1) return broken;
  const std::size_t message_at = bytes.size() - kLengthBytes - static_cast<std::size_t>(length);
  const auto code = static_cast<unsigned char>(bytes[message_at - 1]);
  if (code > static_cast<unsigned char>(Code::kInternal)) return broken;
  Status status(static_cast<Code>(code),
                bytes.substr(message_at, static_cast<std::size_t>(length)));
  bytes.resize(message_at - 1);
  return status;
}

}  // namespace

Result<std::string> ReadIsolated(const std::function<Status(const ByteSink&)>& read,
                                 unsigned cpu_seconds, std::uint64_t memory_bytes) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Internal(std::strerror(errno));
  // Read here: the child of a process with threads does as little as it can.
  const std::uint64_t mapped = MappedBytes();
  const rlim_t address_space = mapped == 0 ? RLIM_INFINITY : mapped + memory_bytes;
  const pid_t child = ::fork();
  if (child < 0) {
    const Status status = Internal(std::string("cannot start a reader: ") + std::strerror(errno));
    ::close(ends[0]);
    ::close(ends[1]);
    return status;
  }
  if (child == 0) {
    ::close(ends[0]);
    RunChild(read, ends[1], cpu_seconds, address_space);
  }
  ::close(ends[1]);
  std::string bytes;
  Status status;
  try {
    status = ReadAll(ends[0], bytes);
  } catch (const std::bad_alloc&) {
    status = Internal("not enough memory");
  }
  ::close(ends[0]);
  int exit = 0;
  while (::waitpid(child, &exit, 0) < 0) {
    if (errno != EINTR) return Internal(std::strerror(errno));
  }
  ELEPHAS_RETURN_IF_ERROR(status);
  if (!WIFEXITED(exit) || WEXITSTATUS(exit) != 0) {
    const bool slow = WIFSIGNALED(exit) && (WTERMSIG(exit) == SIGXCPU || WTERMSIG(exit) == SIGKILL);
    return Invalid(slow ? "is broken: reading it takes too much time or memory"
                        : "is broken: reading it crashes");
  }
  ELEPHAS_RETURN_IF_ERROR(TakeVerdict(bytes));
  return bytes;
}

}  // namespace elephas::keras_file
