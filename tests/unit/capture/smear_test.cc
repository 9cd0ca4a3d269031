// SPDX-License-Identifier: MIT
#include "capture/smear.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <thread>

#include "source/range_reader.h"
#include "support/fake_source.h"

namespace kcoredump {
namespace {

using test::kFlatStart;
using test::kPage;

/// Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
TEST(ShareOf, IsWilsonsInterval) {
  const struct {
    uint64_t some, all;
    double low, high;
  } published[] = {{81, 263, 0.2553, 0.3662},
                   {15, 148, 0.0624, 0.1605},
                   {0, 20, 0, 0.1611},
                   {1, 29, 0.0061, 0.1718},
                   {29, 29, 0.8830, 1}};
  for (const auto& row : published) {
    const SmearShare share = ShareOf(row.some, row.all);
    EXPECT_NEAR(share.low, row.low, 0.00005) << row.some << " of " << row.all;
    EXPECT_NEAR(share.high, row.high, 0.00005) << row.some << " of " << row.all;
    EXPECT_NEAR(share.share, static_cast<double>(row.some) / static_cast<double>(row.all), 1e-12);
  }
}

TEST(ShareOf, AlwaysHoldsTheShareAndOfNothingKnowsNothing) {
  for (uint64_t all = 1; all < 60; ++all) {
    for (uint64_t some = 0; some <= all; ++some) {
      const SmearShare share = ShareOf(some, all);
      EXPECT_LE(0, share.low);
      EXPECT_LE(share.low, share.share);
      EXPECT_LE(share.share, share.high);
      EXPECT_LE(share.high, 1);
    }
  }
  EXPECT_EQ(ShareOf(0, 0).low, 0);
  EXPECT_EQ(ShareOf(0, 0).high, 1);
}

class SmearTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kPages = 4000;

  SmearTest() { source_->as_kind = SourceKind::kLive; }
  std::shared_ptr<SmearSample> Take(uint64_t pages) {
    auto sample = SmearSample::Take(*source_, pages);
    EXPECT_TRUE(sample.ok()) << (sample.ok() ? "" : sample.error().message);
    return sample.ok() ? std::move(sample.value()) : nullptr;
  }
  /// The whole memory in two batches, as the source has it now.
  void Capture(SmearSample& sample, PageContent content = PageContent::kData) {
    auto reader = RangeReader::Create(*source_, {});
    for (const uint64_t at : {uint64_t{0}, kPages / 2}) {
      test::Bytes bytes(kPages / 2 * kPage);
      ReadReport report;
      const PhysAddr phys{kFlatStart + at * kPage};
      EXPECT_TRUE(reader.value()->Read(phys, bytes, report).ok());
      sample.Note(phys, bytes, std::vector(kPages / 2, content), SmearSample::Clock::now());
    }
  }
  /// From now on each `step`-th page holds something else.
  void Change(uint64_t step) {
    for (uint64_t page = 0; page < kPages; page += step) {
      source_->script().zero_pages.insert(kFlatStart + page * kPage);
    }
  }
  SmearReport Compare(SmearSample& sample) {
    auto report = sample.Compare(*source_, nullptr);
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    return report.ok() ? std::move(report.value()) : SmearReport{};
  }

  std::shared_ptr<test::FakeSource> source_ = test::FlatSource(kPages);
};

TEST_F(SmearTest, ASampleOfEverythingIsTheTruth) {
  for (uint64_t page = 0; page < kPages / 2; ++page) {
    source_->script().kinds[kFlatStart + page * kPage] = PageKind::kUser;
  }
  const auto sample = Take(10 * kPages);
  ASSERT_NE(sample, nullptr);
  EXPECT_EQ(sample->pages(), kPages);
  Capture(*sample);
  Change(4);
  const SmearReport report = Compare(*sample);
  EXPECT_EQ(sample->compared_pages(), kPages);
  EXPECT_EQ(report.sampled_pages, kPages);
  EXPECT_EQ(report.changed_pages, kPages / 4);
  ASSERT_EQ(report.classes.size(), 2U);
  EXPECT_EQ(report.classes[0].kind, PageKind::kUser);
  EXPECT_EQ(report.classes[1].kind, PageKind::kKernel);
  for (const SmearClass& of : report.classes) {
    EXPECT_EQ(of.sampled_pages, kPages / 2);
    EXPECT_EQ(of.changed_pages, kPages / 8);
    EXPECT_DOUBLE_EQ(of.changed.share, 0.25);
  }
}

/// Twenty samples: each of them off by more than five standard deviations is no bad luck.
TEST_F(SmearTest, ASampleIsCloseToTheTruth) {
  std::vector<std::shared_ptr<SmearSample>> samples;
  for (int i = 0; i < 4; ++i) samples.push_back(Take(500));
  for (const auto& sample : samples) Capture(*sample);
  Change(5);
  double sum = 0;
  for (const auto& sample : samples) {
    const SmearReport report = Compare(*sample);
    EXPECT_EQ(report.sampled_pages, 500U);
    EXPECT_NEAR(report.changed.share, 0.2, 5 * std::sqrt(0.2 * 0.8 / 500));
    sum += report.changed.share;
  }
  EXPECT_NEAR(sum / 4, 0.2, 5 * std::sqrt(0.2 * 0.8 / 2000));
}

TEST_F(SmearTest, NothingChangedIsNoneButNotForSure) {
  const auto sample = Take(300);
  Capture(*sample);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const SmearReport report = Compare(*sample);
  EXPECT_EQ(report.changed_pages, 0U);
  EXPECT_EQ(report.changed.low, 0);
  EXPECT_GT(report.changed.high, 0);
  EXPECT_GE(report.seconds_between, 0.005);
}

TEST_F(SmearTest, PagesThatWereNotCapturedOrAreHolesNowDoNotCount) {
  const auto holes = Take(300);
  Capture(*holes, PageContent::kHole);
  EXPECT_EQ(Compare(*holes).sampled_pages, 0U);
  EXPECT_TRUE(Compare(*holes).classes.empty());
  const auto none = Take(300);
  EXPECT_EQ(Compare(*none).sampled_pages, 0U);
  const auto sample = Take(kPages);
  Capture(*sample);
  source_->script().labels[kFlatStart + 7 * kPage] = {.outcome = PageOutcome::kOffline};
  source_->script().failing_for_ever[kFlatStart + 9 * kPage] = EIO;
  EXPECT_EQ(Compare(*sample).sampled_pages, kPages - 2);
}

TEST_F(SmearTest, CanBeStopped) {
  const auto sample = Take(300);
  Capture(*sample);
  sample->Stop();
  const auto report = sample->Compare(*source_, nullptr);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
}

TEST_F(SmearTest, ADumpHasNoSmear) {
  source_->as_kind = SourceKind::kElfCore;
  const auto sample = SmearSample::Take(*source_, 10);
  ASSERT_FALSE(sample.ok());
  EXPECT_EQ(sample.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace kcoredump
