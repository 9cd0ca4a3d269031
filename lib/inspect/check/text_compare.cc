// SPDX-License-Identifier: MIT
#include "inspect/check/text_compare.h"

#include <algorithm>
#include <cstring>

namespace kcoredump {

namespace {

/// What is compared at a time; a page of it that cannot be read costs that page.
constexpr uint64_t kPieceBytes = 1 << 20;
/// Equal bytes between two that differ that do not end a run.
constexpr uint64_t kGapBytes = 8;
constexpr uint64_t kRelocatedBytes = 4;
/// All per-CPU variables that are linked in; Debian's have 256 KiB.
constexpr uint64_t kMaxPerCpuBytes = 4 << 20;

/// Both sides of a piece, and before and behind it what relocations that begin or end outside need.
struct Piece {
  uint64_t begin = 0;
  std::vector<std::byte> is;
  std::vector<std::byte> was;
};

uint32_t WordIn(const std::vector<std::byte>& bytes, size_t at) {
  uint32_t word = 0;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}

bool AreLockPrefixes(std::byte one, std::byte other) {
  constexpr std::byte kLock{0xf0};
  constexpr std::byte kDs{0x3e};
  return (one == kLock && other == kDs) || (one == kDs && other == kLock);
}

class Comparer {
 public:
  Comparer(MemoryView& memory, const TextReference& reference, size_t max_differences,
           const std::function<bool(uint64_t)>& is_patched)
      : memory_(memory),
        reference_(reference),
        max_differences_(max_differences),
        is_patched_(is_patched) {}

  void Compare(const Range& range);
  [[nodiscard]] TextComparison Take() { return std::move(out_); }

 private:
  [[nodiscard]] Status Load(const Range& range, Piece& piece);
  void ComparePiece(const Range& range, const Range& around);
  void Scan(const Piece& piece, const Range& range);
  [[nodiscard]] bool IsRelocated(const Piece& piece, size_t at) const;
  void Add(const Piece& piece, size_t at);

  MemoryView& memory_;
  const TextReference& reference_;
  size_t max_differences_;
  const std::function<bool(uint64_t)>& is_patched_;
  TextComparison out_;
};

Status Comparer::Load(const Range& range, Piece& piece) {
  piece.begin = range.begin;
  piece.is.resize(range.size());
  piece.was.resize(range.size());
  KCD_TRY(memory_.Read(range.begin, piece.is));
  return reference_.read(range.begin, piece.was);
}

/// A word that is further by the slide and leads into the image (R_X86_64_32, 32S, and the low half
/// of a 64), or nearer by it and leads to a per-CPU variable (PC32 of those; kernel:
/// arch/x86/tools/relocs.c).
bool Comparer::IsRelocated(const Piece& piece, size_t at) const {
  const auto slide = static_cast<uint32_t>(reference_.slide);
  if (slide == 0) return false;
  const size_t first = at < kRelocatedBytes - 1 ? 0 : at - (kRelocatedBytes - 1);
  for (size_t word = first; word <= at && word + kRelocatedBytes <= piece.is.size(); ++word) {
    const uint32_t is = WordIn(piece.is, word);
    const uint32_t was = WordIn(piece.was, word);
    const auto extended = static_cast<uint64_t>(int64_t{static_cast<int32_t>(is)});
    const auto contains = [&](const Range& range) { return range.Contains(extended); };
    if (is - was == slide &&
        std::any_of(reference_.targets.begin(), reference_.targets.end(), contains)) {
      return true;
    }
    const uint64_t from_here = piece.begin + word + kRelocatedBytes + extended;
    if (was - is == slide && from_here < kMaxPerCpuBytes) return true;
  }
  return false;
}

void Comparer::Add(const Piece& piece, size_t at) {
  const uint64_t address = piece.begin + at;
  if (!out_.differences.empty()) {
    TextDifference& last = out_.differences.back();
    const uint64_t end = last.address + last.is.size();
    if (address >= end && address - end <= kGapBytes && address - end <= at) {
      for (size_t i = at - (address - end); i <= at; ++i) {
        last.was.push_back(piece.was[i]);
        last.is.push_back(piece.is[i]);
      }
      return;
    }
  }
  if (out_.differences.size() >= max_differences_) {
    out_.cut = true;
    return;
  }
  out_.differences.push_back({.address = address, .was = {piece.was[at]}, .is = {piece.is[at]}});
}

void Comparer::Scan(const Piece& piece, const Range& range) {
  constexpr size_t kStep = 64;
  const size_t end = range.end - piece.begin;
  for (size_t at = range.begin - piece.begin; at < end;) {
    const size_t step = std::min(kStep, end - at);
    if (std::memcmp(piece.is.data() + at, piece.was.data() + at, step) == 0) {
      at += step;
      continue;
    }
    for (const size_t stop = at + step; at < stop; ++at) {
      if (piece.is[at] == piece.was[at] || IsRelocated(piece, at)) continue;
      if (reference_.lock_prefixes_equal && AreLockPrefixes(piece.is[at], piece.was[at])) continue;
      if (!is_patched_(piece.begin + at)) Add(piece, at);
    }
  }
}

void Comparer::ComparePiece(const Range& range, const Range& around) {
  Piece piece;
  Status loaded = Load(around, piece);
  if (loaded.ok()) {
    out_.bytes += range.size();
    return Scan(piece, range);
  }
  if (range.size() <= kSmallestPageBytes) {
    if (around.size() > range.size()) return ComparePiece(range, range);
    out_.unread_bytes += range.size();
    if (out_.unread_reason.empty()) out_.unread_reason = loaded.error().message;
    return;
  }
  for (uint64_t at = range.begin; at < range.end;) {
    const uint64_t next = std::min(range.end, (at / kSmallestPageBytes + 1) * kSmallestPageBytes);
    ComparePiece({at, next}, {at, next});
    at = next;
  }
}

void Comparer::Compare(const Range& range) {
  for (uint64_t at = range.begin; at < range.end;) {
    const uint64_t next = std::min(range.end, (at / kPieceBytes + 1) * kPieceBytes);
    ComparePiece({at, next}, {std::max(range.begin, at - std::min(at, kRelocatedBytes)),
                              std::min(range.end, next + kRelocatedBytes)});
    at = next;
  }
}

}  // namespace

TextComparison CompareText(MemoryView& memory, const Range& range, const TextReference& reference,
                           size_t max_differences,
                           const std::function<bool(uint64_t address)>& is_patched) {
  if (range.size() > kMaxComparedBytes) {
    return {.unread_bytes = range.size(), .unread_reason = "more text than any kernel has"};
  }
  Comparer comparer(memory, reference, max_differences, is_patched);
  comparer.Compare(range);
  return comparer.Take();
}

}  // namespace kcoredump
