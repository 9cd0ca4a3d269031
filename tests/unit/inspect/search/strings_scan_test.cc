// SPDX-License-Identifier: MIT
#include "inspect/search/strings_scan.h"

#include <gtest/gtest.h>

#include <string_view>

namespace kcoredump {
namespace {

using namespace std::string_view_literals;

std::vector<ScannedString> ScanPage(std::string_view page, uint64_t least = 4) {
  std::vector<ScannedString> found;
  ScanStrings(std::as_bytes(std::span(page)), least, found);
  return found;
}

TEST(StringsScan, FindsTextBetweenOtherBytes) {
  const auto found = ScanPage("\0\1text\xff\x7fmore text\0abc\0last"sv);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].offset, 2U);
  EXPECT_EQ(found[0].text, "text");
  EXPECT_EQ(found[1].text, "more text");
  EXPECT_EQ(found[2].text, "last");
}

TEST(StringsScan, FindsWideText) {
  const auto found = ScanPage("\0\0w\0i\0d\0e\0\0\0"sv);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].wide);
  EXPECT_EQ(found[0].offset, 2U);
  EXPECT_EQ(found[0].text, "wide");
}

TEST(StringsScan, APageOfTextIsOneString) {
  const std::string page(4096, 'x');
  const auto found = ScanPage(page);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].text, page);
}

TEST(StringsScan, AnOddPageAndAnEmptyOneEnd) {
  EXPECT_TRUE(ScanPage("").empty());
  EXPECT_TRUE(ScanPage("a\0b"sv).empty());
  EXPECT_EQ(ScanPage("a\0b\0c\0d"sv, 3).size(), 1U);
}

}  // namespace
}  // namespace kcoredump
