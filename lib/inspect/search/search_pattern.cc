// SPDX-License-Identifier: MIT
#include "inspect/search/search_pattern.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"

namespace kcoredump {

namespace {

/// The commonest bytes of non-zero pages of Linux guests (5.10 to 6.12), the commonest first, by
/// counting: a position that holds one of them is a bad one to look at first.
constexpr std::array<uint8_t, 32> kCommonBytes = {
    0x00, 0xff, 0xcc, 0x66, 0x5f, 0x65, 0x01, 0x74, 0x48, 0x20, 0x61, 0x0f, 0x72, 0x63, 0x73, 0x02,
    0x70, 0x69, 0x64, 0x6f, 0x89, 0x6e, 0x41, 0x04, 0x8b, 0x30, 0x08, 0x6c, 0x75, 0xc0, 0xfe, 0x31};

/// How much of memory fits, by a rough scale.
uint64_t Commonness(MaskedByte byte) {
  uint64_t sum = 256;
  if (byte.mask == 0) return ~uint64_t{0};
  sum >>= std::popcount(byte.mask);
  for (size_t rank = 0; rank < kCommonBytes.size(); ++rank) {
    if (byte.Fits(kCommonBytes[rank])) sum += 4 * (kCommonBytes.size() - rank);
  }
  return sum;
}

class ByteMatcher : public Matcher {
 public:
  ByteMatcher(std::vector<MaskedByte> pattern, uint64_t alignment, Scanner scanner)
      : pattern_(std::move(pattern)), alignment_(alignment), scanner_(scanner) {
    ChooseAnchors();
    for (const MaskedByte byte : pattern_) {
      if (byte.mask == 0xff) exact_.push_back(static_cast<std::byte>(byte.value));
    }
  }

  uint64_t lookahead() const override {
    return AlignUp(std::max(pattern_.size(), kPreviewBytes), 4096);
  }

  uint64_t Find(const SearchText& text, uint64_t from, uint64_t to, size_t max,
                std::vector<Hit>& hits) override {
    if (text.bytes.size() < pattern_.size()) return to;
    const uint64_t end = std::min(to, text.end() - pattern_.size() + 1);
    ScanMasks masks;
    while (from < end && hits.size() < max) {
      const std::byte* at = text.bytes.data() + (from - text.address);
      const size_t positions = std::min<uint64_t>(end - from, kScanBytes);
      if (scanner_(at + first_, pattern_[first_], at + second_, pattern_[second_], masks) != 0) {
        Verify(at, from, positions, masks, max, hits);
      }
      from += positions;
    }
    return to;
  }

 private:
  /// The two rarest bytes, of different value where there are such.
  void ChooseAnchors() {
    for (size_t i = 0; i < pattern_.size(); ++i) {
      if (Commonness(pattern_[i]) < Commonness(pattern_[first_])) first_ = i;
    }
    second_ = first_;
    const auto cost = [&](size_t i) {
      if (i == first_) return ~uint64_t{0};
      const uint64_t penalty = pattern_[i] == pattern_[first_] ? 1024 : 0;
      return pattern_[i].mask == 0 ? ~uint64_t{0} : Commonness(pattern_[i]) + penalty;
    };
    for (size_t i = 0; i < pattern_.size(); ++i) {
      if (cost(i) < cost(second_)) second_ = i;
    }
  }

  [[nodiscard]] bool Fits(const std::byte* at) const {
    if (exact_.size() == pattern_.size()) {
      return std::memcmp(at, exact_.data(), exact_.size()) == 0;
    }
    for (size_t i = 0; i < pattern_.size(); ++i) {
      if (!pattern_[i].Fits(static_cast<uint8_t>(at[i]))) return false;
    }
    return true;
  }

  /// Bit n: `address` + n is a multiple of the alignment, as far as 64 positions can tell.
  [[nodiscard]] uint64_t AlignedBits(uint64_t address) const {
    const uint64_t step = std::min<uint64_t>(alignment_, 64);
    uint64_t bits = 0;
    for (uint64_t i = -address & (step - 1); i < 64; i += step) bits |= uint64_t{1} << i;
    return bits;
  }

