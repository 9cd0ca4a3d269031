// SPDX-License-Identifier: MIT
#include "format/kdump/bitmap.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "format/codec.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint64_t kStepBytes = 1 << 20;
static_assert(kStepBytes % PageBitmap::kBlockBytes == 0);
constexpr uint64_t kWordBits = 64;

/// `bits` bits at `offset` as words; what the last word has beyond them is 0.
Status ReadWords(const InputFile& file, uint64_t offset, uint64_t bits,
                 std::vector<uint64_t>& words) {
  words.assign((bits + kWordBits - 1) / kWordBits, 0);
  KCD_TRY(file.ReadExactly(offset, std::as_writable_bytes(std::span(words)).first((bits + 7) / 8)));
  if (bits % kWordBits != 0) words.back() &= (uint64_t{1} << (bits % kWordBits)) - 1;
  return {};
}

}  // namespace

Status BitmapCursor::Load(uint64_t block) {
  if (block == block_) return {};
  block_ = ~uint64_t{0};
  const uint64_t first = block * PageBitmap::kBlockBits;
  KCD_TRY(ReadWords(bitmap_->file_, bitmap_->offset_ + block * PageBitmap::kBlockBytes,
                    std::min(PageBitmap::kBlockBits, bitmap_->bits_ - first), words_));
  block_ = block;
  return {};
}

Result<bool> BitmapCursor::Test(uint64_t page) {
  if (page >= bitmap_->bits_) return false;
  KCD_TRY(Load(page / PageBitmap::kBlockBits));
  const uint64_t inside = page % PageBitmap::kBlockBits;
  return (words_[inside / kWordBits] >> (inside % kWordBits) & 1) != 0;
}

Result<uint64_t> BitmapCursor::Rank(uint64_t page) {
  if (page >= bitmap_->bits_) return bitmap_->set_bits_;
  const uint64_t block = page / PageBitmap::kBlockBits;
  KCD_TRY(Load(block));
  const uint64_t inside = page % PageBitmap::kBlockBits;
  uint64_t rank = bitmap_->before_[block];
  for (uint64_t word = 0; word < inside / kWordBits; ++word) {
    rank += static_cast<uint64_t>(std::popcount(words_[word]));
  }
  if (inside % kWordBits != 0) {
    const uint64_t below = (uint64_t{1} << (inside % kWordBits)) - 1;
    rank += static_cast<uint64_t>(std::popcount(words_[inside / kWordBits] & below));
  }
  return rank;
}

Result<uint64_t> BitmapCursor::Select(uint64_t rank) {
  if (rank >= bitmap_->set_bits_) return bitmap_->bits_;
  const std::vector<uint64_t>& before = bitmap_->before_;
  const auto after = std::upper_bound(before.begin(), before.end(), rank);
  const auto block = static_cast<uint64_t>(after - before.begin()) - 1;
  KCD_TRY(Load(block));
  rank -= before[block];
  for (uint64_t i = 0; i < words_.size(); ++i) {
    uint64_t word = words_[i];
    const auto set = static_cast<uint64_t>(std::popcount(word));
    if (rank >= set) {
      rank -= set;
      continue;
    }
    for (; rank > 0; --rank) word &= word - 1;
    return block * PageBitmap::kBlockBits + i * kWordBits +
           static_cast<uint64_t>(std::countr_zero(word));
  }
  return bitmap_->bits_;  // the file changed meanwhile
}

/// Both bitmaps from start to end, word by word.
class BitmapScanner {
 public:
  BitmapScanner(const InputFile& file, const KdumpLayout& layout) : file_(file), layout_(layout) {
    scan_.dumped = PageBitmap(file, layout.dumped_bitmap, layout.max_pfn);
  }

  Result<BitmapScan> Run() {
    for (uint64_t page = 0; page < layout_.max_pfn; page += kStepBytes * 8) {
      const uint64_t bits = std::min(kStepBytes * 8, layout_.max_pfn - page);
      KCD_TRY(ReadWords(file_, layout_.memory_bitmap + page / 8, bits, memory_));
      KCD_TRY(ReadWords(file_, layout_.dumped_bitmap + page / 8, bits, dumped_));
      for (size_t i = 0; i < dumped_.size(); ++i) KCD_TRY(AddWord(page + i * kWordBits, i));
    }
    if (begin_) scan_.memory.push_back({*begin_, layout_.max_pfn});
    for (const Range& range : scan_.memory) scan_.memory_pages += range.size();
    return std::move(scan_);
  }

 private:
  Status AddWord(uint64_t page, size_t index) {
    PageBitmap& dumped = scan_.dumped;
    if (page % PageBitmap::kBlockBits == 0) dumped.before_.push_back(dumped.set_bits_);
    dumped.set_bits_ += static_cast<uint64_t>(std::popcount(dumped_[index]));
    return AddMemory(page, memory_[index] | dumped_[index]);
  }

  /// Goes from one end of a range to the next within `word`.
  Status AddMemory(uint64_t page, uint64_t word) {
    for (uint64_t bit = 0; bit < kWordBits;) {
      const uint64_t rest = word >> bit;
      const int same = begin_ ? std::countr_one(rest) : std::countr_zero(rest);
      bit += static_cast<uint64_t>(same);
      if (bit >= kWordBits) break;  // the same to the end of the word, and perhaps beyond
      if (!begin_) {
        begin_ = page + bit;
        continue;
      }
      if (scan_.memory.size() == kMaxKdumpRanges) {
        return MakeError(ErrorCode::kLimitExceeded,
                         "more than " + Grouped(kMaxKdumpRanges) + " separate ranges of memory");
      }
      scan_.memory.push_back({*begin_, page + bit});
      begin_.reset();
    }
    return {};
  }

  const InputFile& file_;
  const KdumpLayout& layout_;
  BitmapScan scan_;
  std::vector<uint64_t> memory_;
  std::vector<uint64_t> dumped_;
  std::optional<uint64_t> begin_;  ///< of the range that is open
};

Result<BitmapScan> ScanBitmaps(const InputFile& file, const KdumpLayout& layout) {
  auto scan = BitmapScanner(file, layout).Run();
  if (!scan.ok()) return std::move(scan.error()).WithContext("the page bitmaps");
  return scan;
}

Result<uint64_t> HashBitmaps(const InputFile& file, const KdumpLayout& layout) {
  StreamHash64 hash;
  std::vector<std::byte> step;
  for (const uint64_t bitmap : {layout.memory_bitmap, layout.dumped_bitmap}) {
    for (uint64_t done = 0; done < layout.bitmap_bytes(); done += step.size()) {
      step.resize(std::min(kStepBytes, layout.bitmap_bytes() - done));
      KCD_TRY(file.ReadExactly(bitmap + done, step));
      hash.Add(step);
    }
  }
  return hash.Digest();
}

}  // namespace kcoredump
