// SPDX-License-Identifier: MIT
#include "inspect/search/search_pattern.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using test::Bytes;

/// Text with the slack behind it that matchers may read, full of what would match.
class PaddedText {
 public:
  PaddedText(uint64_t address, const Bytes& content, std::byte slack = std::byte{'a'})
      : bytes_(content) {
    bytes_.resize(content.size() + kTextSlack, slack);
    text_ = {.address = address, .bytes = std::span(bytes_).first(content.size())};
  }
  [[nodiscard]] const SearchText& text() const { return text_; }

 private:
  Bytes bytes_;
  SearchText text_;
};

std::vector<uint64_t> FindAll(Matcher& matcher, const PaddedText& padded) {
  std::vector<Hit> hits;
  const SearchText& text = padded.text();
  (void)matcher.Find(text, text.address, text.end(), ~size_t{0}, hits);
  std::vector<uint64_t> found;
  for (const Hit& hit : hits) found.push_back(hit.address);
  return found;
}

std::vector<uint64_t> Naive(const std::vector<MaskedByte>& pattern, uint64_t alignment,
                            uint64_t address, const Bytes& text) {
  std::vector<uint64_t> found;
  for (size_t at = 0; at + pattern.size() <= text.size(); ++at) {
    bool fits = (address + at) % alignment == 0;
    for (size_t i = 0; i < pattern.size() && fits; ++i) {
      fits = pattern[i].Fits(static_cast<uint8_t>(text[at + i]));
    }
    if (fits) found.push_back(address + at);
  }
  return found;
}

/// Bytes of so few values that everything is found everywhere.
Bytes FewValues(size_t count, uint64_t values, uint64_t seed) {
  test::Random random(seed);
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>('a' + random.Below(values));
  return bytes;
}

std::unique_ptr<Matcher> Regex(std::string_view regex, bool ignore_case = false,
                               uint64_t alignment = 1) {
  auto matcher = MakeRegexMatcher(regex, ignore_case, alignment);
  EXPECT_TRUE(matcher.ok()) << regex << ": " << (matcher.ok() ? "" : matcher.error().message);
  return matcher.ok() ? std::move(matcher.value()) : nullptr;
}

TEST(SearchScan, EveryScannerSaysTheSame) {
  const Bytes bytes = FewValues(kScanBytes + 64, 5, 7);
  for (const MaskedByte first : {MaskedByte{'a', 0xff}, MaskedByte{0x60, 0xf0}, MaskedByte{}}) {
    for (const MaskedByte second : {MaskedByte{'b', 0xff}, MaskedByte{'A', 0xdf}}) {
      for (const size_t offset : {0, 1, 3, 17, 63}) {
        ScanMasks best{};
        ScanMasks portable{};
        const uint64_t any =
            BestScanner()(bytes.data(), first, bytes.data() + offset, second, best);
        EXPECT_EQ(any, ScanPortably(bytes.data(), first, bytes.data() + offset, second, portable));
        EXPECT_EQ(best, portable) << offset;
        for (size_t i = 0; i < kScanBytes; ++i) {
          const bool fits = first.Fits(static_cast<uint8_t>(bytes[i])) &&
                            second.Fits(static_cast<uint8_t>(bytes[i + offset]));
          ASSERT_EQ((best[i / 64] >> (i % 64) & 1) != 0, fits) << i;
        }
      }
    }
  }
}

TEST(ByteMatcher, FindsWhatALookAtEveryPositionFinds) {
  test::Random random(1);
  for (unsigned round = 0; round < 300; ++round) {
    const Bytes text = FewValues(1 + random.Below(9000), 2 + random.Below(3), random.Next());
    std::vector<MaskedByte> pattern;
    for (uint64_t i = 0, size = 1 + random.Below(9); i < size; ++i) {
      const auto mask = static_cast<uint8_t>(i == 0 || random.Below(4) != 0 ? 0xff : 0x0f);
      pattern.push_back({static_cast<uint8_t>(('a' + random.Below(3)) & mask), mask});
    }
    const uint64_t alignment = uint64_t{1} << random.Below(9);
    const uint64_t address = random.Below(1 << 20);
    const PaddedText padded(address, text);
    for (const Scanner scanner : {BestScanner(), &ScanPortably}) {
      const auto matcher = MakeByteMatcher(pattern, alignment, scanner);
      ASSERT_EQ(FindAll(*matcher, padded), Naive(pattern, alignment, address, text)) << round;
    }
  }
}

