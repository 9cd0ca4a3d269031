// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "format/kdump/bitmap.h"
#include "support/files.h"

namespace kcoredump {
namespace {

using test::Bytes;

/// Two bitmaps of `bits` bits, one after another, from offset 100 on.
struct SampledBits {
  SampledBits(uint64_t bits, uint64_t one_in, uint64_t seed)
      : memory(bits, true), dumped(bits), bytes(100 + 2 * ((bits + 7) / 8)) {
    layout.max_pfn = bits;
    layout.memory_bitmap = 100;
    layout.dumped_bitmap = 100 + (bits + 7) / 8;
    layout.descriptors = bytes.size();
    test::Random random(seed);
    for (uint64_t i = 0; i < bits; ++i) {
      dumped[i] = random.Below(one_in) == 0;
      memory[i] = i % 1000 < 900;
      if (dumped[i]) Set(layout.dumped_bitmap, i);
      if (memory[i]) Set(layout.memory_bitmap, i);
    }
  }
  void Set(uint64_t bitmap, uint64_t bit) {
    bytes[bitmap + bit / 8] |= static_cast<std::byte>(1U << (bit % 8));
  }

  KdumpLayout layout;
  std::vector<bool> memory;
  std::vector<bool> dumped;
  Bytes bytes;
};

TEST(KdumpBitmap, TestRankAndSelectAgreeWithCounting) {
  for (const uint64_t bits : {uint64_t{1}, uint64_t{63}, uint64_t{64}, uint64_t{65},
                              PageBitmap::kBlockBits, 3 * PageBitmap::kBlockBits + 77}) {
    for (const uint64_t one_in : {1U, 3U, 5000U}) {
      const SampledBits sample(bits, one_in, bits + one_in);
      const test::MemoryFile file(sample.bytes);
      const auto scan = ScanBitmaps(OpenInputFile(file.path()).value(), sample.layout);
      ASSERT_TRUE(scan.ok());
      BitmapCursor cursor(&scan.value().dumped);
      uint64_t rank = 0;
      for (uint64_t i = 0; i < bits; ++i) {
        ASSERT_EQ(cursor.Test(i).value(), sample.dumped[i]) << i;
        ASSERT_EQ(cursor.Rank(i).value(), rank) << i;
        if (!sample.dumped[i]) continue;
        ASSERT_EQ(cursor.Select(rank).value(), i);
        ++rank;
      }
      EXPECT_EQ(scan.value().dumped.set_bits(), rank);
      EXPECT_EQ(cursor.Rank(bits + 5).value(), rank);
      EXPECT_EQ(cursor.Select(rank).value(), bits);
      EXPECT_FALSE(cursor.Test(bits).value());
    }
  }
}

TEST(KdumpBitmap, RangesAreWhereEitherBitIsSet) {
  for (const uint64_t bits : {uint64_t{1000}, 2 * PageBitmap::kBlockBits + 950}) {
    const SampledBits sample(bits, 50, bits);
    const test::MemoryFile file(sample.bytes);
    const auto scan = ScanBitmaps(OpenInputFile(file.path()).value(), sample.layout);
    ASSERT_TRUE(scan.ok());
    std::vector<Range> expected;
    uint64_t pages = 0;
    for (uint64_t i = 0; i < bits; ++i) {
      if (!sample.memory[i] && !sample.dumped[i]) continue;
      ++pages;
      if (!expected.empty() && expected.back().end == i) {
        ++expected.back().end;
      } else {
        expected.push_back({i, i + 1});
      }
    }
    EXPECT_EQ(scan.value().memory, expected);
    EXPECT_EQ(scan.value().memory_pages, pages);
  }
}

TEST(KdumpBitmap, AFileThatEndsWithinThem) {
  const SampledBits sample(1000, 3, 1);
  const test::MemoryFile file{std::span(sample.bytes).first(sample.bytes.size() - 1)};
  const auto scan = ScanBitmaps(OpenInputFile(file.path()).value(), sample.layout);
  ASSERT_FALSE(scan.ok());
  EXPECT_EQ(scan.error().code, ErrorCode::kCorrupt);
}

/// The file is cut after it was opened.
TEST(KdumpBitmap, AFileThatShrinksIsAnError) {
  const SampledBits sample(3 * PageBitmap::kBlockBits, 3, 1);
  test::MemoryFile file(sample.bytes);
  const auto scan = ScanBitmaps(OpenInputFile(file.path()).value(), sample.layout);
  ASSERT_TRUE(scan.ok());
  file.Truncate(200);
  BitmapCursor cursor(&scan.value().dumped);
  EXPECT_FALSE(cursor.Test(5).ok());
  EXPECT_FALSE(cursor.Rank(2 * PageBitmap::kBlockBits).ok());
}

}  // namespace
}  // namespace kcoredump
