// SPDX-License-Identifier: MIT
//
// The ladder, rung by rung, against a source that fails on script.
#include "source/page_reader.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "support/fake_source.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kFlatStart;
using test::kPage;
using test::MemoryBytes;

class PageReaderTest : public ::testing::Test {
 protected:
  /// Reads `bytes` from physical `at` and expects an answer.
  ReadReport Read(uint64_t at, size_t bytes, unsigned retries = kDefaultRetries) {
    ReadReport report;
    auto reader = source_->NewReader();
    auto pages = PageReader::Create(reader.value().get(), kPage, {.retries = retries});
    out_.assign(bytes, std::byte{0xaa});
    const Status status = pages.value().Read(PhysAddr{at}, out_, report);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return report;
  }
  test::FakeScript& script() { return source_->script(); }

  static constexpr uint64_t kSecond = kFlatStart + kPage;
  static constexpr uint64_t kThird = kFlatStart + 2 * kPage;

  std::shared_ptr<test::FakeSource> source_ = test::FlatSource(16);
  Bytes out_;
};

TEST_F(PageReaderTest, ABatchThatWorksIsDirectAndOneCall) {
  const ReadReport report = Read(kFlatStart, 4 * kPage);
  EXPECT_EQ(report.counts.direct, 4U);
  EXPECT_EQ(report.counts.total(), 4U);
  EXPECT_TRUE(report.runs.empty());
  EXPECT_EQ(out_, MemoryBytes(kFlatStart, 4 * kPage));
  EXPECT_EQ(script().calls.size(), 1U);
}

TEST_F(PageReaderTest, NothingAskedIsNothingRead) {
  EXPECT_EQ(Read(kFlatStart, 0).counts.total(), 0U);
  EXPECT_TRUE(script().calls.empty());
}

TEST_F(PageReaderTest, AFailedBatchIsReadAgainPageByPage) {
  script().failures[kSecond] = {EIO};
  const ReadReport report = Read(kFlatStart, 3 * kPage);
  EXPECT_EQ(report.counts.retried, 3U);
  EXPECT_EQ(report.counts.total(), 3U);
  EXPECT_EQ(report.runs,
            (std::vector<PageRun>{
                {.first = PhysAddr{kFlatStart}, .pages = 3, .outcome = PageOutcome::kRetried}}));
  EXPECT_EQ(out_, MemoryBytes(kFlatStart, 3 * kPage));
  ASSERT_EQ(script().calls.size(), 4U);
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(script().calls[i].bytes, kPage);
}

TEST_F(PageReaderTest, EfaultIsRetriedAsOftenAsAllowedAndThenBounced) {
  // The batch, the page and its three retries; the bounce then works.
  script().failures[kSecond] = {EFAULT, EFAULT, EFAULT, EFAULT, EFAULT};
  const ReadReport report = Read(kFlatStart, 3 * kPage);
  EXPECT_EQ(report.counts.retried, 2U);
  EXPECT_EQ(report.counts.bounced, 1U);
  EXPECT_EQ(report.runs[1],
            (PageRun{.first = PhysAddr{kSecond}, .pages = 1, .outcome = PageOutcome::kBounced}));
  EXPECT_EQ(out_, MemoryBytes(kFlatStart, 3 * kPage));
  EXPECT_EQ(script().CallsAt(kSecond), 1U + 3U + 1U);
}

TEST_F(PageReaderTest, EfaultThatGoesAwayIsRetried) {
  script().failures[kSecond] = {EFAULT, EFAULT, EFAULT, EFAULT};
  const ReadReport report = Read(kSecond, kPage);
  EXPECT_EQ(report.counts.retried, 1U);
  EXPECT_EQ(report.counts.total(), 1U);
  EXPECT_EQ(script().calls.size(), 5U);
  EXPECT_EQ(out_, MemoryBytes(kSecond, kPage));
}

TEST_F(PageReaderTest, EfaultForEverEndsAsAHole) {
  for (const unsigned retries : {0U, 1U, 3U, 17U}) {
    script().calls.clear();
    script().failing_for_ever[kSecond] = EFAULT;
    const ReadReport report = Read(kSecond, kPage, retries);
    EXPECT_EQ(report.counts.unreadable, 1U);
    EXPECT_EQ(report.runs, (std::vector<PageRun>{{.first = PhysAddr{kSecond},
                                                  .pages = 1,
                                                  .outcome = PageOutcome::kUnreadable,
                                                  .system_errno = EFAULT}}));
    // Batch, page, retries, bounce; and never one more.
    EXPECT_EQ(script().calls.size(), 3U + retries);
    EXPECT_TRUE(test::AllZero(out_));
  }
}