TEST(ByteMatcher, PiecesOfASearchFindEachMatchOnce) {
  const Bytes text = FewValues(30000, 2, 3);
  const auto pattern = TextPattern("abba", false).value();
  const PaddedText padded(0x1234, text);
  const auto matcher = MakeByteMatcher(pattern, 1);
  std::vector<Hit> hits;
  for (uint64_t at = 0x1234; at < padded.text().end(); at += 777) {
    (void)matcher->Find(padded.text(), at, std::min(at + 777, padded.text().end()), ~size_t{0},
                        hits);
  }
  const auto wanted = Naive(pattern, 1, 0x1234, text);
  ASSERT_EQ(hits.size(), wanted.size());
  for (size_t i = 0; i < hits.size(); ++i) EXPECT_EQ(hits[i].address, wanted[i]);
}

TEST(ByteMatcher, StopsAtTheMostMatches) {
  const PaddedText padded(0, Bytes(10000, std::byte{'a'}));
  std::vector<Hit> hits;
  const auto matcher = MakeByteMatcher(TextPattern("aa", false).value(), 1);
  (void)matcher->Find(padded.text(), 0, 10000, 7, hits);
  ASSERT_EQ(hits.size(), 7U);
  EXPECT_EQ(hits.back(), (Hit{.address = 6, .length = 2}));
}

TEST(ByteMatcher, NothingBehindTheTextIsFound) {
  const PaddedText padded(0, Bytes(5, std::byte{'a'}));
  const auto matcher = MakeByteMatcher(TextPattern("aaa", false).value(), 1);
  EXPECT_EQ(FindAll(*matcher, padded), (std::vector<uint64_t>{0, 1, 2}));
  const auto longer = MakeByteMatcher(TextPattern("aaaaaa", false).value(), 1);
  EXPECT_TRUE(FindAll(*longer, padded).empty());
}

