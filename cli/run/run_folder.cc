#include "cli/run/run_folder.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/base/atomic_file.h"

namespace elephas::cli {

namespace {

namespace fs = std::filesystem;

std::string Hex(const unsigned char* bytes, std::size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += kDigits[bytes[i] >> 4U];
    out += kDigits[bytes[i] & 15U];
  }
  return out;
}

template <std::size_t count>
Status FillRandom(std::array<unsigned char, count>& bytes) {
  static_assert(count <= 256);  // so much comes at once or not at all
  if (getrandom(bytes.data(), count, 0) == static_cast<ssize_t>(count)) return OkStatus();
  return Internal(std::string("no random numbers: ") + std::strerror(errno));
}

// Made readable by its owner alone from the start, unlike WriteWholeFile's.
Status WritePrivateFile(const std::string& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Internal(path + ": " + std::strerror(errno));
  bool good = fchmod(fd, 0600) == 0;
  while (good && !text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    good = written > 0;
    if (good) text.remove_prefix(static_cast<std::size_t>(written));
  }
  const Status status = good ? OkStatus() : Internal(path + ": " + std::strerror(errno));
  close(fd);
  return status;
}

bool IsOfARun(const fs::path& name) {
  const std::string text = name.filename();
  return (text.starts_with("paramserver-") || text.starts_with("worker-")) &&
         (text.ends_with(".log") || text.ends_with(".port"));
}

Result<std::string> MakeTemporaryFolder(const std::string& job) {
  const char* tmp = std::getenv("TMPDIR");
  std::string path =
      std::string(tmp == nullptr || *tmp == '\0' ? "/tmp" : tmp) + "/elephas-" + job + "-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return Internal(path + ": " + std::strerror(errno));
  return path;
}

}  // namespace

Result<RunFolder> RunFolder::Create(const std::string& given, const std::string& job) {
  if (given.empty()) {
    ELEPHAS_ASSIGN_OR_RETURN(std::string path, MakeTemporaryFolder(job));
    return RunFolder(std::move(path), true);
  }
  std::error_code error;
  const fs::path path = fs::absolute(given, error);
  if (!error) fs::create_directories(path, error);
  if (!error && !fs::is_directory(path, error))
    error = std::make_error_code(std::errc::not_a_directory);
  if (!error) fs::permissions(path, fs::perms::owner_all, error);
  if (!error) {
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      if (IsOfARun(it->path())) fs::remove(it->path(), error);
    }
  }
  if (error) return Internal(given + ": " + error.message());
  return RunFolder(path.lexically_normal().string(), false);
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::exchange(other.path_, std::string())),
      token_(std::move(other.token_)),
      remove_(other.remove_) {}

RunFolder::~RunFolder() {
  if (path_.empty()) return;
  std::error_code ignored;  // nothing can be done about it here
  if (remove_) {
    fs::remove_all(path_, ignored);
  } else {
    fs::remove(TokenFile(), ignored);
  }
}

Status RunFolder::Prepare(std::string_view document) {
  std::array<unsigned char, 32> bytes{};
  ELEPHAS_RETURN_IF_ERROR(FillRandom(bytes));
  token_ = Hex(bytes.data(), bytes.size());
  ELEPHAS_RETURN_IF_ERROR(WritePrivateFile(TokenFile(), token_));
  return WritePrivateFile(JobFile(), document);
}

std::string RunFolder::PortFile(int server) const {
  return path_ + "/" + ToString(ProcessId{Role::kServer, server}) + ".port";
}

std::string RunFolder::LogFile(ProcessId process) const {
  return path_ + "/" + ToString(process) + ".log";
}

std::optional<std::uint16_t> RunFolder::ReadPort(int server) const {
  const auto text = ReadWholeFile(PortFile(server), 64);
  if (!text.ok()) return std::nullopt;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), port);
  return error == std::errc() && port != 0 ? std::optional(port) : std::nullopt;
}

std::vector<std::string> RunFolder::LogTail(ProcessId process, std::size_t count) const {
  constexpr std::streamoff kBytes = 16384;  // lines are short
  std::ifstream file(LogFile(process), std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg();
  if (size > kBytes) {
    file.seekg(-kBytes, std::ios::end);
  } else {
    file.seekg(0);
  }
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    lines.push_back(std::move(line));
    if (lines.size() > count) lines.erase(lines.begin());
  }
  return lines;
}

Result<std::string> NewUid() {
  std::array<unsigned char, 16> bytes{};
  ELEPHAS_RETURN_IF_ERROR(FillRandom(bytes));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0FU) | 0x40U);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3FU) | 0x80U);
  const std::string hex = Hex(bytes.data(), bytes.size());
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

}  // namespace elephas::cli