TEST_F(PageReaderTest, RetriesHaveALimitWhateverIsAsked) {
  script().failing_for_ever[kSecond] = EFAULT;
  (void)Read(kSecond, kPage, ~0U);
  EXPECT_EQ(script().calls.size(), 3U + kMaxRetries);
}

/// These speak of the source: faulting the destination in would not help.
TEST_F(PageReaderTest, SourceErrorsGoStraightToTheBounceAndKeepTheirErrno) {
  for (const int failure : {EIO, ENOMEM, EINVAL, EPERM, ENXIO}) {
    script().calls.clear();
    script().failing_for_ever[kSecond] = failure;
    const ReadReport report = Read(kFlatStart, 3 * kPage);
    EXPECT_EQ(report.counts.retried, 2U);
    EXPECT_EQ(report.counts.unreadable, 1U);
    ASSERT_NE(report.FirstHole(), nullptr);
    EXPECT_EQ(*report.FirstHole(), (PageRun{.first = PhysAddr{kSecond},
                                            .pages = 1,
                                            .outcome = PageOutcome::kUnreadable,
                                            .system_errno = failure}));
    EXPECT_EQ(script().CallsAt(kSecond), 2U);
    EXPECT_TRUE(test::AllZero(std::span(out_).subspan(kPage, kPage)));
    EXPECT_EQ(Bytes(out_.begin(), out_.begin() + kPage), MemoryBytes(kFlatStart, kPage));
    EXPECT_EQ(Bytes(out_.begin() + 2 * kPage, out_.end()), MemoryBytes(kThird, kPage));
  }
}

TEST_F(PageReaderTest, ASourceErrorThatGoesAwayIsBounced) {
  script().failures[kSecond] = {EIO, EIO};
  const ReadReport report = Read(kSecond, kPage);
  EXPECT_EQ(report.counts.bounced, 1U);
  EXPECT_EQ(out_, MemoryBytes(kSecond, kPage));
}

TEST_F(PageReaderTest, TheLastErrnoIsTheOneReported) {
  script().failures[kSecond] = {EIO, EIO, ENOMEM};
  EXPECT_EQ(Read(kSecond, kPage).FirstHole()->system_errno, ENOMEM);
}

TEST_F(PageReaderTest, NeighbouringHolesOfOneKindAreOneRunOthersAreNot) {
  for (uint64_t page = 1; page <= 3; ++page) {
    script().failing_for_ever[kFlatStart + page * kPage] = page == 3 ? ENOMEM : EIO;
  }
  const ReadReport report = Read(kFlatStart + kPage, 3 * kPage);
  ASSERT_EQ(report.runs.size(), 2U);
  EXPECT_EQ(report.runs[0].pages, 2U);
  EXPECT_EQ(report.runs[1].pages, 1U);
  EXPECT_EQ(report.runs[1].system_errno, ENOMEM);
}

TEST_F(PageReaderTest, InterruptedReadsJustGoOn) {
  script().interruptions = 20;
  const ReadReport report = Read(kFlatStart, 2 * kPage);
  EXPECT_EQ(report.counts.direct, 2U);
  EXPECT_EQ(out_, MemoryBytes(kFlatStart, 2 * kPage));
}

TEST_F(PageReaderTest, ASourceInterruptedForEverEndsAsAHole) {
  script().interrupted_for_ever = true;
  const ReadReport report = Read(kFlatStart, kPage);
  EXPECT_EQ(report.counts.unreadable, 1U);
  EXPECT_EQ(report.FirstHole()->system_errno, EINTR);
  EXPECT_LE(script().calls.size(), 3000U);
}

TEST_F(PageReaderTest, ShortReadsJustGoOn) {
  for (const size_t most : {size_t{1000}, size_t{4096}, size_t{4097}}) {
    script().calls.clear();
    script().most_bytes_a_call = most;
    const ReadReport report = Read(kFlatStart + 5, 3 * kPage);
    EXPECT_EQ(report.counts.direct, 4U);
    EXPECT_TRUE(report.runs.empty());
    EXPECT_EQ(out_, MemoryBytes(kFlatStart + 5, 3 * kPage));
    EXPECT_EQ(script().calls.size(), (3 * kPage + most - 1) / most);
  }
}

TEST_F(PageReaderTest, TheEndOfTheSourceIsAHoleWithEnodata) {
  script().end = kSecond + 100;
  const ReadReport report = Read(kFlatStart, 3 * kPage);
  EXPECT_EQ(report.counts.retried, 1U);
  EXPECT_EQ(report.counts.unreadable, 2U);
  EXPECT_EQ(report.FirstHole()->first.address, kSecond);
  EXPECT_EQ(report.FirstHole()->system_errno, ENODATA);
  // A page is read or it is not: what came of its first 100 bytes does not show.
  EXPECT_TRUE(test::AllZero(std::span(out_).subspan(kPage)));
}

