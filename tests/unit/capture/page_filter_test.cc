// SPDX-License-Identifier: MIT
//
// The filter and the reading that goes by it, on a live source that says what its pages are used
// for.
#include "capture/page_filter.h"

#include <gtest/gtest.h>

#include <numeric>

#include "capture/batch_reader.h"
#include "format/snapshot/format.h"
#include "support/fake_source.h"

namespace kcoredump {
namespace {

using test::kFlatStart;
using test::kPage;

constexpr uint64_t kPages = 8;

uint64_t At(uint64_t page) { return kFlatStart + page * kPage; }

PageClasses Only(PageClass page_class) { return PageClasses(static_cast<unsigned>(page_class)); }

class PageFilterTest : public ::testing::Test {
 protected:
  PageFilterTest() {
    source_->as_kind = SourceKind::kLive;
    source_->script().live = true;
  }
  void Filter() {
    filter_ = PageFilter::Make(*source_, options_);
    ASSERT_NE(filter_, nullptr);
    auto reader =
        BatchReader::Create(*source_, filter_.get(), kPages * kPage, ReadOptions{}, nullptr);
    ASSERT_TRUE(reader.ok());
    reader_.emplace(std::move(reader.value()));
  }
  /// Reads pages [first, first + pages) and keeps what came of it.
  void Read(uint64_t first, uint64_t pages) {
    report_.Clear();
    excluded_ = {};
    auto content = reader_->Read(PhysAddr{At(first)}, pages * kPage, report_);
    ASSERT_TRUE(content.ok());
    content_ = content.value();
    for (const PageRun& run : report_.runs) {
      if (run.outcome == PageOutcome::kExcluded) excluded_.Of(run.page_class) += run.pages;
    }
  }
  void ReadAll() {
    Filter();
    Read(0, kPages);
  }
  [[nodiscard]] bool IsZeroAt(uint64_t page) const {
    const auto bytes = content_.bytes.subspan(page * kPage, kPage);
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
  }
  [[nodiscard]] bool WasRead(uint64_t page) {
    for (const test::ReadCall& call : source_->script().calls) {
      if (call.at.address <= At(page) && At(page) < call.at.address + call.bytes) return true;
    }
    return false;
  }

