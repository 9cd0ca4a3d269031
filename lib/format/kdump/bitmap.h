// SPDX-License-Identifier: MIT
//
// The bitmaps of a kdump file: which pages there are, which of them were dumped, and how many
// before each. Read block by block: a terabyte's bitmap is 32 MiB, and only its counts are kept.
#pragma once

#include <cstdint>
#include <vector>

#include "base/range.h"
#include "format/input_file.h"
#include "format/kdump/format.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Most separate ranges of memory that a dump may have.
inline constexpr size_t kMaxKdumpRanges = 1 << 17;

/// Bit i of byte i / 8 is page i. Immutable; any thread may call any method.
class PageBitmap {
 public:
  static constexpr uint64_t kBlockBytes = 4096;
  static constexpr uint64_t kBlockBits = kBlockBytes * 8;

  PageBitmap() = default;
  PageBitmap(InputFile file, uint64_t offset, uint64_t bits)
      : file_(std::move(file)), offset_(offset), bits_(bits) {}

  [[nodiscard]] uint64_t bits() const { return bits_; }
  [[nodiscard]] uint64_t set_bits() const { return set_bits_; }

 private:
  friend class BitmapCursor;
  friend class BitmapScanner;

  InputFile file_;
  uint64_t offset_ = 0;
  uint64_t bits_ = 0;
  std::vector<uint64_t> before_;  ///< set bits before each block
  uint64_t set_bits_ = 0;
};

/// One thread's way into a bitmap, which must outlive it. An error: the file changed meanwhile.
class BitmapCursor {
 public:
  explicit BitmapCursor(const PageBitmap* bitmap) : bitmap_(bitmap) {}

  /// False past the end.
  [[nodiscard]] Result<bool> Test(uint64_t page);
  /// How many bits below `page` are set.
  [[nodiscard]] Result<uint64_t> Rank(uint64_t page);
  /// The page whose bit is set and has `rank` set bits below it; the bitmap's end: there is none.
  [[nodiscard]] Result<uint64_t> Select(uint64_t rank);

 private:
  [[nodiscard]] Status Load(uint64_t block);

  const PageBitmap* bitmap_;
  uint64_t block_ = ~uint64_t{0};
  std::vector<uint64_t> words_;  ///< of the block; bits past the bitmap's end are 0
};

struct BitmapScan {
  PageBitmap dumped;
  /// Where there is memory, by page number, ascending; a page that was dumped is memory.
  std::vector<Range> memory;
  uint64_t memory_pages = 0;
};

/// Reads both bitmaps once. kCorrupt: the file ends within them; kLimitExceeded: more than
/// kMaxKdumpRanges.
[[nodiscard]] Result<BitmapScan> ScanBitmaps(const InputFile& file, const KdumpLayout& layout);

/// A hash of both bitmaps: equal in the parts of a split set, and in nothing else.
[[nodiscard]] Result<uint64_t> HashBitmaps(const InputFile& file, const KdumpLayout& layout);

}  // namespace kcoredump
