// SPDX-License-Identifier: MIT
//
// What the writers of formats are made of: the way back from a full disk, tables that are patched
// in piece by piece, and pages as they are.
#include <gtest/gtest.h>

#include <cstring>

#include "format/kdump/table_writer.h"
#include "format/plain_encoding.h"
#include "format/write_log.h"
#include "support/memory_sink.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kPage;
using test::MemorySink;

/// A head of 100 bytes, then batches of 1000.
class WriteLogTest : public testing::Test {
 protected:
  WriteLogTest() {
    EXPECT_TRUE(sink_.Write(Bytes(100)).ok());
    log_.Begin(100);
  }
  void AddBatch(uint64_t waiting) {
    EXPECT_TRUE(sink_.Write(Bytes(1000)).ok());
    sink_.SetWaiting(waiting);
    WriteMark mark = log_.now();
    mark.file_bytes += 1000;
    mark.plain_bytes += 4096;
    mark.zero_pages += 1;
    log_.Add(mark, sink_.taken_bytes());
  }

  MemorySink sink_;
  WriteLog log_;
};

TEST_F(WriteLogTest, GoesBackToTheNewestBatchThatTheKernelTook) {
  AddBatch(0);
  AddBatch(0);
  AddBatch(1);
  AddBatch(1500);
  ASSERT_TRUE(log_.GoBack(sink_).ok());
  EXPECT_EQ(sink_.content().size(), 2100U);
  EXPECT_EQ(log_.now().file_bytes, 2100U);
  EXPECT_EQ(log_.now().plain_bytes, 2U * 4096);
  EXPECT_EQ(log_.now().zero_pages, 2U);
}

TEST_F(WriteLogTest, GoesBackOnce) {
  AddBatch(0);
  AddBatch(500);
  ASSERT_TRUE(log_.GoBack(sink_).ok());
  AddBatch(0);
  const Status again = log_.GoBack(sink_);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(sink_.rewinds(), 1U);
}

TEST_F(WriteLogTest, WithoutAWholeBatchThereIsNothingToKeep) {
  AddBatch(500);
  const Status nothing = log_.GoBack(sink_);
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(sink_.rewinds(), 0U);
}

TEST(BitmapWriter, SetsEachBitInItsPlace) {
  constexpr uint64_t kOffset = 37;
  constexpr size_t kBytes = 1 << 20;
  MemorySink sink;
  ASSERT_TRUE(sink.Write(Bytes(kOffset + kBytes)).ok());
  Bytes expected(kOffset + kBytes);
  BitmapWriter bitmap(&sink, kOffset);
  // The ends of a window and jumps over several.
  constexpr uint64_t kWindowBits = 8 * (64 << 10);
  for (const uint64_t bit :
       {uint64_t{0}, uint64_t{1}, uint64_t{7}, uint64_t{8}, kWindowBits - 1, kWindowBits,
        kWindowBits + 1, 5 * kWindowBits + 3, uint64_t{8} * kBytes - 1}) {
    ASSERT_TRUE(bitmap.Set(bit).ok());
    expected[kOffset + bit / 8] |= std::byte{1} << (bit % 8);
  }
  ASSERT_TRUE(bitmap.Finish().ok());
  EXPECT_EQ(sink.content(), expected);
  const unsigned patches = sink.patches();
  ASSERT_TRUE(bitmap.Finish().ok());
  EXPECT_EQ(sink.patches(), patches);
}

TEST(BitmapWriter, NoBitIsNoPatch) {
  MemorySink sink;
  BitmapWriter bitmap(&sink, 0);
  ASSERT_TRUE(bitmap.Finish().ok());
  EXPECT_EQ(sink.patches(), 0U);
}

TEST(BitmapWriter, ATableThatWasNotWrittenIsAnError) {
  MemorySink sink;
  BitmapWriter bitmap(&sink, 0);
  ASSERT_TRUE(bitmap.Set(0).ok());
  EXPECT_FALSE(bitmap.Finish().ok());
}

