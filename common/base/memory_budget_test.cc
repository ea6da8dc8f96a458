#include "common/base/memory_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace elephas {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;

// A root folder with the files that the kernel shows.
class MemoryBudgetTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/memory_budget_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    Write("/proc/meminfo", "MemTotal:        1048576 kB\nMemFree: 7 kB\n");
    Write("/proc/self/status", "Name:\tworker\nVmRSS:\t  999999 kB\nRssAnon:\t   65536 kB\n");
  }
  ~MemoryBudgetTest() override { fs::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string root_;
};

TEST_F(MemoryBudgetTest, WithoutAGroupTheMachineCounts) {
  const MemoryBudget budget = FreeMemory(root_);
  EXPECT_EQ(budget.bytes, 960 * kMebibyte);
  EXPECT_EQ(budget.limit, "the machine's 1.0 GiB");
}

TEST_F(MemoryBudgetTest, ALimitOfVersionTwoCounts) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "268435456\n");
  const MemoryBudget budget = FreeMemory(root_);
  EXPECT_EQ(budget.bytes, 192 * kMebibyte);
  EXPECT_EQ(budget.limit, "the container's 256.0 MiB");
}

TEST_F(MemoryBudgetTest, TheLeastLimitOfTheParentsCounts) {
  Write("/proc/self/cgroup", "0::/pods/one/container\n");
  Write("/sys/fs/cgroup/pods/one/container/memory.max", "max\n");
  Write("/sys/fs/cgroup/pods/one/memory.max", "134217728\n");
  Write("/sys/fs/cgroup/pods/memory.max", "536870912\n");
  EXPECT_EQ(FreeMemory(root_).bytes, 64 * kMebibyte);
}

TEST_F(MemoryBudgetTest, APathToldFromOutsideFallsBackToWhatIsMounted) {
  Write("/proc/self/cgroup", "4:cpu,memory:/docker/0123\n1:name=systemd:/x\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
  EXPECT_EQ(FreeMemory(root_).bytes, 64 * kMebibyte);
}

TEST_F(MemoryBudgetTest, VersionOnesNumberForNoLimitIsNone) {
  Write("/proc/self/cgroup", "4:memory:/\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(FreeMemory(root_).limit, "the machine's 1.0 GiB");
}

TEST_F(MemoryBudgetTest, WhoHoldsMoreThanTheLimitHasNothingLeft) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "1048576\n");
  EXPECT_EQ(FreeMemory(root_).bytes, 0U);
}

TEST(MemoryBudget, OfThisProcessIsSomething) {
  const MemoryBudget budget = FreeMemory();
  EXPECT_GT(budget.bytes, kMebibyte);
  EXPECT_LT(budget.bytes, std::uint64_t{1} << 50);
}

TEST(MemoryBudget, ARefusalTellsTheNeedTheLimitAndTheWayOut) {
  const MemoryBudget budget{.bytes = 100 * kMebibyte, .limit = "the container's 256.0 MiB"};
  EXPECT_TRUE(CheckMemory(budget, 100 * kMebibyte, "it").ok());
  EXPECT_TRUE(CheckMemory({}, UINT64_MAX, "it").ok());
  const Status status = CheckMemory(budget, 1126 * kMebibyte, "x.npz: array 'x'");
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_EQ(status.message(),
            "x.npz: array 'x' would take 1.1 GiB of memory, and 100.0 MiB are left of the "
            "container's 256.0 MiB: raise resources.limits.memory in spec.workers.template, or "
            "read less");
}

TEST(MemoryBudget, BytesAreToldInUnits) {
  EXPECT_EQ(BytesText(1023), "1023 bytes");
  EXPECT_EQ(BytesText(1536), "1.5 KiB");
  EXPECT_EQ(BytesText(UINT64_MAX), "16384.0 PiB");
}

}  // namespace
}  // namespace elephas
