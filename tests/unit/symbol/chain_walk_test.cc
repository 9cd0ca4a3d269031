// SPDX-License-Identifier: MIT
#include "symbol/chain_walk.h"

#include <gtest/gtest.h>

#include "support/fake_view.h"

namespace kcoredump {
namespace {

class ChainWalkTest : public testing::Test {
 protected:
  static uint64_t At(uint64_t number) { return 0xffff888000010000 + number * 64; }

  std::vector<uint64_t> Walk(uint64_t first, size_t most = 100) {
    std::vector<uint64_t> objects;
    outcome_ = WalkChain(memory_, first, 8, most, "the chain", [&](uint64_t object) {
      objects.push_back(object);
      return true;
    });
    return objects;
  }
  void Put(uint64_t number, uint64_t next) { memory_.PutValue<uint64_t>(At(number) + 8, next); }

  test::FakeView memory_;
  ListOutcome outcome_;
};

TEST_F(ChainWalkTest, EndsAtNullAndAtAnOddNumber) {
  Put(1, At(2));
  Put(2, 0);
  Put(3, 0x55);
  EXPECT_EQ(Walk(At(1)), (std::vector<uint64_t>{At(1), At(2)}));
  EXPECT_EQ(Walk(At(3)), (std::vector<uint64_t>{At(3)}));
  EXPECT_TRUE(Walk(0).empty());
  EXPECT_FALSE(outcome_.lost);
}

TEST_F(ChainWalkTest, ACircleEnds) {
  Put(1, At(2));
  Put(2, At(1));
  EXPECT_EQ(Walk(At(1)).size(), 2U);
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(ChainWalkTest, AWildPointerIsNoEntry) {
  Put(1, 0xdead000000000100);
  EXPECT_EQ(Walk(At(1)).size(), 1U);
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(ChainWalkTest, StopsAtTheLimit) {
  for (uint64_t i = 0; i < 10; ++i) Put(i, At(i + 1));
  EXPECT_EQ(Walk(At(0), 4).size(), 4U);
  EXPECT_TRUE(outcome_.lost);
}

}  // namespace
}  // namespace kcoredump
