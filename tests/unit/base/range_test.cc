// SPDX-License-Identifier: MIT
#include "base/range.h"

#include <gtest/gtest.h>

#include "base/checked.h"
#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using Ranges = std::vector<Range>;

TEST(Range, SizeOfAnInvertedRangeIsZero) {
  EXPECT_EQ((Range{5, 3}).size(), 0U);
  EXPECT_TRUE((Range{5, 3}).empty());
  EXPECT_TRUE((Range{5, 5}).empty());
  EXPECT_EQ((Range{3, 5}).size(), 2U);
}

TEST(Range, ContainsItsBeginAndNotItsEnd) {
  const Range range{3, 5};
  EXPECT_FALSE(range.Contains(2));
  EXPECT_TRUE(range.Contains(3));
  EXPECT_TRUE(range.Contains(4));
  EXPECT_FALSE(range.Contains(5));
}

TEST(Range, CoversOnlyWhatLiesInside) {
  const Range range{10, 20};
  EXPECT_TRUE(range.Covers({10, 20}));
  EXPECT_TRUE(range.Covers({12, 13}));
  EXPECT_FALSE(range.Covers({9, 12}));
  EXPECT_FALSE(range.Covers({19, 21}));
}

TEST(Normalized, SortsJoinsAndDropsEmptyOnes) {
  EXPECT_EQ(Normalized({{30, 40}, {7, 7}, {10, 20}, {20, 25}, {9, 3}, {35, 50}}),
            (Ranges{{10, 25}, {30, 50}}));
}

TEST(Normalized, ARangeInsideAnotherDoesNotShortenIt) {
  EXPECT_EQ(Normalized({{0, 100}, {10, 20}, {50, 60}}), (Ranges{{0, 100}}));
}

TEST(Subtract, CutsHolesAndEdges) {
  EXPECT_EQ(Subtract({{0, 10}, {20, 30}}, {{2, 4}, {8, 22}, {29, 40}}),
            (Ranges{{0, 2}, {4, 8}, {22, 29}}));
}

TEST(Subtract, NothingMinusSomethingAndSomethingMinusNothing) {
  EXPECT_EQ(Subtract({}, {{0, 5}}), Ranges{});
  EXPECT_EQ(Subtract({{0, 5}}, {}), (Ranges{{0, 5}}));
}

TEST(Subtract, OneCoverOverManyRanges) {
  EXPECT_EQ(Subtract({{0, 2}, {4, 6}, {8, 12}}, {{1, 9}}), (Ranges{{0, 1}, {9, 12}}));
}

/// Against a bitmap, with ranges that touch, nest and miss each other.
TEST(Subtract, AgreesWithABitmap) {
  test::Random random(42);
  for (int round = 0; round < 500; ++round) {
    Ranges lists[2];
    for (Ranges& list : lists) {
      for (uint64_t i = random.Below(6); i > 0; --i) {
        const uint64_t begin = random.Below(60);
        list.push_back({begin, begin + random.Below(12)});
      }
      list = Normalized(std::move(list));
    }
    const Ranges rest = Subtract(lists[0], lists[1]);
    for (uint64_t at = 0; at < 80; ++at) {
      const auto in = [&](const Ranges& list) {
        return std::any_of(list.begin(), list.end(),
                           [&](const Range& r) { return r.Contains(at); });
      };
      ASSERT_EQ(in(rest), in(lists[0]) && !in(lists[1])) << "round " << round << " at " << at;
    }
  }
}

TEST(Checked, OverflowIsNothing) {
  EXPECT_EQ(CheckedAdd(~uint64_t{0}, 1), std::nullopt);
  EXPECT_EQ(CheckedAdd(~uint64_t{0} - 1, 1), ~uint64_t{0});
  EXPECT_EQ(CheckedMultiply(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(CheckedMultiply(uint64_t{1} << 32, 3), uint64_t{3} << 32);
}

TEST(Checked, Alignment) {
  EXPECT_EQ(AlignUp(0, 4096), 0U);
  EXPECT_EQ(AlignUp(1, 4096), 4096U);
  EXPECT_EQ(AlignUp(4096, 4096), 4096U);
  EXPECT_EQ(AlignDown(8191, 4096), 4096U);
}

}  // namespace
}  // namespace kcoredump
