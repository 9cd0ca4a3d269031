// SPDX-License-Identifier: MIT
#include "source/range_reader.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "support/fake_source.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::ElfBuilder;
using test::kDirectMap;
using test::kFlatStart;
using test::kPage;
using test::LoadHeader;
using test::MemoryBytes;

struct Answer {
  Bytes bytes;
  ReadReport report;
};

Answer Read(const MemorySource& source, Location at, size_t count) {
  Answer answer;
  auto reader = RangeReader::Create(source, {});
  EXPECT_TRUE(reader.ok());
  answer.bytes.assign(count, std::byte{0xaa});
  const Status status = reader.value()->Read(at, answer.bytes, answer.report);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return answer;
}

TEST(RangeReader, BatchesAreAtMostAMebibyteAndEndAtPages) {
  const auto source = test::FlatSource(600);
  const Answer answer = Read(*source, PhysAddr{kFlatStart + 10}, 599 * kPage);
  EXPECT_EQ(answer.bytes, MemoryBytes(kFlatStart + 10, 599 * kPage));
  EXPECT_EQ(answer.report.counts.direct, 600U);
  EXPECT_EQ(source->script().calls.size(), 3U);
  for (const test::ReadCall& call : source->script().calls) {
    EXPECT_LE(call.bytes, kMaxBatchBytes);
  }
  EXPECT_EQ(source->script().calls[1].at.address % kPage, 0U);
}

TEST(RangeReader, APageThatGoesOfflineWhileItIsReadIsAHole) {
  const auto source = test::FlatSource(4);
  test::FakeScript& script = source->script();
  script.live = true;
  script.looks_before_late = 1;  // the look before the read sees nothing
  script.late_labels[kFlatStart + 2 * kPage] = {.outcome = PageOutcome::kOffline};
  const Answer answer = Read(*source, PhysAddr{kFlatStart}, 4 * kPage);
  EXPECT_EQ(answer.report.counts.direct, 3U);
  EXPECT_EQ(answer.report.counts.offline, 1U);
  ASSERT_NE(answer.report.FirstHole(), nullptr);
  EXPECT_EQ(answer.report.FirstHole()->first, Location(PhysAddr{kFlatStart + 2 * kPage}));
  const Bytes hole(answer.bytes.begin() + 2 * kPage, answer.bytes.begin() + 3 * kPage);
  EXPECT_EQ(hole, Bytes(kPage));
}

TEST(RangeReader, LabelsOfADumpAreAskedForOnce) {
  const auto source = test::FlatSource(4);
  (void)Read(*source, PhysAddr{kFlatStart}, 4 * kPage);
  EXPECT_EQ(source->script().looks, 1U);
}

TEST(RangeReader, LabelledPagesAreNeverRead) {
  const auto source = test::FlatSource(8);
  auto& labels = source->script().labels;
  labels[kFlatStart + kPage] = {.outcome = PageOutcome::kHwPoison};
  labels[kFlatStart + 2 * kPage] = {.outcome = PageOutcome::kHwPoison};
  labels[kFlatStart + 3 * kPage] = {.outcome = PageOutcome::kOffline};
  labels[kFlatStart + 7 * kPage] = {.outcome = PageOutcome::kUnreadable, .system_errno = EIO};
  const Answer answer = Read(*source, PhysAddr{kFlatStart}, 8 * kPage);
  EXPECT_EQ(answer.report.counts.direct, 4U);
  EXPECT_EQ(answer.report.counts.hwpoison, 2U);
  EXPECT_EQ(answer.report.counts.offline, 1U);
  EXPECT_EQ(answer.report.counts.unreadable, 1U);
  ASSERT_EQ(answer.report.runs.size(), 3U);
  EXPECT_EQ(answer.report.runs[0], (PageRun{.first = PhysAddr{kFlatStart + kPage},
                                            .pages = 2,
                                            .outcome = PageOutcome::kHwPoison}));
  EXPECT_EQ(answer.report.runs[2].system_errno, EIO);
  for (const test::ReadCall& call : source->script().calls) {
    for (const auto& [page, label] : labels) {
      EXPECT_FALSE(call.at.address < page + kPage && page < call.at.address + call.bytes);
    }
  }
  Bytes expected = MemoryBytes(kFlatStart, 8 * kPage);
  for (const auto& [page, label] : labels) {
    std::fill_n(expected.begin() + static_cast<ptrdiff_t>(page - kFlatStart), kPage, std::byte{0});
  }
  EXPECT_EQ(answer.bytes, expected);
}