TEST(Pattern, HexWithWildcards) {
  const auto pattern = ParseHexPattern(" 48 8b??\t0?f? ").value();
  const std::vector<MaskedByte> wanted = {
      {0x48, 0xff}, {0x8b, 0xff}, {0, 0}, {0x00, 0xf0}, {0xf0, 0xf0}};
  EXPECT_EQ(pattern, wanted);
  for (const char* bad : {"", " ", "4", "48 8", "4 8", "0x48", "gg", "??", "?? ??", "48,8b"}) {
    const auto refused = ParseHexPattern(bad);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Pattern, TextOfEitherCase) {
  const PaddedText padded(0, test::ToBytes("Panic pANIC panic. p@nic \xd0"));
  EXPECT_EQ(FindAll(*MakeByteMatcher(TextPattern("pAnic", true).value(), 1), padded),
            (std::vector<uint64_t>{0, 6, 12}));
  EXPECT_EQ(FindAll(*MakeByteMatcher(TextPattern("panic", false).value(), 1), padded),
            (std::vector<uint64_t>{12}));
  EXPECT_FALSE(TextPattern("", true).ok());
  EXPECT_FALSE(TextPattern(std::string(kMaxPatternBytes + 1, 'x'), false).ok());
  EXPECT_TRUE(TextPattern(std::string(kMaxPatternBytes, 'x'), false).ok());
}

TEST(Pattern, WordsAreLittleEndianAndFit) {
  const std::vector<MaskedByte> wanted = {{0x34, 0xff}, {0x12, 0xff}};
  EXPECT_EQ(WordPattern(0x1234, 2).value(), wanted);
  EXPECT_EQ(WordPattern(~uint64_t{0}, 8).value().size(), 8U);
  EXPECT_FALSE(WordPattern(0x10000, 2).ok());
  EXPECT_FALSE(WordPattern(uint64_t{1} << 32, 4).ok());
  EXPECT_FALSE(WordPattern(1, 3).ok());
}

TEST(RegexMatcher, BytesThatAreNoText) {
  const PaddedText padded(
      0x100, Bytes{std::byte{0xff}, std::byte{0}, std::byte{0x80}, std::byte{0}, std::byte{0xff}});
  EXPECT_EQ(FindAll(*Regex(R"(\x00[\x80-\xff])"), padded), (std::vector<uint64_t>{0x101, 0x103}));
}

TEST(RegexMatcher, MatchesDoNotOverlapAndEmptyOnesAreLeftOut) {
  const PaddedText padded(0, test::ToBytes("aaaa bb aaa"), std::byte{0});
  EXPECT_EQ(FindAll(*Regex("aa"), padded), (std::vector<uint64_t>{0, 2, 8}));
  EXPECT_EQ(FindAll(*Regex(R"(\b|bb)"), padded), (std::vector<uint64_t>{}));
  EXPECT_EQ(FindAll(*Regex("A+", true), padded), (std::vector<uint64_t>{0, 8}));
  EXPECT_EQ(FindAll(*Regex("a", false, 4), padded), (std::vector<uint64_t>{0, 8}));
}

TEST(RegexMatcher, LineEndsAndWordEnds) {
  const PaddedText padded(0, test::ToBytes("one\ntwo\nonetwo\n"), std::byte{'x'});
  EXPECT_EQ(FindAll(*Regex("^two$"), padded), (std::vector<uint64_t>{4}));
  EXPECT_EQ(FindAll(*Regex(R"(two\b)"), padded), (std::vector<uint64_t>{4, 11}));
}

TEST(RegexMatcher, WhatIsNoPattern) {
  for (const char* bad :
       {"", "a)", "(a", "[z-a]", "a**b{5000}", R"(\1)", "a*", "x?", "", R"(\Qab)"}) {
    const auto refused = MakeRegexMatcher(bad, false, 1);
    if (std::string_view(bad) == R"(\Qab)") {
      EXPECT_TRUE(refused.ok());  // all the rest is literal
      continue;
    }
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
}

/// A match at each place around the window's edge, found by one call and by calls window by window.
TEST(RegexMatcher, WindowsDoNotShow) {
  const std::string word = "needle-needle";
  for (uint64_t begin = kRegexWindowBytes - 20; begin < kRegexWindowBytes + 5; ++begin) {
    Bytes text(2 * kRegexWindowBytes, std::byte{' '});
    std::ranges::transform(word, text.begin() + static_cast<ptrdiff_t>(begin),
                           [](char c) { return static_cast<std::byte>(c); });
    const PaddedText padded(0x100000, text, std::byte{' '});
    for (const char* regex : {R"(\bneedle-needle\b)", "needle(-needle)?", "[a-z-]+"}) {
      const auto matcher = Regex(regex);
      EXPECT_EQ(FindAll(*matcher, padded), (std::vector<uint64_t>{0x100000 + begin}))
          << regex << " at " << begin;
    }
  }
}

TEST(RegexMatcher, ZerosAreSkippedOnlyWhereNothingCanMatch) {
  Bytes text(4 * kRegexWindowBytes);
  text[2 * kRegexWindowBytes] = std::byte{'x'};
  const PaddedText padded(0, text, std::byte{0});
  EXPECT_EQ(FindAll(*Regex("x"), padded), (std::vector<uint64_t>{2 * kRegexWindowBytes}));
  EXPECT_EQ(FindAll(*Regex(R"(\x00{3}x)"), padded),
            (std::vector<uint64_t>{2 * kRegexWindowBytes - 3}));
  EXPECT_EQ(FindAll(*Regex(R"(x\x00)"), padded), (std::vector<uint64_t>{2 * kRegexWindowBytes}));
  EXPECT_EQ(FindAll(*Regex(R"(\x00{1000})"), padded).size(),
            2 * kRegexWindowBytes / 1000 + (2 * kRegexWindowBytes - 1) / 1000);
}

/// Backtracking would take for ever.
TEST(RegexMatcher, HostileTextTakesLinearTime) {
  const PaddedText padded(0, Bytes(1 << 20, std::byte{'a'}));
  EXPECT_TRUE(FindAll(*Regex("(a*)*b"), padded).empty());
  EXPECT_TRUE(FindAll(*Regex("(a|aa)+$b"), padded).empty());
}

TEST(RegexMatcher, ALongMatchIsCutAndTheSearchGoesOnBehindIt) {
  const PaddedText padded(0, Bytes(3 * kRegexWindowBytes, std::byte{'a'}));
  std::vector<Hit> hits;
  (void)Regex("a+")->Find(padded.text(), 0, padded.text().end(), ~size_t{0}, hits);
  uint64_t end = 0;
  for (const Hit& hit : hits) {
    EXPECT_EQ(hit.address, end);
    end = hit.address + hit.length;
  }
  EXPECT_EQ(end, padded.text().end());
}

}  // namespace
}  // namespace kcoredump
