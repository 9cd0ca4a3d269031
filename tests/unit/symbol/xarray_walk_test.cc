// SPDX-License-Identifier: MIT
#include "symbol/xarray_walk.h"

#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kArray = 0xffff888000001000;
constexpr uint64_t kXaNodes = 0xffff888000010000;

using Pairs = std::vector<std::pair<uint64_t, uint64_t>>;

class XArrayWalkTest : public testing::Test {
 protected:
  XArrayWalkTest() {
    kernel_.Struct("xarray", 16, {{"xa_lock", 0, 4}, {"xa_head", 8}});
    kernel_.Struct("xa_node", 64 * 8 + 16, {{"shift", 0, 1}, {"slots", 16, 64 * 8}});
  }

  static uint64_t Entry(unsigned number) { return kXaNodes + number * 0x400 + 2; }
  void Head(uint64_t entry) {
    kernel_.Zero(kArray, 16);
    kernel_.Word(kArray + 8, entry);
  }
  void Put(unsigned number, uint8_t shift, const Pairs& slots) {
    const uint64_t at = kXaNodes + number * 0x400;
    kernel_.Zero(at, 64 * 8 + 16);
    kernel_.memory.PutValue<uint8_t>(at, shift);
    for (const auto& [slot, entry] : slots) kernel_.Word(at + 16 + slot * 8, entry);
  }

  Pairs Walk(size_t most = 1000) {
    const auto walker = XArrayWalker::Create(kernel_.types());
    EXPECT_TRUE(walker.ok());
    Pairs entries;
    outcome_ = walker.value().Walk(kernel_.memory, kArray, most, "the xarray",
                                   [&](uint64_t index, uint64_t entry) {
                                     entries.emplace_back(index, entry);
                                     return true;
                                   });
    return entries;
  }

  test::FakeKernel kernel_;
  ListOutcome outcome_;
};

TEST_F(XArrayWalkTest, ASingleEntryNeedsNoNode) {
  Head(0x5000);
  EXPECT_EQ(Walk(), (Pairs{{0, 0x5000}}));
}

TEST_F(XArrayWalkTest, GivesEntriesOfTwoLevelsByIndex) {
  Head(Entry(0));
  Put(0, 6, {{0, Entry(1)}, {3, Entry(2)}});
  Put(1, 0, {{1, 0x5000}, {2, 258}});  // the second belongs to another slot
  Put(2, 0, {{63, 0x6000}});
  EXPECT_EQ(Walk(), (Pairs{{1, 0x5000}, {3 * 64 + 63, 0x6000}}));
  EXPECT_FALSE(outcome_.lost);
}

TEST_F(XArrayWalkTest, ACircleEnds) {
  Head(Entry(0));
  Put(0, 6, {{0, Entry(0)}, {1, Entry(1)}});
  Put(1, 0, {{0, 0x5000}});
  EXPECT_EQ(Walk(), (Pairs{{64, 0x5000}}));
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(XArrayWalkTest, ANodeOfAWrongLevelIsLost) {
  Head(Entry(0));
  Put(0, 6, {{0, Entry(1)}});
  Put(1, 60, {{0, 0x5000}});
  EXPECT_TRUE(Walk().empty());
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(XArrayWalkTest, AMissingNodeCostsWhatIsBelowIt) {
  Head(Entry(0));
  Put(0, 6, {{0, Entry(1)}, {1, Entry(2)}});
  Put(2, 0, {{0, 0x5000}});
  EXPECT_EQ(Walk(), (Pairs{{64, 0x5000}}));
  EXPECT_TRUE(outcome_.lost);
}

TEST_F(XArrayWalkTest, StopsAtTheLimit) {
  Head(Entry(0));
  Put(0, 0, {{0, 0x5000}, {1, 0x6000}, {2, 0x7000}});
  EXPECT_EQ(Walk(2).size(), 2U);
  EXPECT_TRUE(outcome_.lost);
}

}  // namespace
}  // namespace kcoredump