TEST(RangeReader, LabelsHoldForUnalignedRangesAndVirtualAddressesToo) {
  const auto source = test::FlatSource(4);
  source->script().labels[kFlatStart + kPage] = {.outcome = PageOutcome::kOffline};
  const Answer answer = Read(*source, VirtAddr{kDirectMap + kFlatStart + kPage - 3}, kPage + 6);
  EXPECT_EQ(answer.report.counts.offline, 1U);
  EXPECT_EQ(answer.report.counts.direct, 2U);
  EXPECT_EQ(answer.report.runs.at(0).first, Location(VirtAddr{kDirectMap + kFlatStart + kPage}));
  Bytes expected = MemoryBytes(kFlatStart + kPage - 3, kPage + 6);
  std::fill_n(expected.begin() + 3, kPage, std::byte{0});
  EXPECT_EQ(answer.bytes, expected);
}

TEST(RangeReader, ARangeInsideOneLabelledPageIsAHole) {
  const auto source = test::FlatSource(4);
  source->script().labels[kFlatStart] = {.outcome = PageOutcome::kOffline};
  const Answer answer = Read(*source, PhysAddr{kFlatStart + 100}, 10);
  EXPECT_EQ(answer.report.counts.offline, 1U);
  EXPECT_TRUE(test::AllZero(answer.bytes));
  EXPECT_TRUE(source->script().calls.empty());
}

TEST(RangeReader, GoesAcrossSegmentsAndNamesTheGap) {
  ElfBuilder elf;
  elf.AddLoad(LoadHeader(kDirectMap + 0x10000, 0x10000, 2 * kPage), {});
  elf.AddLoad(LoadHeader(kDirectMap + 0x12000, 0x12000, kPage), {});
  elf.AddLoad(LoadHeader(kDirectMap + 0x15000, 0x15000, kPage), {});
  const test::FakeSource source(elf.Build());
  const Answer answer = Read(source, PhysAddr{0x10000}, 6 * kPage);
  EXPECT_EQ(answer.report.counts.read(), 4U);
  EXPECT_EQ(answer.report.counts.unreadable, 2U);
  ASSERT_NE(answer.report.FirstHole(), nullptr);
  EXPECT_EQ(*answer.report.FirstHole(), (PageRun{.first = PhysAddr{0x13000},
                                                 .pages = 2,
                                                 .outcome = PageOutcome::kUnreadable,
                                                 .system_errno = ENXIO}));
  Bytes expected = MemoryBytes(0x10000, 6 * kPage);
  std::fill_n(expected.begin() + 3 * kPage, 2 * kPage, std::byte{0});
  EXPECT_EQ(answer.bytes, expected);
}

TEST(RangeReader, ARangeThatWrapsAroundIsTheCallersMistake) {
  const auto source = test::FlatSource(4);
  auto reader = RangeReader::Create(*source, {});
  Bytes out(2 * kPage);
  ReadReport report;
  const Status status = reader.value()->Read(PhysAddr{~uint64_t{0} - 10}, out, report);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
}

TEST(RangeReader, TheLastPageOfTheAddressSpaceIsAskedForAndEnds) {
  const auto source = test::FlatSource(4);
  for (const Location at :
       {Location(PhysAddr{~uint64_t{0} - 0xfff}), Location(VirtAddr{~uint64_t{0} - 0xfff})}) {
    const Answer answer = Read(*source, at, kPage);
    EXPECT_EQ(answer.report.counts.unreadable, 1U);
  }
}

TEST(RangeReader, TheReadersErrorIsPassedOn) {
  const auto source = test::FlatSource(4);
  source->readers_to_refuse = test::FakeSource::kAllReaders;
  EXPECT_FALSE(RangeReader::Create(*source, {}).ok());
}

}  // namespace
}  // namespace kcoredump
