// SPDX-License-Identifier: MIT
//
// Regular expressions, by RE2: linear in the text whatever stands there. The only file that sees
// it.
#include <re2/re2.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/zero.h"
#include "inspect/search/search_pattern.h"

namespace kcoredump {

namespace {

/// Of automata, a thread.
constexpr int64_t kMaxAutomatonBytes = 32 << 20;

class RegexMatcher : public Matcher {
 public:
  RegexMatcher(const std::string& regex, const RE2::Options& options, uint64_t alignment)
      : regex_(regex, options), alignment_(alignment) {
    const std::string zeros(kRegexWindowBytes + 2 * kRegexMatchBytes, '\0');
    finds_zeros_ = regex_.ok() && RE2::PartialMatch(zeros, regex_);
  }

  [[nodiscard]] const RE2& regex() const { return regex_; }

  /// A page more than matches take, so that what follows a match is there for $ and \b to see.
  uint64_t lookahead() const override { return 2 * kRegexMatchBytes; }
  uint64_t lookbehind() const override { return kRegexWindowBytes; }

  uint64_t Find(const SearchText& text, uint64_t from, uint64_t to, size_t max,
                std::vector<Hit>& hits) override {
    while (from < to && hits.size() < max) {
      const uint64_t window_end = NextBoundary(from, kRegexWindowBytes, to);
      from = FindInWindow(text, from, window_end, max, hits);
    }
    return from;
  }

 private:
  uint64_t FindInWindow(const SearchText& text, uint64_t from, uint64_t to, size_t max,
                        std::vector<Hit>& hits) {
    const uint64_t end = to + std::min(text.end() - to, kRegexMatchBytes);
    if (!finds_zeros_ && AllZeros(text, from, end)) return to;
    const std::string_view view = AsText(text.bytes);
    const re2::StringPiece all(view.data(), view.size());
    while (from < to && hits.size() < max) {
      re2::StringPiece found;
      if (!regex_.Match(all, from - text.address, end - text.address, RE2::UNANCHORED, &found, 1)) {
        return to;
      }
      const uint64_t at = text.address + static_cast<uint64_t>(found.data() - all.data());
      if (at >= to) return to;
      if (found.empty() || (at & (alignment_ - 1)) != 0) {
        from = at + 1;
        continue;
      }
      hits.push_back({.address = at, .length = found.size()});
      from = at + found.size();
    }
    return from;
  }

  /// With the byte before, which ^ and \b see.
  [[nodiscard]] static bool AllZeros(const SearchText& text, uint64_t from, uint64_t end) {
    const uint64_t begin = from > text.address ? from - 1 : from;
    return IsZero(text.bytes.subspan(begin - text.address, end - begin));
  }

  RE2 regex_;
  uint64_t alignment_;
  bool finds_zeros_ = true;
};

}  // namespace

Result<std::unique_ptr<Matcher>> MakeRegexMatcher(std::string_view regex, bool ignore_case,
                                                  uint64_t alignment) {
  if (regex.empty() || regex.size() > kMaxPatternBytes) {
    return MakeError(ErrorCode::kInvalidArgument, "a regular expression has 1 to " +
                                                      std::to_string(kMaxPatternBytes) + " bytes");
  }
  RE2::Options options(RE2::Latin1);
  options.set_log_errors(false);
  options.set_case_sensitive(!ignore_case);
  options.set_max_mem(kMaxAutomatonBytes);
  auto matcher = std::make_unique<RegexMatcher>("(?m)" + std::string(regex), options, alignment);
  if (!matcher->regex().ok()) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        "\"" + std::string(regex) + "\" is not a regular expression: " + matcher->regex().error());
  }
  if (RE2::PartialMatch("", matcher->regex())) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "\"" + std::string(regex) + "\" matches the empty text, which is everywhere");
  }
  return std::unique_ptr<Matcher>(std::move(matcher));
}

}  // namespace kcoredump
