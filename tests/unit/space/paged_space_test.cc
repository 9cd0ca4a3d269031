// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "space/kernel_space.h"
#include "support/fake_view.h"
#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using test::kPage;

constexpr uint64_t kTable = 512 * kPage;  ///< what a table of the lowest level maps
constexpr uint64_t kHuge = 0xe3;          ///< a page where a table could be
constexpr uint64_t kSmall = 0x63;

constexpr uint64_t kSteps = 1 << 20;

/// Four levels, of which the lowest maps the upper half's first 2 MiB; what follows is set by
/// tests.
class PagedSpaceTest : public testing::Test {
 protected:
  static constexpr uint64_t kVirt = 0xffff800000000000;
  static constexpr uint64_t kMiddle = 0x3000;
  static constexpr uint64_t kLowest = 0x4000;

  PagedSpaceTest() {
    for (uint64_t table = 0x1000; table <= kLowest; table += kPage) {
      memory_.Put(table, std::vector<std::byte>(kPage));
    }
    memory_.PutValue<uint64_t>(0x1000 + 256 * 8, 0x2063);
    memory_.PutValue<uint64_t>(0x2000, kMiddle | kSmall);
    memory_.PutValue<uint64_t>(kMiddle, kLowest | kSmall);
    auto info = VmcoreInfo::Parse("NUMBER(pgtable_l5_enabled)=0\n");
    paging_ = kX8664.PagingOf(info.value()).value();
  }

  /// The `index`-th page behind kVirt is at `phys`, and holds random bytes.
  void Map(uint64_t index, uint64_t phys) {
    memory_.PutValue<uint64_t>(kLowest + index * 8, phys | kSmall);
    memory_.Put(phys, test::RandomBytes(kPage, static_cast<uint32_t>(phys / kPage)));
  }

  PagedSpace Space(bool keep_translations) {
    return {memory_, kX8664, paging_, PhysAddr{0x1000}, keep_translations};
  }

  test::Bytes Physical(uint64_t at, uint64_t bytes) {
    test::Bytes out(bytes);
    EXPECT_TRUE(memory_.Read(at, out).ok());
    return out;
  }

  test::FakeView memory_;
  Paging paging_;
};

TEST_F(PagedSpaceTest, ALongReadOfChangingTablesTakesOneWalk) {
  constexpr uint64_t kPages = 64;
  test::Bytes wanted;
  for (uint64_t i = 0; i < kPages; ++i) Map(i, 0x100000 + (kPages - i) * 2 * kPage);
  for (uint64_t i = 0; i < kPages; ++i) {
    const test::Bytes page = Physical(0x100000 + (kPages - i) * 2 * kPage, kPage);
    wanted.insert(wanted.end(), page.begin(), page.end());
  }
  PagedSpace space = Space(false);
  test::Bytes out(kPages * kPage - 20);
  memory_.reads = 0;
  ASSERT_TRUE(space.Read(kVirt + 10, out).ok());
  EXPECT_EQ(out, test::Bytes(wanted.begin() + 10, wanted.end() - 10));
  EXPECT_EQ(memory_.reads, 4 + 1 + kPages);
}

TEST_F(PagedSpaceTest, PagesThatFollowEachOtherAreOneRead) {
  for (uint64_t i = 0; i < 16; ++i) Map(i, 0x100000 + i * kPage);
  PagedSpace space = Space(false);
  test::Bytes out(16 * kPage);
  memory_.reads = 0;
  ASSERT_TRUE(space.Read(kVirt, out).ok());
  EXPECT_EQ(memory_.reads, 4 + 1 + 1u);
  EXPECT_EQ(out, Physical(0x100000, 16 * kPage));
}

TEST_F(PagedSpaceTest, APageThatIsNotMappedEndsALongRead) {
  for (uint64_t i = 0; i < 16; ++i) {
    if (i != 7) Map(i, 0x100000 + i * kPage);
  }
  for (const bool keep : {false, true}) {
    PagedSpace space = Space(keep);
    test::Bytes out(16 * kPage);
    const Status read = space.Read(kVirt, out);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::kUnreadable);
    EXPECT_EQ(read.error().address, kVirt + 7 * kPage);
  }
}

