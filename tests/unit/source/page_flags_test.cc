// SPDX-License-Identifier: MIT
#include "source/page_flags.h"

#include <gtest/gtest.h>
#include <linux/kernel-page-flags.h>
#include <sys/resource.h>

#include <cerrno>

#include "support/files.h"

namespace kcoredump {
namespace {

using test::kPage;

constexpr uint64_t Bit(unsigned number) { return uint64_t{1} << number; }

TEST(OutcomeFromPageFlags, OnlyThreeBitsForbidAReading) {
  EXPECT_EQ(OutcomeFromPageFlags(Bit(19)), PageOutcome::kHwPoison);
  EXPECT_EQ(OutcomeFromPageFlags(Bit(23)), PageOutcome::kOffline);
  EXPECT_EQ(OutcomeFromPageFlags(Bit(20)), PageOutcome::kAbsent);
  EXPECT_EQ(OutcomeFromPageFlags(0), PageOutcome::kDirect);
  for (unsigned bit = 0; bit < 64; ++bit) {
    if (bit == 19 || bit == 20 || bit == 23) continue;
    EXPECT_EQ(OutcomeFromPageFlags(Bit(bit)), PageOutcome::kDirect) << bit;
  }
}

TEST(OutcomeFromPageFlags, PoisonIsTheWorst) {
  EXPECT_EQ(OutcomeFromPageFlags(~uint64_t{0}), PageOutcome::kHwPoison);
  EXPECT_EQ(OutcomeFromPageFlags(Bit(20) | Bit(23)), PageOutcome::kOffline);
}

TEST(ClassFromPageFlags, IsMakedumpfiles) {
  const uint64_t lru = Bit(5);
  const uint64_t priv = Bit(35);
  EXPECT_EQ(ClassFromPageFlags(0), PageClass::kNone);
  EXPECT_EQ(ClassFromPageFlags(Bit(10)), PageClass::kFree);
  EXPECT_EQ(ClassFromPageFlags(lru), PageClass::kCache);
  EXPECT_EQ(ClassFromPageFlags(Bit(13)), PageClass::kCache);
  EXPECT_EQ(ClassFromPageFlags(lru | priv), PageClass::kPrivateCache);
  EXPECT_EQ(ClassFromPageFlags(lru | Bit(12)), PageClass::kUser);
  EXPECT_EQ(ClassFromPageFlags(Bit(17)), PageClass::kUser);
  EXPECT_EQ(ClassFromPageFlags(Bit(7)), PageClass::kNone);
  EXPECT_EQ(ClassFromPageFlags(Bit(26)), PageClass::kNone);
  EXPECT_EQ(ClassFromPageFlags(lru | Bit(19)), PageClass::kNone) << "a hole is no choice";
}

TEST(KindFromPageFlags, TellsTheKernelsOwnPagesApart) {
  const uint64_t lru = Bit(5);
  EXPECT_EQ(KindFromPageFlags(0), PageKind::kKernel);
  EXPECT_EQ(KindFromPageFlags(Bit(10)), PageKind::kFree);
  EXPECT_EQ(KindFromPageFlags(lru), PageKind::kCache);
  EXPECT_EQ(KindFromPageFlags(lru | Bit(35)), PageKind::kCache);
  EXPECT_EQ(KindFromPageFlags(lru | Bit(12)), PageKind::kUser);
  EXPECT_EQ(KindFromPageFlags(Bit(7)), PageKind::kSlab);
  EXPECT_EQ(KindFromPageFlags(Bit(26)), PageKind::kPageTable);
  EXPECT_EQ(KindFromPageFlags(Bit(32)), PageKind::kReserved);
  EXPECT_EQ(KindFromPageFlags(Bit(19)), PageKind::kUnknown) << "the label says what it is";
}

TEST(PageFlagsReader, TailsAreOfTheirHeadsKind) {
  const std::vector<uint64_t> flags = {Bit(15) | Bit(7), Bit(16), Bit(16), Bit(26)};
  const test::MemoryFile file(std::as_bytes(std::span(flags)));
  auto reader = PageFlagsReader::Open(file.path(), kPage);
  ASSERT_TRUE(reader.ok());
  std::vector<PageKind> kinds(4);
  reader.value().TellKinds(PhysAddr{kPage}, kinds);
  EXPECT_EQ(kinds, (std::vector{PageKind::kSlab, PageKind::kSlab, PageKind::kPageTable,
                                PageKind::kUnknown}))
      << "the last is past the end";
}

PageFlagsReader Opened(const std::string& path) {
  auto reader = PageFlagsReader::Open(path, kPage);
  EXPECT_TRUE(reader.ok()) << (reader.ok() ? "" : reader.error().message);
  return reader.ok() ? std::move(reader.value()) : PageFlagsReader();
}

/// Labels of `pages` pages from `pfn` for a kpageflags of these entries.
std::vector<PageOutcome> Labels(const std::vector<uint64_t>& flags, uint64_t pfn, size_t pages) {
  const test::MemoryFile file(std::as_bytes(std::span(flags)));
  PageFlagsReader reader = Opened(file.path());
  std::vector<PageLabel> labels(pages);
  reader.Label(PhysAddr{pfn * kPage}, labels);
  std::vector<PageOutcome> outcomes;
  for (const PageLabel& label : labels) outcomes.push_back(label.outcome);
  return outcomes;
}

using Outcomes = std::vector<PageOutcome>;
constexpr auto kRead = PageOutcome::kDirect;
constexpr auto kPoison = PageOutcome::kHwPoison;

std::vector<PageClass> Classes(const std::vector<uint64_t>& flags, uint64_t pfn, size_t pages) {
  const test::MemoryFile file(std::as_bytes(std::span(flags)));
  PageFlagsReader reader = Opened(file.path());
  std::vector<PageClass> classes(pages, PageClass::kFree);
  reader.Classify(PhysAddr{pfn * kPage}, classes);
  return classes;
}

TEST(PageFlagsReader, TailsHaveTheirHeadsClass) {
  const uint64_t head = Bit(15) | Bit(5);
  const uint64_t tail = Bit(16);
  const std::vector<uint64_t> flags = {0, 0, 0, 0, head, tail, tail, tail, tail};
  EXPECT_EQ(Classes(flags, 4, 4), std::vector(4, PageClass::kCache));
  EXPECT_EQ(Classes(flags, 6, 2), std::vector(2, PageClass::kCache)) << "the head is looked for";
  EXPECT_EQ(Classes({tail, tail}, 0, 2), std::vector(2, PageClass::kNone)) << "and is not there";
}

TEST(PageFlagsReader, BeyondItsEndThereIsNoClass) {
  EXPECT_EQ(Classes({Bit(10)}, 0, 2), (std::vector{PageClass::kFree, PageClass::kNone}));
  EXPECT_EQ(Classes({Bit(10)}, 9, 1), std::vector{PageClass::kNone});
}

TEST(PageFlagsReader, LabelsPageByPage) {
  EXPECT_EQ(Labels({0, Bit(19), Bit(12), Bit(23), Bit(20), 0}, 1, 5),
            (Outcomes{kPoison, kRead, PageOutcome::kOffline, PageOutcome::kAbsent, kRead}));
}

TEST(PageFlagsReader, KnowsNothingBeyondItsEnd) {
  EXPECT_EQ(Labels({Bit(19), Bit(19)}, 1, 3), (Outcomes{kPoison, kRead, kRead}));
  EXPECT_EQ(Labels({Bit(19)}, uint64_t{1} << 51, 1), (Outcomes{kRead}));
}

TEST(PageFlagsReader, SaysHowFarItGoes) {
  const std::vector<uint64_t> flags(5);
  const test::MemoryFile file(std::as_bytes(std::span(flags)));
  const PageFlagsReader reader = Opened(file.path());
  EXPECT_TRUE(reader.Covers(PhysAddr{4 * kPage}));
  EXPECT_FALSE(reader.Covers(PhysAddr{5 * kPage}));
  EXPECT_FALSE(PageFlagsReader().Covers(PhysAddr{0}));
}

TEST(PageFlagsReader, WithoutAFileNothingIsLabelled) {
  PageFlagsReader reader;
  std::vector<PageLabel> labels(2);
  reader.Label(PhysAddr{0}, labels);
  EXPECT_EQ(labels, std::vector<PageLabel>(2));
}

TEST(PageFlagsReader, AFileThatCannotBeOpenedIsAnError) {
  const auto reader = PageFlagsReader::Open("/no/such/file", kPage);
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error().system_errno, ENOENT);
}

/// A folder opens, and no read of it succeeds.
TEST(PageFlagsReader, PagesWhoseFlagsCannotBeReadAreHolesWithTheErrno) {
  const test::TempDir dir;
  PageFlagsReader reader = Opened(dir.path());
  EXPECT_FALSE(reader.Covers(PhysAddr{0}));
  std::vector<PageLabel> labels(2);
  reader.Label(PhysAddr{0}, labels);
  const PageLabel unknown{.outcome = PageOutcome::kUnreadable, .system_errno = EISDIR};
  EXPECT_EQ(labels, (std::vector<PageLabel>{unknown, unknown}));
}

constexpr uint64_t kHugeHead = Bit(KPF_HUGE) | Bit(KPF_COMPOUND_HEAD);
constexpr uint64_t kHugeTail = Bit(KPF_HUGE) | Bit(KPF_COMPOUND_TAIL);

/// A huge page at pfn 512, poisoned at its head alone, and another, sound one behind it.
std::vector<uint64_t> TwoHugePages() {
  std::vector<uint64_t> flags(3 * 512);
  for (size_t page = 512; page < flags.size(); ++page) {
    flags[page] = page % 512 == 0 ? kHugeHead : kHugeTail;
  }
  flags[512] |= Bit(KPF_HWPOISON);
  return flags;
}

TEST(PageFlagsReader, APoisonedHugePageIsPoisonedToItsLastTail) {
  const Outcomes outcomes = Labels(TwoHugePages(), 511, 515);
  EXPECT_EQ(outcomes[0], kRead);
  for (size_t i = 1; i <= 512; ++i) ASSERT_EQ(outcomes[i], kPoison) << i;
  EXPECT_EQ(outcomes[513], kRead);
  EXPECT_EQ(outcomes[514], kRead);
}

/// arm64 has huge pages of 64 KiB (16 base pages), too.
TEST(PageFlagsReader, AHugePageOfAnyOrderIsFound) {
  std::vector<uint64_t> flags(64, kHugeTail);
  flags[32] = kHugeHead | Bit(KPF_HWPOISON);
  flags[48] = kHugeHead;
  EXPECT_EQ(Labels(flags, 47, 3), (Outcomes{kPoison, kRead, kRead}));
}

TEST(PageFlagsReader, ABatchThatStartsAmongTheTailsLooksAtTheHead) {
  EXPECT_EQ(Labels(TwoHugePages(), 1022, 4), (Outcomes{kPoison, kPoison, kRead, kRead}));
}

class MemoryBlocksTest : public ::testing::Test {
 protected:
  void Block(const std::string& name, const char* state) {
    std::filesystem::create_directories(dir_.Path(name));
    test::WriteFile(dir_.Path(name + "/state"), test::ToBytes(state));
  }
  [[nodiscard]] Outcomes Labels(uint64_t at, size_t pages) const {
    std::vector<PageLabel> labels(pages);
    MemoryBlocks::Open(dir_.path()).value().Label(PhysAddr{at}, kPage, labels);
    Outcomes outcomes;
    for (const PageLabel& label : labels) outcomes.push_back(label.outcome);
    return outcomes;
  }
  test::TempDir dir_;
};

constexpr auto kOffline = PageOutcome::kOffline;

TEST_F(MemoryBlocksTest, LabelsThePagesOfOfflineBlocks) {
  test::WriteFile(dir_.Path("block_size_bytes"), test::ToBytes("8000000\n"));
  Block("memory0", "online\n");
  Block("memory2", "offline\n");
  Block("memory3", "going-offline\n");
  EXPECT_EQ(Labels(0x10000000 - 2 * kPage, 4), (Outcomes{kRead, kRead, kOffline, kOffline}));
  EXPECT_EQ(Labels(0x18000000 - kPage, 2), (Outcomes{kOffline, kRead}));
  EXPECT_EQ(Labels(0, 2), (Outcomes{kRead, kRead}));
}

TEST_F(MemoryBlocksTest, SeesABlockThatGoesOfflineLater) {
  test::WriteFile(dir_.Path("block_size_bytes"), test::ToBytes("8000000\n"));
  Block("memory0", "online\n");
  const MemoryBlocks blocks = MemoryBlocks::Open(dir_.path()).value();
  std::vector<PageLabel> labels(1);
  blocks.Label(PhysAddr{0}, kPage, labels);
  EXPECT_EQ(labels[0].outcome, kRead);
  Block("memory0", "offline\n");
  blocks.Label(PhysAddr{0}, kPage, labels);
  EXPECT_EQ(labels[0].outcome, kOffline);
}

TEST_F(MemoryBlocksTest, WithoutHotplugOrWithNonsenseNothingIsOffline) {
  EXPECT_EQ(Labels(0, 1), (Outcomes{kRead}));
  Block("memory0", "offline\n");
  for (const char* size : {"0\n", "garbage\n", "800\n", ""}) {
    test::WriteFile(dir_.Path("block_size_bytes"), test::ToBytes(size));
    EXPECT_EQ(Labels(0, 1), (Outcomes{kRead})) << size;
  }
}

TEST_F(MemoryBlocksTest, ABlockWhoseStateCannotBeReadIsAHoleWithTheErrno) {
  test::WriteFile(dir_.Path("block_size_bytes"), test::ToBytes("8000000\n"));
  std::filesystem::create_directories(dir_.Path("memory0/state"));
  const MemoryBlocks blocks = MemoryBlocks::Open(dir_.path()).value();
  std::vector<PageLabel> labels(2);
  blocks.Label(PhysAddr{0x8000000 - kPage}, kPage, labels);
  EXPECT_EQ(labels[0], (PageLabel{.outcome = PageOutcome::kUnreadable, .system_errno = EISDIR}));
  EXPECT_EQ(labels[1], PageLabel{});
}

/// What too many open files look like.
TEST_F(MemoryBlocksTest, WithoutADescriptorToSpareNoBlockPassesForOnline) {
  test::WriteFile(dir_.Path("block_size_bytes"), test::ToBytes("8000000\n"));
  Block("memory0", "offline\n");
  const MemoryBlocks blocks = MemoryBlocks::Open(dir_.path()).value();
  std::vector<PageLabel> labels(1);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{0, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  blocks.Label(PhysAddr{0}, kPage, labels);
  const bool opens = MemoryBlocks::Open(dir_.path()).ok();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(labels[0], (PageLabel{.outcome = PageOutcome::kUnreadable, .system_errno = EMFILE}));
  EXPECT_FALSE(opens);
}

TEST_F(MemoryBlocksTest, WithoutSysfsNothingIsKnown) {
  EXPECT_FALSE(MemoryBlocks::Open(dir_.Path("no/memory")).ok());
  EXPECT_TRUE(MemoryBlocks::Open(dir_.Path("memory")).ok());
}

TEST_F(MemoryBlocksTest, TheLastPageOfTheAddressSpaceEnds) {
  test::WriteFile(dir_.Path("block_size_bytes"), test::ToBytes("8000000\n"));
  EXPECT_EQ(Labels(~uint64_t{0} - 0xfff, 1), (Outcomes{kRead}));
}

}  // namespace
}  // namespace kcoredump
