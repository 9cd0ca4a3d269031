// SPDX-License-Identifier: MIT
//
// Patterns of a search, made ready to be looked for.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "inspect/search/search_scan.h"
#include "kcoredump/search.h"

namespace kcoredump {

/// A match in memory.
struct Hit {
  uint64_t address = 0;
  uint64_t length = 0;
  bool operator==(const Hit&) const = default;
};

/// Contiguous memory as a matcher sees it. kTextSlack bytes behind it can be read, whatever they
/// hold.
struct SearchText {
  uint64_t address = 0;  ///< of the first byte
  std::span<const std::byte> bytes;

  [[nodiscard]] uint64_t end() const { return address + bytes.size(); }
};
inline constexpr size_t kTextSlack = kScanBytes + kMaxPatternBytes;

/// [at, the next multiple of `step`), but not past `end`. `at` lies before `end`.
[[nodiscard]] constexpr uint64_t NextBoundary(uint64_t at, uint64_t step, uint64_t end) {
  const uint64_t left = step - (at & (step - 1));
  return end - at > left ? at + left : end;
}

/// For one thread.
class Matcher {
 public:
  virtual ~Matcher() = default;

  /// So many bytes behind the place where matches may begin must be in the text, or it must end
  /// there for good. Whole pages.
  [[nodiscard]] virtual uint64_t lookahead() const = 0;
  /// So many bytes earlier a search must begin to know where a match ends that reaches in.
  [[nodiscard]] virtual uint64_t lookbehind() const { return 0; }

  /// Appends the matches that begin in [from, to) of the text, in order, until `hits` has `max`.
  /// Returns where to go on: `to`, or the end of a match that reaches beyond it.
  [[nodiscard]] virtual uint64_t Find(const SearchText& text, uint64_t from, uint64_t to,
                                      size_t max, std::vector<Hit>& hits) = 0;
};

/// kInvalidArgument says what is wrong with the pattern.
[[nodiscard]] Result<std::vector<MaskedByte>> ParseHexPattern(std::string_view text);
[[nodiscard]] Result<std::vector<MaskedByte>> TextPattern(std::string_view text, bool ignore_case);
[[nodiscard]] Result<std::vector<MaskedByte>> WordPattern(uint64_t value, unsigned word_bytes);

/// Every position of `alignment`, a power of two, where `pattern` matches.
[[nodiscard]] std::unique_ptr<Matcher> MakeByteMatcher(std::vector<MaskedByte> pattern,
                                                       uint64_t alignment,
                                                       Scanner scanner = BestScanner());

/// kInvalidArgument: not a regular expression, or one that matches the empty text.
[[nodiscard]] Result<std::unique_ptr<Matcher>> MakeRegexMatcher(std::string_view regex,
                                                                bool ignore_case,
                                                                uint64_t alignment);

/// Regular expressions see memory in windows of this size, at multiples of it, and so much more
/// behind each: what they find does not depend on who reads how much at a time.
inline constexpr uint64_t kRegexWindowBytes = 64 << 10;
inline constexpr uint64_t kRegexMatchBytes = 4096;

}  // namespace kcoredump
