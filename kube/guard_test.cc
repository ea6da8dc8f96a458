#include "kube/guard.h"

#include <gtest/gtest.h>

#include <new>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/base/utf8.h"

namespace elephas::kube {
namespace {

class Counted final : public ClientObserver {
 public:
  void Panicked(std::string_view where) override { wheres.emplace_back(where); }
  std::vector<std::string> wheres;
};

TEST(Guard, WhatIsThrownIsAStatusAndIsCounted) {
  Counted counted;
  const Status thrown =
      Guarded(counted, "reconcile", "a/b", [] { static_cast<void>(nlohmann::json(5).at("name")); });
  EXPECT_EQ(thrown.code(), Code::kInternal);
  EXPECT_NE(thrown.message().find("type_error"), std::string::npos);
  const Status memory = Guarded(counted, "poll", "a/b", [] { throw std::bad_alloc(); });
  EXPECT_EQ(memory.message(), "out of memory");
  const auto odd = Guarded(counted, "event", "a/b", []() -> Result<int> { throw 5; });
  EXPECT_EQ(odd.status().code(), Code::kInternal);
  EXPECT_EQ(counted.wheres, (std::vector<std::string>{"reconcile", "poll", "event"}));
}

TEST(Guard, WhatIsAnsweredComesThrough) {
  Counted counted;
  EXPECT_EQ(*Guarded(counted, "poll", "", [] { return Result<int>(5); }), 5);
  EXPECT_EQ(Guarded(counted, "poll", "", [] { return NotFound("x"); }).code(), Code::kNotFound);
  EXPECT_TRUE(Guarded(counted, "poll", "", [] {}).ok());
  EXPECT_TRUE(counted.wheres.empty());
}

TEST(Guard, TheMessageCanBeSentWhateverWasThrown) {
  Counted counted;
  const Status thrown = Guarded(counted, "http", "", [] {
    throw std::runtime_error("cut: \xE8\xB1" + std::string(100'000, 'x'));
  });
  EXPECT_LE(thrown.message().size(), 1'000U);
  EXPECT_EQ(ValidUtf8(thrown.message()), thrown.message());
}

}  // namespace
}  // namespace elephas::kube