TEST(DescriptorWriter, PutsThemOneAfterAnotherHoweverMany) {
  constexpr uint64_t kOffset = 24;
  constexpr size_t kCount = (32 << 10) * 2 + 5;
  MemorySink sink;
  ASSERT_TRUE(sink.Write(Bytes(kOffset + kCount * sizeof(PageDescriptor))).ok());
  DescriptorWriter descriptors(&sink, kOffset);
  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(descriptors.Add({.offset = i, .bytes = 7, .flags = kKdumpZstd}).ok());
  }
  EXPECT_EQ(sink.patches(), 2U);  // not all of them are held
  ASSERT_TRUE(descriptors.Finish().ok());
  for (const size_t i : {size_t{0}, size_t{32 << 10}, kCount - 1}) {
    PageDescriptor descriptor;
    std::memcpy(&descriptor, sink.content().data() + kOffset + i * sizeof(descriptor),
                sizeof(descriptor));
    EXPECT_EQ(descriptor.offset, i);
    EXPECT_EQ(descriptor.flags, kKdumpZstd);
  }
}

class PlainEncodingTest : public testing::Test {
 protected:
  /// What the encoder makes of pages of these contents.
  EncodedBatch Encode(const std::vector<PageContent>& pages) {
    content_ = test::RandomBytes(pages.size() * kPage, 1);
    return Encode({.is_memory = true, .phys = PhysAddr{0x1000}, .bytes = content_, .pages = pages});
  }
  EncodedBatch Encode(const PlainBatch& batch) {
    const auto encoding = MakePlainEncoding(ImageShape::kMemory);
    EncodedBatch out;
    out.bytes = std::make_unique<std::byte[]>(encoding->BatchBound(batch.bytes.size()));
    auto encoder = encoding->NewEncoder();
    EXPECT_TRUE(encoder.ok() && encoder.value()->Encode(batch, out).ok());
    return out;
  }

  Bytes content_;
};

TEST_F(PlainEncodingTest, ARunOfPagesIsOnePieceWhateverIsInThem) {
  const auto batch = Encode({PageContent::kData, PageContent::kZero, PageContent::kData});
  ASSERT_EQ(batch.pieces.size(), 1U);
  EXPECT_EQ(batch.pieces[0].encoded_bytes, 3 * kPage);
  EXPECT_EQ(batch.pieces[0].zero_pages, 1U);
  EXPECT_EQ(batch.pieces[0].flags, 0U);
  EXPECT_EQ(std::memcmp(batch.bytes.get(), content_.data(), content_.size()), 0);
}

TEST_F(PlainEncodingTest, HolesAreCutOutAndCounted) {
  constexpr auto kHole = PageContent::kHole;
  const auto batch = Encode({kHole, PageContent::kData, kHole, kHole, PageContent::kZero});
  ASSERT_EQ(batch.pieces.size(), 4U);
  const auto expect = [&](size_t piece, uint32_t flags, size_t pages) {
    EXPECT_EQ(batch.pieces[piece].flags, flags) << piece;
    EXPECT_EQ(batch.pieces[piece].content_bytes, pages * kPage) << piece;
    EXPECT_EQ(batch.pieces[piece].encoded_bytes, flags == kHolePiece ? 0 : pages * kPage) << piece;
  };
  expect(0, kHolePiece, 1);
  expect(1, 0, 1);
  expect(2, kHolePiece, 2);
  expect(3, 0, 1);
  EXPECT_EQ(std::memcmp(batch.bytes.get(), content_.data() + kPage, kPage), 0);
  EXPECT_EQ(std::memcmp(batch.bytes.get() + kPage, content_.data() + 4 * kPage, kPage), 0);
}

TEST_F(PlainEncodingTest, AnImagesHeadIsTakenAsItIs) {
  const Bytes head = test::ToBytes("a head");
  const auto batch = Encode({.is_memory = false, .phys = {}, .bytes = head, .pages = {}});
  ASSERT_EQ(batch.pieces.size(), 1U);
  EXPECT_EQ(batch.pieces[0].encoded_bytes, head.size());
  EXPECT_EQ(std::memcmp(batch.bytes.get(), head.data(), head.size()), 0);
}

}  // namespace
}  // namespace kcoredump