  void Verify(const std::byte* at, uint64_t address, size_t positions, const ScanMasks& masks,
              size_t max, std::vector<Hit>& hits) const {
    const uint64_t aligned = AlignedBits(address);
    for (size_t word = 0; word * 64 < positions; ++word) {
      for (uint64_t bits = masks[word] & aligned; bits != 0; bits &= bits - 1) {
        const size_t i = word * 64 + static_cast<size_t>(std::countr_zero(bits));
        if (i >= positions || hits.size() >= max) return;
        if (((address + i) & (alignment_ - 1)) != 0 || !Fits(at + i)) continue;
        hits.push_back({.address = address + i, .length = pattern_.size()});
      }
    }
  }

  std::vector<MaskedByte> pattern_;
  std::vector<std::byte> exact_;  ///< as long as the pattern where that has no wildcards
  uint64_t alignment_;
  Scanner scanner_;
  size_t first_ = 0;
  size_t second_ = 0;
};

Result<std::vector<MaskedByte>> Checked(std::vector<MaskedByte> pattern) {
  if (pattern.empty()) {
    return MakeError(ErrorCode::kInvalidArgument, "an empty pattern is everywhere");
  }
  if (pattern.size() > kMaxPatternBytes) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the pattern is longer than " + std::to_string(kMaxPatternBytes) + " bytes");
  }
  const auto constrains = [](MaskedByte byte) { return byte.mask != 0; };
  if (std::none_of(pattern.begin(), pattern.end(), constrains)) {
    return MakeError(ErrorCode::kInvalidArgument, "a pattern of nothing but ?? is everywhere");
  }
  return pattern;
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Value and mask of a digit in the low four bits; nothing: not one.
std::optional<MaskedByte> ParseDigit(char c) {
  if (c == '?') return MaskedByte{};
  if (c >= '0' && c <= '9') return MaskedByte{static_cast<uint8_t>(c - '0'), 0xf};
  if (c >= 'a' && c <= 'f') return MaskedByte{static_cast<uint8_t>(c - 'a' + 10), 0xf};
  if (c >= 'A' && c <= 'F') return MaskedByte{static_cast<uint8_t>(c - 'A' + 10), 0xf};
  return std::nullopt;
}

}  // namespace

Result<std::vector<MaskedByte>> ParseHexPattern(std::string_view text) {
  std::vector<MaskedByte> pattern;
  bool high = true;
  for (const char c : text) {
    if (IsSpace(c) && high) continue;
    const auto digit = ParseDigit(c);
    if (!digit) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "\"" + std::string(text) + "\" is not bytes: write 48 8b ?? 05");
    }
    if (high) {
      pattern.push_back(
          {static_cast<uint8_t>(digit->value << 4), static_cast<uint8_t>(digit->mask << 4)});
    } else {
      pattern.back().value = static_cast<uint8_t>(pattern.back().value | digit->value);
      pattern.back().mask = static_cast<uint8_t>(pattern.back().mask | digit->mask);
    }
    high = !high;
  }
  if (!high) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "\"" + std::string(text) + "\": a byte has two digits, and one has not");
  }
  return Checked(std::move(pattern));
}

Result<std::vector<MaskedByte>> TextPattern(std::string_view text, bool ignore_case) {
  constexpr uint8_t kAnyCase = 0xdf;
  std::vector<MaskedByte> pattern;
  for (const char c : text) {
    const uint8_t mask = ignore_case && IsLetter(c) ? kAnyCase : 0xff;
    pattern.push_back({static_cast<uint8_t>(static_cast<uint8_t>(c) & mask), mask});
  }
  return Checked(std::move(pattern));
}

Result<std::vector<MaskedByte>> WordPattern(uint64_t value, unsigned word_bytes) {
  if (word_bytes != 1 && word_bytes != 2 && word_bytes != 4 && word_bytes != 8) {
    return MakeError(ErrorCode::kInvalidArgument, "a word has 1, 2, 4 or 8 bytes");
  }
  if (word_bytes < 8 && value >> (8 * word_bytes) != 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the value does not fit a word of " + std::to_string(word_bytes) + " bytes");
  }
  std::vector<MaskedByte> pattern;
  for (unsigned i = 0; i < word_bytes; ++i) {
    pattern.push_back({static_cast<uint8_t>(value >> (8 * i)), 0xff});
  }
  return pattern;
}

std::unique_ptr<Matcher> MakeByteMatcher(std::vector<MaskedByte> pattern, uint64_t alignment,
                                         Scanner scanner) {
  return std::make_unique<ByteMatcher>(std::move(pattern), alignment, scanner);
}

}  // namespace kcoredump
