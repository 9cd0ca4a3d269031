// SPDX-License-Identifier: MIT
#include "symbol/tree_walk.h"

#include <gtest/gtest.h>

#include "support/fake_view.h"

namespace kcoredump {
namespace {

constexpr uint64_t kTreeRoot = 0xffff888000001000;
constexpr uint64_t kFirstNode = 0xffff888000010000;

class TreeWalkTest : public testing::Test {
 protected:
  TreeWalkTest() { memory_.PutValue<uint64_t>(kTreeRoot, At(4)); }

  static uint64_t At(uint64_t number) { return number == 0 ? 0 : kFirstNode + number * 64; }

  void Put(uint64_t number, uint64_t parent, uint64_t left, uint64_t right) {
    memory_.PutValue<uint64_t>(At(number), At(parent) | 1);  // black
    memory_.PutValue<uint64_t>(At(number) + 8, At(right));
    memory_.PutValue<uint64_t>(At(number) + 16, At(left));
  }
  /// 4 above 2 (above 1 and 3) and 6 (above 5 and 7).
  void PutSeven() {
    Put(4, 0, 2, 6);
    Put(2, 4, 1, 3);
    Put(6, 4, 5, 7);
    for (const uint64_t leaf : {1, 3}) Put(leaf, 2, 0, 0);
    for (const uint64_t leaf : {5, 7}) Put(leaf, 6, 0, 0);
  }

  std::vector<uint64_t> Walk(size_t most = 100) {
    std::vector<uint64_t> numbers;
    outcome_ = WalkTree(memory_, kTreeRoot, most, "the tree", [&](uint64_t node) {
      numbers.push_back((node - kFirstNode) / 64);
      return true;
    });
    return numbers;
  }

  test::FakeView memory_;
  ListOutcome outcome_;
};

TEST_F(TreeWalkTest, GivesNodesInOrder) {
  PutSeven();
  EXPECT_EQ(Walk(), (std::vector<uint64_t>{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_FALSE(outcome_.lost);
}

TEST_F(TreeWalkTest, AnEmptyTreeHasNone) {
  memory_.PutValue<uint64_t>(kTreeRoot, 0);
  EXPECT_TRUE(Walk().empty());
  EXPECT_FALSE(outcome_.lost);
}

TEST_F(TreeWalkTest, AMissingNodeCostsWhatIsBelowIt) {
  PutSeven();
  memory_.Remove(At(2), 24);
  EXPECT_EQ(Walk(), (std::vector<uint64_t>{4, 5, 6, 7}));
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(TreeWalkTest, ACircleEnds) {
  PutSeven();
  Put(1, 2, 4, 0);
  EXPECT_EQ(Walk(), (std::vector<uint64_t>{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(TreeWalkTest, ANodeOfAnotherParentIsLost) {
  PutSeven();
  Put(6, 2, 5, 7);
  EXPECT_EQ(Walk(), (std::vector<uint64_t>{1, 2, 3, 4}));
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(TreeWalkTest, StopsAtTheLimit) {
  PutSeven();
  EXPECT_LE(Walk(3).size(), 3U);
  EXPECT_TRUE(outcome_.lost);
}

}  // namespace
}  // namespace kcoredump
