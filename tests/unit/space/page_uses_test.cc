// SPDX-License-Identifier: MIT
#include "space/page_uses.h"

#include <gtest/gtest.h>

#include "support/fake_view.h"
#include "support/test_bytes.h"
#include "support/vmcoreinfo_recipes.h"

namespace kcoredump {
namespace {

using test::kPage;

constexpr uint64_t kSections = 0xffff888000001000;
constexpr uint64_t kRoot = 0xffff888000002000;
constexpr uint64_t kStructsOfPages = 0xffffea0000000000;
constexpr uint64_t kStruct = 64;
constexpr uint64_t kRamPages = 2048;
constexpr uint64_t kSectionFlags = 0x0f;
constexpr uint64_t kHead = 65536;  ///< PG_head_mask
constexpr uint64_t kLru = 1 << 4;

/// 8 MiB of RAM from 0 on, whose struct pages say that everything is in use by the kernel.
class PageUsesTest : public ::testing::Test {
 protected:
  PageUsesTest() {
    view_.PutValue<uint64_t>(kSections, kRoot);
    view_.PutValue<uint64_t>(kRoot, kStructsOfPages | kSectionFlags);
    const std::vector<std::byte> zeros(kStruct);
    for (uint64_t pfn = 0; pfn < kRamPages; ++pfn) {
      view_.Put(kStructsOfPages + pfn * kStruct, zeros);
      PutMapcount(pfn, -1);
    }
  }
  void PutFlags(uint64_t pfn, uint64_t flags) {
    view_.PutValue(kStructsOfPages + pfn * kStruct, flags);
  }
  void PutMapcount(uint64_t pfn, int32_t mapcount) {
    view_.PutValue(kStructsOfPages + pfn * kStruct + 48, mapcount);
  }
  void PutFree(uint64_t pfn, uint64_t order) {
    PutMapcount(pfn, -129);
    view_.PutValue(kStructsOfPages + pfn * kStruct + 40, order);
  }
  void PutTail(uint64_t pfn, uint64_t head) {
    view_.PutValue(kStructsOfPages + pfn * kStruct + 8, (kStructsOfPages + head * kStruct) | 1);
  }
  Result<std::unique_ptr<PageUses>> Make() {
    auto info = VmcoreInfo::Parse(test::kStructPage61 + test::MemSection("ffff888000001000"));
    info_ = std::move(info.value());
    return PageUses::OfView(view_, info_, kPage, {{0, kRamPages * kPage}});
  }
  std::vector<PageUse> Tell(uint64_t pfn, size_t pages) {
    std::vector<PageUse> uses(pages);
    auto made = Make();
    EXPECT_TRUE(made.ok());
    if (made.ok()) made.value()->Tell(PhysAddr{pfn * kPage}, uses);
    return uses;
  }
  size_t CountFree(uint64_t pfn, size_t pages) {
    const auto uses = Tell(pfn, pages);
    return static_cast<size_t>(std::count_if(uses.begin(), uses.end(), [](const PageUse& use) {
      return use.page_class == PageClass::kFree;
    }));
  }

