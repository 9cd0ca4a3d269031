// SPDX-License-Identifier: MIT
#include "kernel/page_layout.h"

#include <gtest/gtest.h>

#include <cstring>

#include "support/test_bytes.h"
#include "support/vmcoreinfo_recipes.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;

constexpr uint64_t kArrayOfPages = 0xffffea0000000000;

Result<PageLayout> LayoutOf(const std::string& text) {
  return PageLayout::From(VmcoreInfo::Parse(text).value(), kPage);
}

/// A struct page as all the kernels of the recipes have it.
struct FakePage {
  uint64_t flags = 0;
  uint64_t compound = 0;
  uint64_t mapping = 0;
  uint64_t order = 0;
  int32_t mapcount = -1;
  uint8_t dtor = 0;

  [[nodiscard]] Bytes Encoded() const {
    Bytes bytes(64);
    std::memcpy(&bytes[0], &flags, 8);
    std::memcpy(&bytes[8], &compound, 8);
    bytes[16] = std::byte{dtor};
    std::memcpy(&bytes[24], &mapping, 8);
    std::memcpy(&bytes[40], &order, 8);
    std::memcpy(&bytes[48], &mapcount, 4);
    return bytes;
  }
};

class PageLayoutTest : public ::testing::Test {
 protected:
  PageUse Old(const FakePage& page, const FakePage& next = {}) {
    return old_.UseOf(page.Encoded(), next.Encoded());
  }
  PageUse New(const FakePage& page) { return new_.UseOf(page.Encoded(), {}); }

  PageLayout old_ = LayoutOf(test::kStructPage61).value();
  PageLayout new_ = LayoutOf(test::kStructPage72).value();
};

TEST_F(PageLayoutTest, AFreeBlockTellsItsOrder) {
  const PageUse old = Old({.order = 3, .mapcount = -129});
  EXPECT_EQ(old.page_class, PageClass::kFree);
  EXPECT_EQ(old.free_order, 3u);
  // Since 6.12 only the top byte is the type.
  const PageUse recent = New({.order = 9, .mapcount = -268435456 | 0x1234});
  EXPECT_EQ(recent.page_class, PageClass::kFree);
  EXPECT_EQ(recent.free_order, 9u);
}

TEST_F(PageLayoutTest, AFreeBlockOfAnOrderThatCannotBeIsKept) {
  EXPECT_EQ(Old({.order = 14, .mapcount = -129}).page_class, PageClass::kNone);
  EXPECT_EQ(Old({.order = ~uint64_t{0}, .mapcount = -129}).page_class, PageClass::kNone);
}

TEST_F(PageLayoutTest, CacheIsWithAndWithoutPrivateData) {
  EXPECT_EQ(Old({.flags = 1 << 4}).page_class, PageClass::kCache);
  EXPECT_EQ(Old({.flags = 1 << 4 | 1 << 13}).page_class, PageClass::kPrivateCache);
  EXPECT_EQ(New({.flags = 1 << 5}).page_class, PageClass::kCache);
  EXPECT_EQ(New({.flags = 1 << 5 | 1 << 14}).page_class, PageClass::kPrivateCache);
}

TEST_F(PageLayoutTest, SwapCacheIsCacheOnlyWhereItIsSwapBacked) {
  EXPECT_EQ(Old({.flags = 1 << 10 | 1 << 19}).page_class, PageClass::kCache);
  EXPECT_EQ(Old({.flags = 1 << 10}).page_class, PageClass::kNone);
}

TEST_F(PageLayoutTest, AnonymousPagesAreTheUsers) {
  EXPECT_EQ(Old({.flags = 1 << 4, .mapping = 0xffff888000000001}).page_class, PageClass::kUser);
  EXPECT_EQ(New({.flags = 1 << 5, .mapping = 0xffff888000000001}).page_class, PageClass::kUser);
}

TEST_F(PageLayoutTest, ASlabThatLooksAnonymousIsKept) {
  EXPECT_EQ(Old({.flags = 1 << 9, .mapping = 3}).page_class, PageClass::kNone);
  EXPECT_EQ(New({.mapping = 3, .mapcount = -184549376}).page_class, PageClass::kNone);
}

TEST_F(PageLayoutTest, KindsAreFinerThanClasses) {
  EXPECT_EQ(Old({}).kind, PageKind::kKernel);
  EXPECT_EQ(Old({.flags = 1 << 9, .mapping = 3}).kind, PageKind::kSlab);
  EXPECT_EQ(New({.mapping = 3, .mapcount = -184549376}).kind, PageKind::kSlab);
  EXPECT_EQ(Old({.order = 3, .mapcount = -129}).kind, PageKind::kFree);
  EXPECT_EQ(Old({.flags = 1 << 4 | 1 << 13}).kind, PageKind::kCache);
  EXPECT_EQ(New({.flags = 64, .mapcount = -201326592}).kind, PageKind::kUser);
}

TEST_F(PageLayoutTest, ReservedPagesAreToldOnceTheBitIsLearnt) {
  EXPECT_EQ(Old({.flags = 1 << 12}).kind, PageKind::kKernel);
  old_.LearnReserved(1 << 12);
  EXPECT_EQ(Old({.flags = 1 << 12}).kind, PageKind::kReserved);
  EXPECT_EQ(Old({}).kind, PageKind::kKernel);
}