TEST_F(PagedSpaceTest, TablesThatChangeBetweenReadsAreReadAnew) {
  Map(0, 0x100000);
  Map(1, 0x101000);
  PagedSpace space = Space(false);
  test::Bytes out(2 * kPage);
  ASSERT_TRUE(space.Read(kVirt, out).ok());
  Map(1, 0x209000);
  ASSERT_TRUE(space.Read(kVirt, out).ok());
  EXPECT_EQ(test::Bytes(out.begin() + kPage, out.end()), Physical(0x209000, kPage));
}

TEST_F(PagedSpaceTest, AReadGoesOnPastTheEndOfATable) {
  Map(510, 0x100000);
  Map(511, 0x101000);
  memory_.PutValue<uint64_t>(kMiddle + 8, 0x40000000 | kHuge);
  memory_.Put(0x40000000, test::RandomBytes(kPage, 3));
  PagedSpace space = Space(false);
  test::Bytes out(3 * kPage);
  ASSERT_TRUE(space.Read(kVirt + kTable - 2 * kPage, out).ok());
  EXPECT_EQ(test::Bytes(out.begin() + 2 * kPage, out.end()), Physical(0x40000000, kPage));
}

TEST_F(PagedSpaceTest, MappedRangesAreWhatIsMapped) {
  Map(1, 0x100000);
  Map(2, 0x101000);
  Map(4, 0x200000);
  memory_.PutValue<uint64_t>(kMiddle + 8, 0x40000000 | kHuge);
  memory_.PutValue<uint64_t>(kMiddle + 24, 0x77000 | kSmall);  // a table that is not there
  PagedSpace space = Space(true);
  const auto found = space.MappedRanges({kVirt, kVirt + 5 * kTable}, kSteps).value();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].virt.begin, kVirt + kPage);
  EXPECT_EQ(found[0].virt.end, kVirt + 3 * kPage);
  EXPECT_EQ(found[0].phys.value, 0x100000u);
  EXPECT_EQ(found[1].virt.begin, kVirt + 4 * kPage);
  EXPECT_EQ(found[1].phys.value, 0x200000u);
  EXPECT_EQ(found[2].virt.begin, kVirt + kTable);
  EXPECT_EQ(found[2].virt.end, kVirt + 2 * kTable);
  EXPECT_EQ(found[2].phys.value, 0x40000000u);
}

TEST_F(PagedSpaceTest, MappedRangesEndWhereTheyAreAskedTo) {
  memory_.PutValue<uint64_t>(kMiddle + 8, 0x40000000 | kHuge);
  PagedSpace space = Space(false);
  const auto found =
      space.MappedRanges({kVirt + kTable + kPage, kVirt + kTable + 3 * kPage}, kSteps).value();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].virt.size(), 2 * kPage);
  EXPECT_EQ(found[0].phys.value, 0x40001000u);
}

TEST_F(PagedSpaceTest, EmptyUpperLevelsCostOneStepEach) {
  PagedSpace space = Space(false);
  memory_.reads = 0;
  EXPECT_TRUE(space.MappedRanges({kVirt + (uint64_t{1} << 39), kVirt + (uint64_t{8} << 39)}, kSteps)
                  .value()
                  .empty());
  EXPECT_EQ(memory_.reads, 7u);
}

TEST_F(PagedSpaceTest, TheLastPageOfAllIsNoEndlessLoop) {
  PagedSpace space = Space(false);
  EXPECT_TRUE(space.MappedRanges({~uint64_t{0} - 5 * kPage, ~uint64_t{0}}, kSteps).value().empty());
}

TEST_F(PagedSpaceTest, MoreStepsThanAllowedAreForged) {
  PagedSpace space = Space(false);
  const auto found =
      space.MappedRanges({kVirt + (uint64_t{1} << 39), kVirt + (uint64_t{8} << 39)}, 6);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace kcoredump
