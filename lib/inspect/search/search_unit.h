// SPDX-License-Identifier: MIT
//
// One thread's part of a search: it reads a stretch of memory in steps and finds what begins there.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/range.h"
#include "inspect/search/search_pattern.h"
#include "source/locked_buffer.h"

namespace kcoredump {

/// Memory that is to be searched as one: a match may lie anywhere in it.
struct SearchRegion {
  Target::Space space = Target::Space::kPhysical;
  Range range;
};

/// What one thread searches before it takes the next; at multiples of it.
inline constexpr uint64_t kSearchUnitBytes = 4 << 20;
/// Of one read: more would not stay in a core's own cache until it is searched.
inline constexpr uint64_t kSearchStepBytes = 256 << 10;
static_assert(kSearchUnitBytes % kSearchStepBytes == 0 &&
              kSearchStepBytes % kRegexWindowBytes == 0);

/// What cannot be read, and whether for want of a mapping.
struct MissingRange {
  Range range;
  bool unmapped = false;
};

/// Where a search reads. For one thread.
class PieceReader {
 public:
  virtual ~PieceReader() = default;
  /// Fills `out` but for what it adds to `missing`, in address order.
  [[nodiscard]] virtual Status Read(uint64_t address, std::span<std::byte> out,
                                    std::vector<MissingRange>& missing) = 0;
};

/// A match as the thread that found it saw it.
struct FoundMatch {
  Hit hit;
  std::vector<std::byte> bytes;  ///< as SearchMatch::bytes
};

struct UnitResult {
  uint64_t index = 0;  ///< of the unit
  SearchRegion region;
  std::vector<FoundMatch> found;
  uint64_t unit_bytes = 0;
  uint64_t searched_bytes = 0;
  uint64_t hole_bytes = 0;
  uint64_t unmapped_bytes = 0;
};

/// For one thread.
class UnitSearcher {
 public:
  /// `cancel` may be null.
  [[nodiscard]] static Result<UnitSearcher> Create(std::unique_ptr<Matcher> matcher,
                                                   std::unique_ptr<PieceReader> reader,
                                                   const std::atomic<bool>* cancel);

  /// Matches that begin in `unit`, which is part of the region, at most `max`; with `result` filled
  /// but for its index.
  [[nodiscard]] Status Search(const SearchRegion& region, const Range& unit, uint64_t max,
                              UnitResult& result);

 private:
  UnitSearcher(std::unique_ptr<Matcher> matcher, std::unique_ptr<PieceReader> reader,
               const std::atomic<bool>* cancel, LockedBuffer buffer, uint64_t head_bytes);
  [[nodiscard]] Status Step(const Range& unit, uint64_t max, UnitResult& result);
  void CountMissing(const Range& unit, UnitResult& result) const;
  void FindIn(const Range& text, uint64_t to, const Range& unit, uint64_t max, UnitResult& result);
  [[nodiscard]] std::byte* At(uint64_t address);

  std::unique_ptr<Matcher> matcher_;
  std::unique_ptr<PieceReader> reader_;
  const std::atomic<bool>* cancel_;
  LockedBuffer buffer_;
  uint64_t head_bytes_;  ///< room for what is kept of the step before; the next is read behind it
  std::vector<MissingRange> missing_;
  std::vector<Hit> hits_;

  uint64_t limit_ = 0;       ///< of what is read for this unit
  uint64_t read_from_ = 0;   ///< the address of the byte at head_bytes_
  uint64_t read_to_ = 0;     ///< what was read so far
  uint64_t text_begin_ = 0;  ///< no hole between here and read_to_; what is kept begins here
  uint64_t from_ = 0;        ///< where the next match may begin
};

}  // namespace kcoredump
