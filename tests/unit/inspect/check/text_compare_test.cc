// SPDX-License-Identifier: MIT
#include "inspect/check/text_compare.h"

#include <gtest/gtest.h>

#include "support/fake_view.h"

namespace kcoredump {
namespace {

constexpr uint64_t kComparedText = 0xffffffff91000000;
constexpr uint64_t kComparedSlide = 0x10000000;
constexpr uint64_t kComparedBytes = 3 * 4096;

class TextCompareTest : public testing::Test {
 protected:
  TextCompareTest() {
    memory_.Put(kComparedText, std::string(kComparedBytes, '\x90'));
    reference_.Put(kComparedText, std::string(kComparedBytes, '\x90'));
  }
  TextComparison Compare(uint64_t slide = 0, bool locks = false,
                         std::function<bool(uint64_t)> is_patched = nullptr) {
    const TextReference reference{
        .read = [&](uint64_t at, std::span<std::byte> out) { return reference_.Read(at, out); },
        .slide = slide,
        .targets = {{kComparedText, kComparedText + kComparedBytes}},
        .lock_prefixes_equal = locks};
    if (is_patched == nullptr) is_patched = [](uint64_t) { return false; };
    return CompareText(memory_, {kComparedText, kComparedText + kComparedBytes}, reference, 8,
                       is_patched);
  }

  test::FakeView memory_;
  test::FakeView reference_;
};

TEST_F(TextCompareTest, EqualTextIsQuiet) {
  const TextComparison compared = Compare();
  EXPECT_TRUE(compared.differences.empty());
  EXPECT_EQ(compared.bytes, kComparedBytes);
  EXPECT_EQ(compared.unread_bytes, 0U);
}

TEST_F(TextCompareTest, OneByteIsFoundWhereverItIs) {
  for (const uint64_t at : {uint64_t{0}, uint64_t{4095}, uint64_t{4096}, kComparedBytes - 1}) {
    memory_.PutValue<uint8_t>(kComparedText + at, 0xcc);
    const TextComparison compared = Compare();
    ASSERT_EQ(compared.differences.size(), 1U) << at;
    EXPECT_EQ(compared.differences[0].address, kComparedText + at);
    EXPECT_EQ(compared.differences[0].is, std::vector{std::byte{0xcc}});
    EXPECT_EQ(compared.differences[0].was, std::vector{std::byte{0x90}});
    memory_.PutValue<uint8_t>(kComparedText + at, 0x90);
  }
}

TEST_F(TextCompareTest, BytesNearEachOtherAreOneFinding) {
  memory_.PutValue<uint8_t>(kComparedText + 100, 1);
  memory_.PutValue<uint8_t>(kComparedText + 104, 2);
  memory_.PutValue<uint8_t>(kComparedText + 200, 3);
  const TextComparison compared = Compare();
  ASSERT_EQ(compared.differences.size(), 2U);
  EXPECT_EQ(compared.differences[0].is.size(), 5U);
  EXPECT_EQ(compared.differences[1].address, kComparedText + 200);
}

TEST_F(TextCompareTest, WhatTheKernelPatchesIsNoFinding) {
  memory_.PutValue<uint8_t>(kComparedText + 100, 1);
  memory_.PutValue<uint8_t>(kComparedText + 110, 1);
  const TextComparison compared = Compare(
      0, false, [](uint64_t at) { return at >= kComparedText + 100 && at < kComparedText + 105; });
  ASSERT_EQ(compared.differences.size(), 1U);
  EXPECT_EQ(compared.differences[0].address, kComparedText + 110);
}

TEST_F(TextCompareTest, RelocatedWordsAreEqualAlsoAcrossPages) {
  for (const uint64_t at : {uint64_t{16}, uint64_t{4094}}) {
    const auto linked = static_cast<uint32_t>(kComparedText + 64 - kComparedSlide);
    reference_.PutValue<uint32_t>(kComparedText + at, linked);
    memory_.PutValue<uint32_t>(kComparedText + at, linked + static_cast<uint32_t>(kComparedSlide));
  }
  EXPECT_TRUE(Compare(kComparedSlide).differences.empty());
}

TEST_F(TextCompareTest, AWordThatLeadsOutOfTheKernelIsNoRelocation) {
  reference_.PutValue<uint32_t>(kComparedText + 16, 0x41000000);
  memory_.PutValue<uint32_t>(kComparedText + 16,
                             0x41000000 + static_cast<uint32_t>(kComparedSlide));
  EXPECT_EQ(Compare(kComparedSlide).differences.size(), 1U);
}

TEST_F(TextCompareTest, WithoutASlideNothingIsRelocated) {
  memory_.PutValue<uint32_t>(kComparedText + 16, static_cast<uint32_t>(kComparedText + 64));
  EXPECT_EQ(Compare().differences.size(), 1U);
}

TEST_F(TextCompareTest, LockPrefixesOfOneCpu) {
  reference_.PutValue<uint8_t>(kComparedText + 16, 0xf0);
  memory_.PutValue<uint8_t>(kComparedText + 16, 0x3e);
  EXPECT_EQ(Compare(0, false).differences.size(), 1U);
  EXPECT_TRUE(Compare(0, true).differences.empty());
}

TEST_F(TextCompareTest, AMissingPageCostsThatPage) {
  reference_.Remove(kComparedText + 4096, 4096);
  memory_.PutValue<uint8_t>(kComparedText + 10, 1);
  memory_.PutValue<uint8_t>(kComparedText + 5000, 1);
  memory_.PutValue<uint8_t>(kComparedText + 9000, 1);
  const TextComparison compared = Compare();
  EXPECT_EQ(compared.differences.size(), 2U);
  EXPECT_EQ(compared.unread_bytes, 4096U);
  EXPECT_FALSE(compared.unread_reason.empty());
}

TEST_F(TextCompareTest, ManyDifferencesAreCut) {
  for (uint64_t at = 0; at < kComparedBytes; at += 64)
    memory_.PutValue<uint8_t>(kComparedText + at, 1);
  const TextComparison compared = Compare();
  EXPECT_EQ(compared.differences.size(), 8U);
  EXPECT_TRUE(compared.cut);
}

}  // namespace
}  // namespace kcoredump