TEST_F(PageLayoutTest, TablesThatClearABitAreKnownByIt) {
  constexpr int32_t kTable = ~0x400;
  constexpr int32_t kPaidFor = ~0x200;  // 5.10's PG_kmemcg
  EXPECT_EQ(Old({.mapcount = kTable}).kind, PageKind::kKernel);
  EXPECT_TRUE(old_.LearnTable(kTable & kPaidFor));
  EXPECT_TRUE(old_.LearnTable(kTable));
  EXPECT_EQ(Old({.mapcount = kTable}).kind, PageKind::kPageTable);
  EXPECT_EQ(Old({.mapcount = kTable & kPaidFor}).kind, PageKind::kPageTable);
  EXPECT_EQ(Old({.mapcount = kPaidFor}).kind, PageKind::kKernel);
  EXPECT_EQ(Old({.mapcount = -1}).kind, PageKind::kKernel);
}

TEST_F(PageLayoutTest, TablesThatHaveANumberAreKnownByIt) {
  constexpr int32_t kTable = -234881024;  // 0xf2 in the top byte
  EXPECT_TRUE(new_.LearnTable(kTable | 7));
  EXPECT_EQ(New({.mapcount = kTable | 0x123}).kind, PageKind::kPageTable);
  EXPECT_EQ(New({.mapcount = -218103808}).kind, PageKind::kKernel) << "PGTY_guard";
}

TEST_F(PageLayoutTest, NothingIsLearntFromAPageOfAnotherType) {
  for (const int32_t type : {-1, 0, 5, -129, -257}) EXPECT_FALSE(old_.LearnTable(type)) << type;
  EXPECT_FALSE(new_.LearnTable(-184549376)) << "a slab";
  EXPECT_FALSE(new_.LearnTable(-201326592)) << "hugetlb";
}

TEST_F(PageLayoutTest, HugetlbIsKnownByDestructorOrType) {
  EXPECT_EQ(Old({.flags = 65536}, {.dtor = 2}).page_class, PageClass::kUser);
  EXPECT_EQ(Old({.flags = 65536}, {.dtor = 1}).page_class, PageClass::kNone);
  EXPECT_EQ(New({.flags = 64, .mapcount = -201326592}).page_class, PageClass::kUser);
}

TEST_F(PageLayoutTest, PoisonedAndOfflinePagesAreNotForReading) {
  EXPECT_EQ(New({.flags = 1 << 21}).fault, PageUse::Fault::kHwPoison);
  EXPECT_EQ(New({.mapcount = -251658240}).fault, PageUse::Fault::kOffline);
  EXPECT_EQ(Old({.mapcount = -257}).fault, PageUse::Fault::kOffline);
  EXPECT_EQ(Old({}).fault, PageUse::Fault::kNone);
}

TEST_F(PageLayoutTest, ATailPointsToItsHead) {
  const uint64_t head = kArrayOfPages + 512 * 64;
  EXPECT_EQ(old_.HeadOfTail(FakePage{.compound = head | 1}.Encoded(), head + 64), head);
  EXPECT_EQ(old_.HeadOfTail(FakePage{.compound = head}.Encoded(), head + 64), std::nullopt);
}

TEST_F(PageLayoutTest, ATailMayHoldAMaskInAPointersPlace) {
  const uint64_t head = kArrayOfPages + 512 * 64;
  const uint64_t mask = ~uint64_t{512 * 64 - 1};
  EXPECT_EQ(new_.HeadOfTail(FakePage{.compound = mask | 1}.Encoded(), head + 77 * 64), head);
}

TEST_F(PageLayoutTest, WhatIsMissingIsNamed) {
  std::string text = test::kStructPage61;
  text.replace(text.find("NUMBER(PG_lru)"), 14, "NUMBER(PG_xxx)");
  text.replace(text.find("OFFSET(page.mapping)"), 20, "OFFSET(page.mapxxxx)");
  const auto layout = LayoutOf(text);
  ASSERT_FALSE(layout.ok());
  EXPECT_EQ(layout.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(layout.error().message.find("OFFSET(page.mapping), NUMBER(PG_lru)"), std::string::npos);
}

TEST_F(PageLayoutTest, MembersBeyondTheStructAreNotBelieved) {
  std::string text = test::kStructPage61;
  text.replace(text.find("OFFSET(page.private)=40"), 23, "OFFSET(page.private)=60");
  EXPECT_FALSE(LayoutOf(text).ok());
  text = test::kStructPage61;
  text.replace(text.find("SIZE(page)=64"), 13, "SIZE(page)=99999999");
  EXPECT_FALSE(LayoutOf(text).ok());
}

TEST_F(PageLayoutTest, WithoutHugetlbItSaysSo) {
  EXPECT_TRUE(old_.unknown().empty());
  std::string text = test::kStructPage61;
  text.replace(text.find("NUMBER(HUGETLB_PAGE_DTOR)=2\n"), 28, "");
  const auto layout = LayoutOf(text);
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout.value().unknown().size(), 1u);
}

}  // namespace
}  // namespace kcoredump
