// SPDX-License-Identifier: MIT
#include "symbol/maple_walk.h"

#include <tuple>

#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kTree = 0xffff888000001000;
constexpr uint64_t kNodes = 0xffff888000010000;
constexpr uint64_t kLeaf = 1 << 3 | 2;
constexpr uint64_t kRange = 2 << 3 | 2;
constexpr uint64_t kArange = 3 << 3 | 2;
constexpr uint64_t kAll = ~uint64_t{0};

using Entries = std::vector<std::tuple<uint64_t, uint64_t, uint64_t>>;

class MapleWalkTest : public testing::Test {
 protected:
  MapleWalkTest() {
    kernel_.Struct("maple_tree", 16, {{"ma_lock", 0, 4}, {"ma_flags", 4, 4}, {"ma_root", 8}});
    kernel_.Struct("maple_range_64", 256, {{"parent", 0}, {"pivot", 8, 120}, {"slot", 128, 128}});
    kernel_.Struct("maple_arange_64", 256,
                   {{"parent", 0}, {"pivot", 8, 72}, {"slot", 80, 80}, {"gap", 160, 80}});
    kernel_.Struct("maple_node", 256, {{"all", 0, 256}});
  }

  static uint64_t Node(unsigned number, uint64_t type) { return (kNodes + number * 256) | type; }

  /// A node; the last pivot of a full one is left out.
  void Put(uint64_t node, const std::vector<uint64_t>& pivots, const std::vector<uint64_t>& slots) {
    const uint64_t at = node & ~uint64_t{255};
    kernel_.Zero(at, 256);
    kernel_.Word(at, kTree | 1);
    for (size_t i = 0; i < pivots.size(); ++i) kernel_.Word(at + 8 + i * 8, pivots[i]);
    const uint64_t first = at + ((node & 0x78) == (3 << 3) ? 80 : 128);
    for (size_t i = 0; i < slots.size(); ++i) kernel_.Word(first + i * 8, slots[i]);
  }
  void Root(uint64_t entry) {
    kernel_.Zero(kTree, 16);
    kernel_.Word(kTree + 8, entry);
  }

  Entries Walk(size_t most = 1000) {
    const auto walker = MapleWalker::Create(kernel_.types());
    EXPECT_TRUE(walker.ok());
    Entries entries;
    outcome_ = walker.value().Walk(kernel_.memory, kTree, most, "the tree",
                                   [&](uint64_t first, uint64_t last, uint64_t entry) {
                                     entries.emplace_back(first, last, entry);
                                     return true;
                                   });
    return entries;
  }

  test::FakeKernel kernel_;
  ListOutcome outcome_;
};

TEST_F(MapleWalkTest, AnEmptyTreeHasNothing) {
  Root(0);
  EXPECT_TRUE(Walk().empty());
  EXPECT_TRUE(outcome_.note.empty());
}

TEST_F(MapleWalkTest, ASingleEntryNeedsNoNode) {
  Root(0xffff888000002000);
  EXPECT_EQ(Walk(), (Entries{{0, 0, 0xffff888000002000}}));
}

TEST_F(MapleWalkTest, GivesRangesOfALeafWithoutGapsAndReservedOnes) {
  Root(Node(0, kLeaf));
  Put(Node(0, kLeaf), {9, 19, 29, 39}, {0, 0x5000, 257 << 2 | 2, 0x6000, 0x7000});
  EXPECT_EQ(Walk(), (Entries{{10, 19, 0x5000}, {30, 39, 0x6000}, {40, kAll, 0x7000}}));
  EXPECT_TRUE(outcome_.note.empty());
}

TEST_F(MapleWalkTest, TheLastSlotOfAFullNodeReachesToItsEnd) {
  std::vector<uint64_t> pivots;
  std::vector<uint64_t> slots;
  for (uint64_t i = 0; i < 16; ++i) {
    if (i < 15) pivots.push_back(i);
    slots.push_back(0x10000 + i * 8);
  }
  Root(Node(0, kLeaf));
  Put(Node(0, kLeaf), pivots, slots);
  const Entries entries = Walk();
  ASSERT_EQ(entries.size(), 16U);
  EXPECT_EQ(entries.back(), std::tuple(15U, kAll, 0x10078U));
}

TEST_F(MapleWalkTest, GoesDownThroughBothSortsOfInnerNodes) {
  Root(Node(0, kArange));
  Put(Node(0, kArange), {99}, {Node(1, kRange), Node(2, kLeaf)});
  Put(Node(1, kRange), {49, 99}, {Node(3, kLeaf), Node(4, kLeaf)});
  Put(Node(2, kLeaf), {kAll}, {0x5000});
  Put(Node(3, kLeaf), {10, 49}, {0x6000, 0});
  Put(Node(4, kLeaf), {99}, {0x7000});
  EXPECT_EQ(Walk(), (Entries{{0, 10, 0x6000}, {50, 99, 0x7000}, {100, kAll, 0x5000}}));
  EXPECT_TRUE(outcome_.note.empty());
}

TEST_F(MapleWalkTest, AMissingNodeCostsWhatIsBelowIt) {
  Root(Node(0, kArange));
  Put(Node(0, kArange), {99}, {Node(1, kLeaf), Node(2, kLeaf)});
  Put(Node(2, kLeaf), {kAll}, {0x5000});
  EXPECT_EQ(Walk(), (Entries{{100, kAll, 0x5000}}));
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(MapleWalkTest, ACircleEnds) {
  Root(Node(0, kArange));
  Put(Node(0, kArange), {99}, {Node(0, kArange), Node(2, kLeaf)});
  Put(Node(2, kLeaf), {kAll}, {0x5000});
  EXPECT_EQ(Walk(), (Entries{{100, kAll, 0x5000}}));
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(MapleWalkTest, PivotsInDisorderEndTheirNode) {
  Root(Node(0, kLeaf));
  Put(Node(0, kLeaf), {50, 40, kAll}, {0x5000, 0x6000, 0x7000});
  EXPECT_EQ(Walk(), (Entries{{0, 50, 0x5000}}));
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(MapleWalkTest, ASortOfNodeThatThereIsNotIsDamage) {
  Root(Node(0, 9 << 3 | 2));
  EXPECT_TRUE(Walk().empty());
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(MapleWalkTest, ANodeThatWasReplacedIsDamage) {
  Root(Node(0, kLeaf));
  Put(Node(0, kLeaf), {kAll}, {0x5000});
  kernel_.Word(kNodes, kNodes);
  EXPECT_TRUE(Walk().empty());
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(MapleWalkTest, StopsAtTheLimit) {
  Root(Node(0, kLeaf));
  Put(Node(0, kLeaf), {1, 2, 3}, {0x5000, 0x6000, 0x7000, 0x8000});
  EXPECT_EQ(Walk(2).size(), 2U);
  EXPECT_TRUE(outcome_.lost);
}

}  // namespace
}  // namespace kcoredump