  std::shared_ptr<test::FakeSource> source_ = test::FlatSource(kPages);
  CaptureOptions options_;
  std::shared_ptr<const PageFilter> filter_;
  std::optional<BatchReader> reader_;
  ReadReport report_;
  ExcludedCounts excluded_;
  BatchReader::Content content_;
};

TEST_F(PageFilterTest, WithoutAWishThereIsNoFilter) {
  EXPECT_EQ(PageFilter::Make(*source_, options_), nullptr);
}

TEST_F(PageFilterTest, WhatIsExcludedIsNeverReadAndSaysWhy) {
  source_->script().classes = {{At(2), PageClass::kFree},
                               {At(3), PageClass::kFree},
                               {At(5), PageClass::kUser},
                               {At(6), PageClass::kCache}};
  options_.exclude = PageClasses(16 | 8);
  ReadAll();
  EXPECT_FALSE(WasRead(2));
  EXPECT_FALSE(WasRead(5));
  EXPECT_TRUE(WasRead(6)) << "cache was not to be left out";
  EXPECT_EQ(report_.counts.direct, 5u);
  EXPECT_EQ(report_.counts.excluded, 3u);
  EXPECT_EQ(excluded_.free, 2u);
  EXPECT_EQ(excluded_.user, 1u);
  EXPECT_TRUE(IsZeroAt(2));
  EXPECT_FALSE(IsZeroAt(4));
  EXPECT_EQ(content_.pages[2], PageContent::kHole);
  EXPECT_EQ(content_.pages[4], PageContent::kData);
  ASSERT_EQ(report_.runs.size(), 2u);
  EXPECT_EQ(report_.runs[0].first.address, At(2));
  EXPECT_EQ(report_.runs[0].pages, 2u);
}

TEST_F(PageFilterTest, APageWhoseUseChangesMeanwhileIsKept) {
  source_->script().classes = {{At(1), PageClass::kFree}, {At(2), PageClass::kFree}};
  source_->script().later_classes = {{At(1), PageClass::kFree}, {At(2), PageClass::kUser}};
  options_.exclude = PageClasses(16 | 8);
  ReadAll();
  EXPECT_FALSE(IsZeroAt(2));
  EXPECT_TRUE(IsZeroAt(1));
  EXPECT_EQ(report_.counts.excluded, 1u);
  EXPECT_EQ(report_.counts.direct, kPages - 1);
  EXPECT_EQ(excluded_.free, 1u);
}

TEST_F(PageFilterTest, ABatchWithoutAPageHasNoOtherBatchsBytes) {
  for (uint64_t page = 4; page < kPages; ++page) {
    source_->script().classes[At(page)] = PageClass::kFree;
  }
  options_.exclude = Only(PageClass::kFree);
  Filter();
  Read(0, 4);
  Read(4, 4);
  for (uint64_t page = 0; page < 4; ++page) EXPECT_TRUE(IsZeroAt(page)) << page;
  EXPECT_EQ(report_.counts.excluded, 4u);
}

TEST_F(PageFilterTest, ZerosAreKnownByTheirContent) {
  source_->script().zero_pages = {At(1), At(2), At(6)};
  source_->script().labels[At(4)] = {.outcome = PageOutcome::kOffline};
  options_.exclude = Only(PageClass::kZero);
  ReadAll();
  EXPECT_EQ(report_.counts.excluded, 3u);
  EXPECT_EQ(report_.counts.offline, 1u) << "a hole is no zero";
  EXPECT_EQ(report_.counts.direct, 4u);
  EXPECT_EQ(excluded_.zero, 3u);
  ASSERT_EQ(report_.runs.size(), 3u);
  EXPECT_EQ(report_.runs[0].pages, 2u);
  EXPECT_EQ(report_.runs[1].outcome, PageOutcome::kOffline);
}

TEST_F(PageFilterTest, OnlyWhatIsWantedIsRead) {
  options_.only = CaptureOnly{.ranges = {{At(3) + 5, At(4) + 1}}};
  ReadAll();
  EXPECT_FALSE(WasRead(2));
  EXPECT_TRUE(WasRead(3));
  EXPECT_TRUE(WasRead(4));
  EXPECT_FALSE(WasRead(5));
  EXPECT_EQ(excluded_.not_wanted, kPages - 2);
}

TEST_F(PageFilterTest, TheKernelsOwnAndARangeBesides) {
  source_->script().classes = {
      {At(1), PageClass::kUser}, {At(2), PageClass::kUser}, {At(3), PageClass::kCache}};
  options_.only = CaptureOnly{.kernel = true, .ranges = {{At(2), At(3)}}};
  ReadAll();
  EXPECT_TRUE(WasRead(0));
  EXPECT_FALSE(WasRead(1));
  EXPECT_TRUE(WasRead(2));
  EXPECT_FALSE(WasRead(3));
}

TEST_F(PageFilterTest, WithoutPageFlagsEverythingIsKeptAndThatIsSaid) {
  source_->script().classes = {{At(2), PageClass::kFree}};
  source_->knows_labels = false;
  options_.exclude = Only(PageClass::kFree);
  ReadAll();
  EXPECT_EQ(report_.counts.direct, kPages);
  ASSERT_EQ(filter_->Warnings().size(), 1u);
  EXPECT_NE(filter_->Warnings()[0].find("no page was left out"), std::string::npos);
}

TEST_F(PageFilterTest, ADumpWhoseLayoutIsNotKnownKeepsEverything) {
  source_->as_kind = SourceKind::kElfCore;
  source_->script().live = false;
  options_.exclude = PageClasses(kMaxDumpLevel);
  ReadAll();
  EXPECT_EQ(report_.counts.direct, kPages);
  ASSERT_EQ(filter_->Warnings().size(), 1u);
  EXPECT_NE(filter_->Warnings()[0].find("no page was left out"), std::string::npos);
}

TEST_F(PageFilterTest, ShortRunsAreKeptOnceTheAccountFillsUp) {
  options_.exclude = PageClasses(16 | 1);
  Filter();
  const PageChoice out{.outcome = PageOutcome::kExcluded, .page_class = PageClass::kFree};
  std::vector<PageChoice> choices(256);
  choices[0] = out;
  std::fill_n(choices.begin() + 64, 64, out);
  filter_->KeepShortRuns(choices);
  EXPECT_FALSE(choices[0].is_read());
  EXPECT_TRUE(filter_->Warnings().empty());
  EXPECT_TRUE(filter_->HasRoomForZeros());

  filter_->Note(kMaxTrailerRuns / 2);
  filter_->KeepShortRuns(choices);
  EXPECT_TRUE(choices[0].is_read());
  EXPECT_FALSE(choices[64].is_read()) << "a long run is still left out";
  EXPECT_EQ(filter_->Warnings().size(), 1u);
  EXPECT_FALSE(filter_->HasRoomForZeros());

  filter_->Note(kMaxTrailerRuns / 2);
  filter_->KeepShortRuns(choices);
  EXPECT_TRUE(choices[64].is_read());
  std::fill(choices.begin(), choices.end(), out);
  filter_->KeepShortRuns(choices);
  EXPECT_FALSE(choices[64].is_read()) << "a batch without a page costs at most one run";
}

TEST_F(PageFilterTest, ReadingNotesItsRuns) {
  source_->script().classes = {{At(1), PageClass::kFree}, {At(3), PageClass::kFree}};
  source_->script().zero_pages = {At(5)};
  options_.exclude = PageClasses(16 | 1);
  Filter();
  filter_->Note(kMaxTrailerRuns / 2 - 3);
  Read(0, kPages);
  EXPECT_FALSE(filter_->HasRoomForZeros());
  Read(0, kPages);
  EXPECT_EQ(report_.counts.excluded, 0u) << "zeros too are kept as what they are";
}

TEST(PageClasses, PrivateCacheTakesCacheAlong) {
  EXPECT_TRUE(PageClasses(4).Has(PageClass::kCache));
  EXPECT_FALSE(PageClasses(2).Has(PageClass::kPrivateCache));
  EXPECT_FALSE(PageClasses(1).NeedsKernel());
  EXPECT_TRUE(PageClasses(16).NeedsKernel());
}

TEST(PageClasses, AreReadFromAList) {
  EXPECT_EQ(ParsePageClasses("free,zero").value(), PageClasses(17));
  EXPECT_EQ(ParsePageClasses("private-cache").value(), PageClasses(4));
  const auto wrong = ParsePageClasses("free,chache");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message.find("chache"), std::string::npos);
}

}  // namespace
}  // namespace kcoredump