TEST_F(PageReaderTest, ASourceThatClaimsMoreThanAskedIsNotBelieved) {
  script().lie = 1;
  const ReadReport report = Read(kFlatStart, kPage);
  EXPECT_EQ(report.counts.unreadable, 1U);
  EXPECT_EQ(report.FirstHole()->system_errno, EIO);
}

TEST_F(PageReaderTest, UnalignedRangesCountEveryPageTheyTouch) {
  EXPECT_EQ(Read(kFlatStart + 4095, 2).counts.direct, 2U);
  EXPECT_EQ(out_, MemoryBytes(kFlatStart + 4095, 2));
  EXPECT_EQ(Read(kFlatStart + 1, 4094).counts.direct, 1U);
  EXPECT_EQ(Read(kFlatStart + 1, 4096).counts.direct, 2U);
}

TEST_F(PageReaderTest, UnalignedRangesFailPageByPage) {
  script().failing_for_ever[kSecond] = EIO;
  const ReadReport report = Read(kFlatStart + 10, 2 * kPage);
  EXPECT_EQ(report.counts.retried, 2U);
  EXPECT_EQ(report.counts.unreadable, 1U);
  EXPECT_EQ(report.FirstHole()->first, Location(PhysAddr{kSecond}));
  Bytes expected = MemoryBytes(kFlatStart + 10, 2 * kPage);
  std::fill_n(expected.begin() + (kPage - 10), kPage, std::byte{0});
  EXPECT_EQ(out_, expected);
}

TEST_F(PageReaderTest, TheWatchShowsTheReadThatIsUnderWay) {
  ReadWatch watch;
  struct Spy : SourceReader {
    ReadWatch* watch = nullptr;
    uint64_t seen = 0;
    int64_t started = 0;
    int64_t ReadUpTo(Location, std::span<std::byte> out) override {
      seen = watch->address;
      started = watch->started_ns;
      return static_cast<int64_t>(out.size());
    }
    void Label(PhysAddr, std::span<PageLabel>) override {}
    std::optional<PhysAddr> ToPhysical(Location) const override { return std::nullopt; }
  } spy;
  spy.watch = &watch;
  auto pages = PageReader::Create(&spy, kPage, {}, &watch);
  Bytes out(kPage);
  ReadReport report;
  ASSERT_TRUE(pages.value().Read(PhysAddr{0x7000}, out, report).ok());
  EXPECT_EQ(spy.seen, 0x7000U);
  EXPECT_NE(spy.started, 0);
  EXPECT_EQ(watch.started_ns, 0);
}

TEST(AddRun, JoinsOnlyWhatContinues) {
  ReadReport report;
  const auto add = [&](uint64_t at, PageOutcome outcome, int failure) {
    AddRun(report, {.first = PhysAddr{at}, .pages = 1, .outcome = outcome, .system_errno = failure},
           kPage);
  };
  add(0x1000, PageOutcome::kUnreadable, EIO);
  add(0x2000, PageOutcome::kUnreadable, EIO);
  add(0x4000, PageOutcome::kUnreadable, EIO);
  add(0x5000, PageOutcome::kUnreadable, ENOMEM);
  add(0x6000, PageOutcome::kOffline, ENOMEM);
  add(0x7000, PageOutcome::kDirect, 0);
  ASSERT_EQ(report.runs.size(), 4U);
  EXPECT_EQ(report.runs[0].pages, 2U);
  EXPECT_EQ(report.counts.unreadable, 4U);
  EXPECT_EQ(report.counts.offline, 1U);
  EXPECT_EQ(report.counts.direct, 1U);
  report.Clear();
  EXPECT_EQ(report.counts.total(), 0U);
  EXPECT_EQ(report.FirstHole(), nullptr);
}

TEST(PageCounts, NamesSumsAndHoles) {
  PageCounts counts;
  uint64_t value = 1;
  for (int outcome = 0; outcome <= 7; ++outcome) {
    counts.Of(static_cast<PageOutcome>(outcome)) = value;
    value *= 10;
  }
  EXPECT_EQ(counts.total(), 11111111U);
  EXPECT_EQ(counts.read(), 111U);
  EXPECT_EQ(counts.holes(), 1111000U);
  PageCounts twice = counts;
  twice.Add(counts);
  EXPECT_EQ(twice.total(), 22222222U);
  EXPECT_EQ(PageOutcomeName(PageOutcome::kHwPoison), "hwpoison");
  EXPECT_FALSE(IsHole(PageOutcome::kBounced));
  EXPECT_TRUE(IsHole(PageOutcome::kUnreadable));
}

}  // namespace
}  // namespace kcoredump
