// SPDX-License-Identifier: MIT
//
// kdump-compressed and flattened files byte by byte, from the layout that makedumpfile's
// documentation gives and without the library's structures: every field can be forged.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "format/codec_page.h"
#include "support/test_bytes.h"

namespace kcoredump::test {

/// Flags of a page descriptor.
inline constexpr uint32_t kZlibFlag = 1;
inline constexpr uint32_t kLzoFlag = 2;
inline constexpr uint32_t kSnappyFlag = 4;
inline constexpr uint32_t kIncompleteFlag = 8;
inline constexpr uint32_t kZstdFlag = 0x20;

[[nodiscard]] uint32_t FlagOf(PageCodec codec);

/// Offsets of fields in the main header (block 0) and in the sub header (block 1).
inline constexpr size_t kVersionAt = 8;
inline constexpr size_t kMachineAt = 12 + 4 * 65;
inline constexpr size_t kStatusAt = 424;
inline constexpr size_t kBlockSizeAt = 428;
inline constexpr size_t kSubHeaderBlocksAt = 432;
inline constexpr size_t kBitmapBlocksAt = 436;
inline constexpr size_t kMaxMapnrAt = 440;
inline constexpr size_t kPhysBaseAt = 4096;
inline constexpr size_t kDumpLevelAt = 4096 + 8;
inline constexpr size_t kSplitAt = 4096 + 12;
inline constexpr size_t kStartPfnAt = 4096 + 16;
inline constexpr size_t kVmcoreinfoAt = 4096 + 32;
inline constexpr size_t kNoteAt = 4096 + 48;
inline constexpr size_t kStartPfn64At = 4096 + 80;
inline constexpr size_t kMaxMapnr64At = 4096 + 96;

struct PageDesc {
  uint64_t offset = 0;
  uint32_t bytes = 0;
  uint32_t flags = 0;
};

/// A dump of memory whose bytes follow from their address (MemoryBytes), 4 KiB pages.
class KdumpBuilder {
 public:
  int32_t version = 6;
  std::string machine = "x86_64";
  uint64_t max_pfn = 256;
  std::set<uint64_t> memory;      ///< page numbers
  std::set<uint64_t> excluded;    ///< of those
  std::set<uint64_t> zero_pages;  ///< all share one page of data
  /// How a page is packed; pages that are not here are stored as they are.
  std::map<uint64_t, PageCodec> codecs;
  Bytes notes;
  std::string vmcoreinfo;  ///< stands on its own, as in version 3, where `notes` has none
  uint32_t status = 0;
  int32_t dump_level = 0;
  uint64_t phys_base = 0;
  std::optional<std::pair<uint64_t, uint64_t>> part;  ///< start_pfn and end_pfn of a split file
  /// Changes a descriptor before it is written.
  std::function<void(uint64_t pfn, PageDesc&)> forge;
  bool one_bitmap = false;  ///< a dump that excludes nothing may have but one

  KdumpBuilder& AddMemory(uint64_t first_pfn, uint64_t pages, std::optional<PageCodec> codec = {});

  [[nodiscard]] Bytes Build() const;
  /// Where the descriptors begin.
  [[nodiscard]] size_t DescriptorsAt() const;
  /// The page as it is in the dump.
  [[nodiscard]] Bytes PageContent(uint64_t pfn) const;

 private:
  [[nodiscard]] size_t BitmapBytes() const;
  [[nodiscard]] size_t SubHeaderBlocks() const;
  void AddHeaders(Bytes& out) const;
};

/// Pages 1 to 8 as they are, 16 to 47 packed with each codec in turn, 4 zero pages, 4 excluded
/// ones, VMCOREINFO and a register note.
[[nodiscard]] KdumpBuilder SmallKdump();
inline constexpr uint64_t kSmallKdumpPages = 40;

/// Bytes packed by that codec's own library.
[[nodiscard]] Bytes Packed(PageCodec codec, std::span<const std::byte> content);

/// The header of a flattened file, a record, and the end mark.
[[nodiscard]] Bytes FlattenedHeader();
[[nodiscard]] Bytes FlattenedRecordBytes(int64_t offset, int64_t size,
                                         std::span<const std::byte> data);
[[nodiscard]] Bytes FlattenedEnd();
/// `file` cut into records of that length, and the end mark.
[[nodiscard]] Bytes Flattened(std::span<const std::byte> file, size_t record_bytes = 5000);

}  // namespace kcoredump::test