  test::FakeView view_;
  VmcoreInfo info_;
};

TEST_F(PageUsesTest, AllOfAFreeBlockIsFree) {
  PutFree(8, 3);
  EXPECT_EQ(CountFree(0, 32), 8u);
  const auto uses = Tell(0, 32);
  EXPECT_EQ(uses[7].page_class, PageClass::kNone);
  EXPECT_EQ(uses[8].page_class, PageClass::kFree);
  EXPECT_EQ(uses[15].page_class, PageClass::kFree);
  EXPECT_EQ(uses[16].page_class, PageClass::kNone);
}

TEST_F(PageUsesTest, AFreeBlockThatBeginsBeforeTheAskedForPagesCounts) {
  PutFree(1024, 10);
  EXPECT_EQ(CountFree(1280, 256), 256u);
  EXPECT_EQ(CountFree(1025, 3), 3u);
  EXPECT_EQ(CountFree(1000, 48), 24u);
}

TEST_F(PageUsesTest, ASmallBlockBeforeDoesNotReachOver) {
  PutFree(256, 2);
  EXPECT_EQ(CountFree(260, 4), 0u);
}

TEST_F(PageUsesTest, TailsAreWhatTheirHeadIs) {
  PutFlags(512, kHead | kLru);
  for (uint64_t tail = 513; tail < 1024; ++tail) PutTail(tail, 512);
  for (const uint64_t pfn : {512u, 513u, 768u}) {
    const auto uses = Tell(pfn, 64);
    EXPECT_EQ(uses.front().page_class, PageClass::kCache) << pfn;
    EXPECT_EQ(uses.back().page_class, PageClass::kCache) << pfn;
  }
}

TEST_F(PageUsesTest, KindsOfTheKernelsOwnPages) {
  PutFree(8, 3);
  PutFlags(20, 1 << 9);   // slab
  PutFlags(21, 1 << 12);  // what BTF calls PG_reserved
  PutMapcount(22, ~0x200);
  PutMapcount(23, ~0x200);
  std::vector<PageUse> uses(32);
  auto made = Make();
  ASSERT_TRUE(made.ok());
  made.value()->LearnReserved(1 << 12);
  EXPECT_TRUE(made.value()->LearnTable(PhysAddr{23 * kPage}));
  EXPECT_FALSE(made.value()->LearnTable(PhysAddr{20 * kPage}));
  EXPECT_FALSE(made.value()->LearnTable(PhysAddr{uint64_t{1} << 50}));
  made.value()->Tell(PhysAddr{0}, uses);
  EXPECT_EQ(uses[9].kind, PageKind::kFree);
  EXPECT_EQ(uses[20].kind, PageKind::kSlab);
  EXPECT_EQ(uses[21].kind, PageKind::kReserved);
  EXPECT_EQ(uses[22].kind, PageKind::kPageTable);
  EXPECT_EQ(uses[24].kind, PageKind::kKernel);
  made.value()->Tell(PhysAddr{uint64_t{1} << 50}, uses);
  EXPECT_EQ(uses[0].kind, PageKind::kUnknown);
}

TEST_F(PageUsesTest, ATailWithoutAHeadIsKept) {
  PutTail(40, 39);            // no head there
  PutTail(50, 0x7fffffffff);  // not even memory
  for (const uint64_t pfn : {40u, 50u}) {
    EXPECT_EQ(Tell(pfn, 1).front().page_class, PageClass::kNone) << pfn;
  }
}

TEST_F(PageUsesTest, AFreeBlockOutOfItsPlaceIsKept) {
  PutFree(9, 3);
  EXPECT_EQ(CountFree(0, 32), 0u);
}

TEST_F(PageUsesTest, MissingStructPagesKeepTheirPagesAlone) {
  PutFlags(20, kLru);
  PutFlags(22, kLru);
  view_.Remove(kStructsOfPages + 21 * kStruct, kStruct);
  const auto uses = Tell(16, 16);
  EXPECT_EQ(uses[4].page_class, PageClass::kCache);
  EXPECT_EQ(uses[5].page_class, PageClass::kNone);
  EXPECT_EQ(uses[6].page_class, PageClass::kCache);
}

TEST_F(PageUsesTest, SectionsThatAreNotThereHaveNoClass) {
  const uint64_t next_section = (uint64_t{128} << 20) / kPage;
  EXPECT_EQ(CountFree(next_section, 16), 0u);
  EXPECT_EQ(CountFree(uint64_t{1} << 40, 16), 0u);
}

TEST_F(PageUsesTest, ConsistentStructPagesProveTheLayout) {
  PutFree(1024, 10);
  auto uses = Make();
  ASSERT_TRUE(uses.ok());
  EXPECT_TRUE(uses.value()->Prove().ok());
}

TEST_F(PageUsesTest, ContradictionsDisproveTheLayout) {
  for (uint64_t pfn = 1; pfn < kRamPages; pfn += 2) PutFree(pfn, 3);
  auto uses = Make();
  ASSERT_TRUE(uses.ok());
  const Status proven = uses.value()->Prove();
  ASSERT_FALSE(proven.ok());
  EXPECT_EQ(proven.error().code, ErrorCode::kUnsupported);
}

TEST_F(PageUsesTest, NothingThatSpeaksIsNoProof) {
  auto uses = Make();
  ASSERT_TRUE(uses.ok());
  EXPECT_FALSE(uses.value()->Prove().ok());
}

TEST_F(PageUsesTest, AForgedAccountOfSectionsIsRefused) {
  const std::string good = test::kStructPage61 + test::MemSection("ffff888000001000");
  for (const auto& [from, to] : {std::pair{"SECTION_SIZE_BITS)=27", "SECTION_SIZE_BITS)=12"},
                                 std::pair{"SECTION_SIZE_BITS)=27", "SECTION_SIZE_BITS)=-1"},
                                 std::pair{"MAX_PHYSMEM_BITS)=46", "MAX_PHYSMEM_BITS)=99"},
                                 std::pair{"SIZE(mem_section)=16", "SIZE(mem_section)=4"},
                                 std::pair{"section_mem_map)=0", "section_mem_map)=4096"},
                                 std::pair{"LENGTH(mem_section)=2048", "LENGTH(mem_section)=0"},
                                 std::pair{"SYMBOL(mem_section)", "SYMBOL(mem_xxxxxxx)"}}) {
    std::string text = good;
    text.replace(text.find(from), std::string(from).size(), to);
    const VmcoreInfo info = VmcoreInfo::Parse(text).value();
    EXPECT_FALSE(PageUses::OfView(view_, info, kPage, {}).ok()) << to;
  }
}

}  // namespace
}  // namespace kcoredump
