// Feeds a fuzz target every file of a folder: whole, cut short, and with single bytes changed, at as many
// places of each file as the second argument says, evenly spread.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

// From a block of exactly its size, so that AddressSanitizer sees a read behind the end.
void Feed(const std::string& text) {
  const std::vector<std::uint8_t> bytes(text.begin(), text.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

void FeedDamaged(const std::string& text, std::size_t places) {
  const std::size_t step = std::max<std::size_t>(1, text.size() / places);
  for (std::size_t at = 0; at < text.size(); at += step) {
    Feed(text.substr(0, at));
    for (const unsigned char change : {0x01, 0x80, 0xFF}) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ change);
      Feed(damaged);
    }
  }
}

}  // namespace

int main(int count, char** words) {
  const std::size_t places = count == 3 ? std::strtoul(words[2], nullptr, 10) : 0;
  if (places == 0) {
    std::fprintf(stderr, "usage: %s CORPUS-FOLDER PLACES\n", words[0]);
    return 2;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(words[1])) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  if (files.empty()) {
    std::fprintf(stderr, "%s holds no seeds\n", words[1]);
    return 1;
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& path : files) {
    std::printf("%s\n", path.filename().c_str());
    std::fflush(stdout);
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    Feed(text);
    FeedDamaged(text, places);
  }
  return 0;
}
