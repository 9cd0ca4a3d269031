// SPDX-License-Identifier: MIT
#include "inspect/search/search_unit.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/try.h"

namespace kcoredump {

Result<UnitSearcher> UnitSearcher::Create(std::unique_ptr<Matcher> matcher,
                                          std::unique_ptr<PieceReader> reader,
                                          const std::atomic<bool>* cancel) {
  // The first read of a unit is longer by what lies behind and before it; one byte more is kept,
  // for \b to see.
  const uint64_t head_bytes = AlignUp(matcher->lookahead() + 1, 4096);
  const uint64_t read_bytes = kSearchStepBytes + matcher->lookbehind() + matcher->lookahead();
  KCD_ASSIGN(LockedBuffer buffer, LockedBuffer::Create(head_bytes + read_bytes + kTextSlack));
  return UnitSearcher(std::move(matcher), std::move(reader), cancel, std::move(buffer), head_bytes);
}

UnitSearcher::UnitSearcher(std::unique_ptr<Matcher> matcher, std::unique_ptr<PieceReader> reader,
                           const std::atomic<bool>* cancel, LockedBuffer buffer,
                           uint64_t head_bytes)
    : matcher_(std::move(matcher)),
      reader_(std::move(reader)),
      cancel_(cancel),
      buffer_(std::move(buffer)),
      head_bytes_(head_bytes) {}

std::byte* UnitSearcher::At(uint64_t address) {
  return buffer_.bytes().data() + (head_bytes_ + address - read_from_);
}

Status UnitSearcher::Search(const SearchRegion& region, const Range& unit, uint64_t max,
                            UnitResult& result) {
  result.region = region;
  limit_ = unit.end + std::min(region.range.end - unit.end, matcher_->lookahead());
  from_ = unit.begin - std::min(unit.begin - region.range.begin, matcher_->lookbehind());
  read_from_ = read_to_ = text_begin_ = from_;
  while (from_ < unit.end && result.found.size() < max) {
    if (cancel_ != nullptr && cancel_->load(std::memory_order_relaxed)) break;
    KCD_TRY(Step(unit, max, result));
  }
  if (from_ >= unit.end) result.unit_bytes = unit.size();
  const uint64_t missing = result.hole_bytes + result.unmapped_bytes;
  result.searched_bytes = result.unit_bytes - std::min(result.unit_bytes, missing);
  return {};
}

/// Reads what the next step needs, behind what is kept of the last one, and searches it piece by
/// piece: a hole ends one and begins another.
Status UnitSearcher::Step(const Range& unit, uint64_t max, UnitResult& result) {
  const uint64_t goal = NextBoundary(from_, kSearchStepBytes, unit.end);
  const uint64_t read_end = goal + std::min(limit_ - goal, matcher_->lookahead());
  const std::span<const std::byte> kept(At(text_begin_), read_to_ - text_begin_);
  std::memmove(buffer_.bytes().data() + head_bytes_ - kept.size(), kept.data(), kept.size());
  read_from_ = read_to_;
  read_to_ = std::max(read_to_, read_end);
  missing_.clear();
  KCD_TRY(reader_->Read(read_from_, {At(read_from_), read_to_ - read_from_}, missing_));
  CountMissing(unit, result);
  for (const MissingRange& missing : missing_) {
    const uint64_t hole = missing.range.begin;
    if (hole > text_begin_) FindIn({text_begin_, hole}, hole, unit, max, result);
    text_begin_ = from_ = missing.range.end;
  }
  if (text_begin_ < read_to_) FindIn({text_begin_, read_to_}, goal, unit, max, result);
  const uint64_t looked_at = std::min({from_, goal, read_to_});
  text_begin_ = std::max(text_begin_, looked_at - std::min<uint64_t>(looked_at, 1));
  const uint64_t unit_done = std::clamp(goal, unit.begin, unit.end) - unit.begin;
  result.unit_bytes = std::max(result.unit_bytes, unit_done);
  return {};
}

void UnitSearcher::CountMissing(const Range& unit, UnitResult& result) const {
  for (const MissingRange& missing : missing_) {
    const Range inside{std::max(missing.range.begin, unit.begin),
                       std::min(missing.range.end, unit.end)};
    (missing.unmapped ? result.unmapped_bytes : result.hole_bytes) += inside.size();
  }
}

/// Matches that begin in [from_, to) of `text`. Those before the unit are the one before's, and
/// only tell where the first of this one may begin.
void UnitSearcher::FindIn(const Range& text, uint64_t to, const Range& unit, uint64_t max,
                          UnitResult& result) {
  const SearchText view{.address = text.begin, .bytes = {At(text.begin), text.size()}};
  from_ = std::max(from_, text.begin);
  to = std::min(to, unit.end);
  hits_.clear();
  if (from_ < std::min(to, unit.begin)) {
    from_ = matcher_->Find(view, from_, std::min(to, unit.begin), ~size_t{0}, hits_);
    hits_.clear();
  }
  if (from_ < to) from_ = matcher_->Find(view, from_, to, max - result.found.size(), hits_);
  for (const Hit& hit : hits_) {
    const uint64_t wanted = std::clamp<uint64_t>(hit.length, kPreviewBytes, kKeptMatchBytes);
    const uint64_t kept = std::min(wanted, view.end() - hit.address);
    const std::byte* at = At(hit.address);
    result.found.push_back({.hit = hit, .bytes = {at, at + kept}});
  }
}

}  // namespace kcoredump
