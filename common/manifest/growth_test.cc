// What a manifest costs grows with its size and not faster, whatever is in it: the cost is counted
// in allocations, which every step that is taken too often makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "common/manifest/job_spec.h"
#include "common/manifest/testing/manifest.h"

namespace {
std::atomic<std::size_t> allocated{0};
}  // namespace

// NOLINTBEGIN(cppcoreguidelines-no-malloc): this is what allocates
void* operator new(std::size_t size) {
  allocated += 64 + size;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
// NOLINTEND(cppcoreguidelines-no-malloc)

namespace elephas {
namespace {

using testing::SizeIs;

struct Grown {
  const char* name;
  std::string (*line)(std::size_t);  // the i-th piece
  const char* before = "";           // all pieces
  const char* behind = "";           // them
  std::size_t problems = 101;        // 100, and how many more there are
};

std::string Number(std::size_t i) { return std::to_string(i); }

const Grown kGrown[] = {
    {"unknown keys with anchors",
     [](std::size_t i) { return "key" + Number(i) + ": &a" + Number(i) + " x\n"; }},
    {"unknown fields of a section", [](std::size_t i) { return "  epoch" + Number(i) + ": 1\n"; },
     "spec:\n"},
    {"classes that are none", [](std::size_t i) { return "x" + Number(i) + ": 1,\n    "; },
     "  fit: {classWeight: {", "}}\n", 0},  // its rule has a bound of its own, of a few
    {"labels that are none", [](std::size_t i) { return "a b" + Number(i) + ": c,\n    "; },
     "metadata: {name: m, labels: {", "}}\n", 101},
    {"keys that are given twice", [](std::size_t i) { return "a" + Number(i / 2) + ": c,\n    "; },
     "  compile: {loss: mse, optimizer: {", "}}\n", 102},
    {"unknown fields of the status", [](std::size_t i) { return "a" + Number(i) + ": c,\n    "; },
     "status: {", "}\n"},
    {"names that are none", [](std::size_t /*i*/) { return std::string("1,\n    "); },
     "  data: {uri: d.npz, labels: [", "]}\n"},
    {"infinite numbers", [](std::size_t /*i*/) { return std::string(".inf,\n    "); },
     "  compile: {loss: mse, optimizer: [", "]}\n"},
    {"values of a list", [](std::size_t i) { return Number(i) + ",\n    "; },
     "  model: {inline: {a: [", "]}}\n", 0},
    {"aliases", [](std::size_t /*i*/) { return std::string("*x,\n    "); },
     "  compile: {loss: mse, optimizer: {a: &x b, c: [", "]}}\n", 0},
    {"merge keys", [](std::size_t i) { return "<<: {k" + Number(i) + ": 1},\n    "; },
     "  model: {inline: {", "}}\n", 0},
};

// Without the sections that `grown` writes itself.
std::string Text(const Grown& grown, std::size_t count) {
  const std::string_view before = grown.before;
  std::string text = "apiVersion: elephas.dev/v1alpha1\nkind: ElephasJob\n";
  if (!before.starts_with("metadata")) text += "metadata: {name: m}\n";
  const bool top = before.empty() || before.starts_with("metadata") || before.starts_with("status");
  const bool section = before.starts_with("spec");
  std::string many(before);
  for (std::size_t i = 0; i < count; ++i) many += grown.line(i);
  many += grown.behind;
  if (top) text += many;
  text += section ? many : "spec:\n";
  if (!before.starts_with("  model")) text += "  model: {uri: model.json}\n";
  if (!before.starts_with("  compile")) text += "  compile: {loss: mse}\n";
  if (!before.starts_with("  data")) text += "  data: {uri: d.npz}\n";
  text += "  output: {uri: out}\n";
  return top || section ? text : text + many;
}

TEST(Growth, IsLinearAndProblemsAreBounded) {
  for (const Grown& grown : kGrown) {
    std::size_t cost[2] = {};
    for (const std::size_t twice : {0, 1}) {
      const std::string text = Text(grown, 2'000 << twice);
      const std::size_t before = allocated;
      const ParsedManifest parsed = ParseManifest(text, "job.yaml");
      cost[twice] = allocated - before;
      if (grown.problems > 0) {
        ASSERT_LE(parsed.problems.size(), grown.problems) << grown.name;
        ASSERT_GE(parsed.problems.size(), 101U) << grown.name;
        EXPECT_THAT(ToString(parsed.problems.back()),
                    testing::MatchesRegex("job.yaml: and [0-9]+ more problems"))
            << grown.name;
      }
    }
    EXPECT_LT(cost[1], 3 * cost[0]) << grown.name;
    // And it is a small multiple of the text.
    EXPECT_LT(cost[1], 200 * Text(grown, 4'000).size()) << grown.name;
  }
}

TEST(Growth, ALongPathIsCut) {
  std::string text = "  compile: {loss: mse, optimizer: ";
  for (int i = 0; i < 100; ++i) text += "{" + std::string(60, 'k') + ": ";
  text += ".inf" + std::string(100, '}') + "}";
  const auto problems = ProblemsOf(Manifest({{8, text}}));
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_LT(problems.front().size(), 700U);
}

}  // namespace
}  // namespace elephas
