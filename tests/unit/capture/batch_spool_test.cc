// SPDX-License-Identifier: MIT
#include "capture/batch_spool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>

#include "format/snapshot/encoder.h"
#include "support/fake_source.h"
#include "support/files.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kFlatStart;
using test::kPage;

Slot EmptySlot(size_t bytes = 1 << 16) {
  Slot slot;
  slot.batch.bytes = std::make_unique<std::byte[]>(bytes);
  return slot;
}

/// A batch with two pieces and a hole.
Slot Filled(uint64_t index, const Bytes& encoded) {
  Slot slot = EmptySlot();
  std::copy(encoded.begin(), encoded.end(), slot.batch.bytes.get());
  slot.index = index;
  slot.batch.is_memory = true;
  slot.batch.phys = PhysAddr{index * kPage};
  slot.batch.milliseconds = static_cast<uint32_t>(1000 - index);
  const auto half = static_cast<uint32_t>(encoded.size() / 2);
  slot.batch.pieces = {{half, 4096, 1, 2},
                       {static_cast<uint32_t>(encoded.size()) - half, 8192, 0, 0}};
  slot.report.counts.direct = 2;
  slot.report.counts.unreadable = 1;
  slot.report.runs = {{PhysAddr{index * kPage}, 1, PageOutcome::kUnreadable, EIO}};
  slot.moves = index;
  return slot;
}

class BatchSpoolTest : public ::testing::Test {
 protected:
  test::TempDir dir_;
  BatchSpool spool_ = std::move(BatchSpool::Create(dir_.Path("out")).value());
};

TEST_F(BatchSpoolTest, GivesBatchesBackAsTheyWereLowestFirst) {
  std::map<uint64_t, Bytes> kept;
  for (const uint64_t index : {7U, 2U, 900U, 3U}) {
    kept[index] = test::RandomBytes(5000 + index, static_cast<unsigned>(index));
    ASSERT_TRUE(spool_.Add(Filled(index, kept[index])).ok());
  }
  EXPECT_EQ(spool_.plain_bytes(), 4 * 12288U);
  Slot slot = EmptySlot();
  for (const auto& [index, encoded] : kept) {
    ASSERT_EQ(spool_.First(), index);
    ASSERT_TRUE(spool_.Take(index, slot).ok());
    const Slot right = Filled(index, encoded);
    EXPECT_EQ(slot.index, index);
    EXPECT_TRUE(slot.batch.is_memory);
    EXPECT_EQ(slot.batch.phys.value, right.batch.phys.value);
    EXPECT_EQ(slot.batch.milliseconds, right.batch.milliseconds);
    ASSERT_EQ(slot.batch.pieces.size(), 2U);
    EXPECT_EQ(slot.batch.pieces[1].encoded_bytes, right.batch.pieces[1].encoded_bytes);
    EXPECT_EQ(slot.batch.pieces[0].content_bytes, 4096U);
    EXPECT_EQ(slot.batch.pieces[0].zero_pages, 1U);
    EXPECT_EQ(slot.batch.pieces[0].flags, 2U);
    EXPECT_EQ(slot.report.runs, right.report.runs);
    EXPECT_EQ(slot.report.counts.direct, 2U);
    EXPECT_EQ(slot.moves, index);
    EXPECT_TRUE(std::equal(encoded.begin(), encoded.end(), slot.batch.bytes.get()));
  }
  EXPECT_FALSE(spool_.First());
  EXPECT_EQ(spool_.plain_bytes(), 0U);
}

TEST_F(BatchSpoolTest, NeverHasAName) {
  ASSERT_TRUE(spool_.Add(Filled(1, test::RandomBytes(100, 1))).ok());
  EXPECT_TRUE(dir_.List().empty());
  EXPECT_FALSE(BatchSpool::Create(dir_.Path("none/out")).ok());
}

TEST_F(BatchSpoolTest, AFullDiskIsAnError) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit limit{10'000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const sighandler_t handler = signal(SIGXFSZ, SIG_IGN);
  const Status first = spool_.Add(Filled(1, test::RandomBytes(6000, 1)));
  const Status second = spool_.Add(Filled(2, test::RandomBytes(6000, 2)));
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_TRUE(first.ok());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().system_errno, EFBIG);
  EXPECT_EQ(spool_.First(), 1U);
}

TEST(BlankBatches, AreZerosThatSayTheyWereNotRead) {
  constexpr uint32_t kBlankFrameBytes = 4 * kPage;
  const auto source = test::FlatSource(8);
  const auto encoding = MakeSnapshotEncoding({.level = 1, .frame_bytes = kBlankFrameBytes}).value();
  auto plan = CapturePlan::Make(*source, encoding->shape(), {}, kBlankFrameBytes);
  plan.value().CutIntoBatches(kBlankFrameBytes);
  auto blanks = BlankBatches::Create(plan.value(), *encoding, kPage);
  ASSERT_TRUE(blanks.ok());
  Slot slot = EmptySlot(encoding->BatchBound(kBlankFrameBytes));
  for (uint64_t index = 0; index < plan.value().batches(); ++index) {
    ASSERT_TRUE(blanks.value().Make(index, slot).ok());
    const Batch batch = plan.value().At(index);
    EXPECT_EQ(slot.index, index);
    EXPECT_EQ(slot.batch.is_memory, batch.is_memory);
    uint64_t content = 0;
    for (const EncodedPiece& piece : slot.batch.pieces) content += piece.content_bytes;
    EXPECT_EQ(content, batch.bytes);
    if (!batch.is_memory) {
      EXPECT_TRUE(slot.report.runs.empty());
      continue;
    }
    ASSERT_EQ(slot.report.runs.size(), 1U);
    EXPECT_EQ(slot.report.runs[0].first.address, batch.phys.value);
    EXPECT_EQ(slot.report.runs[0].pages, batch.bytes / kPage);
    EXPECT_EQ(slot.report.runs[0].system_errno, ECANCELED);
    EXPECT_EQ(slot.report.counts.holes(), batch.bytes / kPage);
    EXPECT_EQ(slot.batch.pieces[0].zero_pages, 0U);
  }
}

}  // namespace
}  // namespace kcoredump
