// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cerrno>

#include "capture/outcome_ledger.h"
#include "source/page_reader.h"
#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using test::kPage;

PageRun Pages(uint64_t at, uint64_t pages, PageOutcome outcome, int failure = 0) {
  return {.first = PhysAddr{at}, .pages = pages, .outcome = outcome, .system_errno = failure};
}

ReadReport ReportOf(std::initializer_list<PageRun> runs) {
  ReadReport report;
  for (const PageRun& run : runs) AddRun(report, run, kPage);
  return report;
}

TEST(OutcomeLedger, JoinsRunsAcrossBatches) {
  OutcomeLedger ledger(kPage);
  ASSERT_TRUE(ledger.Add(ReportOf({Pages(0x1000, 2, PageOutcome::kUnreadable, EIO)})));
  ASSERT_TRUE(ledger.Add(ReportOf({Pages(0x3000, 1, PageOutcome::kUnreadable, EIO),
                                   Pages(0x4000, 1, PageOutcome::kUnreadable, ENOMEM),
                                   Pages(0x5000, 1, PageOutcome::kRetried)})));
  Trailer trailer;
  ledger.Close(~uint64_t{0}, 20, 20, trailer);
  EXPECT_EQ(trailer.runs, (std::vector<PageRun>{Pages(0x1000, 3, PageOutcome::kUnreadable, EIO),
                                                Pages(0x4000, 1, PageOutcome::kUnreadable, ENOMEM),
                                                Pages(0x5000, 1, PageOutcome::kRetried)}));
  EXPECT_EQ(trailer.counts.unreadable, 4U);
  EXPECT_EQ(trailer.counts.retried, 1U);
  EXPECT_EQ(trailer.counts.direct, 15U);
  EXPECT_EQ(trailer.counts.not_reached, 0U);
  EXPECT_EQ(ledger.hole_pages(), 4U);
}

TEST(OutcomeLedger, WhatWasDroppedIsNotReached) {
  OutcomeLedger ledger(kPage);
  ASSERT_TRUE(ledger.Add(ReportOf(
      {Pages(0x1000, 4, PageOutcome::kOffline), Pages(0x9000, 1, PageOutcome::kHwPoison)})));
  Trailer trailer;
  ledger.Close(0x3000, 3, 10, trailer);  // pages 0, 1 and 2 were kept
  EXPECT_EQ(trailer.runs, (std::vector<PageRun>{Pages(0x1000, 2, PageOutcome::kOffline)}));
  EXPECT_EQ(trailer.counts.offline, 2U);
  EXPECT_EQ(trailer.counts.hwpoison, 0U);
  EXPECT_EQ(trailer.counts.direct, 1U);
  EXPECT_EQ(trailer.counts.not_reached, 7U);
  EXPECT_EQ(trailer.counts.total(), 10U);
}

TEST(OutcomeLedger, WhatThePartialSourceNeverHeldIsAbsentHere) {
  OutcomeLedger ledger(kPage);
  ASSERT_TRUE(ledger.Add(ReportOf({Pages(0x1000, 4, PageOutcome::kNotReached)})));
  Trailer trailer;
  ledger.Close(~uint64_t{0}, 8, 8, trailer);
  EXPECT_EQ(trailer.counts.absent, 4U);
  EXPECT_EQ(trailer.counts.not_reached, 0U);
  EXPECT_EQ(trailer.runs.at(0).outcome, PageOutcome::kAbsent);
  EXPECT_EQ(ledger.hole_pages(), 4U);
}

TEST(OutcomeLedger, WhatTheSourceExcludedStaysSoAndIsNoHole) {
  OutcomeLedger ledger(kPage);
  ASSERT_TRUE(ledger.Add(ReportOf({Pages(0x1000, 4, PageOutcome::kExcluded)})));
  ASSERT_TRUE(ledger.Add(ReportOf({Pages(0x5000, 2, PageOutcome::kExcluded)})));
  Trailer trailer;
  ledger.Close(~uint64_t{0}, 8, 8, trailer);
  EXPECT_EQ(trailer.runs, (std::vector<PageRun>{Pages(0x1000, 6, PageOutcome::kExcluded)}));
  EXPECT_EQ(trailer.counts.excluded, 6U);
  EXPECT_EQ(trailer.counts.holes(), 0U);
  EXPECT_EQ(trailer.counts.total(), 8U);
  EXPECT_EQ(ledger.hole_pages(), 0U);
}

TEST(OutcomeLedger, RefusesMoreRunsThanATrailerLists) {
  OutcomeLedger ledger(kPage);
  for (uint64_t i = 0; i < kMaxTrailerRuns; ++i) {
    ASSERT_TRUE(ledger.Add(ReportOf({Pages(i * 2 * kPage, 1, PageOutcome::kUnreadable, EIO)})));
  }
  EXPECT_FALSE(
      ledger.Add(ReportOf({Pages(kMaxTrailerRuns * 2 * kPage, 1, PageOutcome::kUnreadable, EIO)})));
}

}  // namespace
}  // namespace kcoredump
