// SPDX-License-Identifier: MIT
//
// The on-disk structures of kdump-compressed files (diskdump) of 64-bit little-endian kernels;
// FORMAT.md beside this file specifies them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/codec_page.h"
#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr char kKdumpSignature[9] = "KDUMP   ";
inline constexpr int32_t kLeastKdumpVersion = 1;
inline constexpr int32_t kLatestKdumpVersion = 6;

/// struct new_utsname: sysname, nodename, release, version, machine, domainname.
inline constexpr size_t kUtsFields = 6;
inline constexpr size_t kUtsBytes = 65;

/// struct disk_dump_header, at offset 0.
struct KdumpMainHeader {
  char signature[8] = {};
  int32_t version = 0;
  char utsname[kUtsFields][kUtsBytes] = {};
  char padding[6] = {};
  int64_t seconds = 0;
  int64_t microseconds = 0;
  uint32_t status = 0;      ///< kKdumpStatus… flags
  int32_t block_bytes = 0;  ///< the page size
  int32_t sub_header_blocks = 0;
  uint32_t bitmap_blocks = 0;  ///< of both bitmaps together
  uint32_t max_mapnr = 0;      ///< pages from address 0 on, as far as 32 bits go
  uint32_t total_ram_blocks = 0;
  uint32_t device_blocks = 0;
  uint32_t written_blocks = 0;
  uint32_t current_cpu = 0;
  int32_t nr_cpus = 0;
};
static_assert(sizeof(KdumpMainHeader) == 464 && offsetof(KdumpMainHeader, status) == 424);
// Indexes into utsname.
inline constexpr size_t kUtsSysname = 0;
inline constexpr size_t kUtsRelease = 2;
inline constexpr size_t kUtsVersion = 3;
inline constexpr size_t kUtsMachine = 4;

/// struct kdump_sub_header, at the second block. Later versions have more of it.
struct KdumpSubHeader {
  uint64_t phys_base = 0;
  int32_t dump_level = 0;  ///< since version 1
  int32_t split = 0;       ///< since version 2; 1: start_pfn and end_pfn count
  uint64_t start_pfn = 0;  ///< since version 2
  uint64_t end_pfn = 0;
  uint64_t offset_vmcoreinfo = 0;  ///< since version 3
  uint64_t size_vmcoreinfo = 0;
  uint64_t offset_note = 0;  ///< since version 4
  uint64_t size_note = 0;
  uint64_t offset_eraseinfo = 0;  ///< since version 5
  uint64_t size_eraseinfo = 0;
  uint64_t start_pfn_64 = 0;  ///< since version 6, as what follows
  uint64_t end_pfn_64 = 0;
  uint64_t max_mapnr_64 = 0;
};
static_assert(sizeof(KdumpSubHeader) == 104);

// KdumpMainHeader::status, and PageDescriptor::flags but for the last two.
inline constexpr uint32_t kKdumpZlib = 0x1;
inline constexpr uint32_t kKdumpLzo = 0x2;
inline constexpr uint32_t kKdumpSnappy = 0x4;
inline constexpr uint32_t kKdumpIncomplete = 0x8;        ///< DUMP_DH_COMPRESSED_INCOMPLETE
inline constexpr uint32_t kKdumpExcludedVmemmap = 0x10;  ///< DUMP_DH_EXCLUDED_VMEMMAP
inline constexpr uint32_t kKdumpZstd = 0x20;

/// struct page_desc, one for each page whose bit is set in the second bitmap, in their order.
struct PageDescriptor {
  uint64_t offset = 0;  ///< of the page's data; 0 in an incomplete dump: it was not written
  uint32_t bytes = 0;   ///< of the data
  uint32_t flags = 0;   ///< one of kKdumpZlib, …; 0: the page as it is
  uint64_t page_flags = 0;
};
static_assert(sizeof(PageDescriptor) == 24);

/// Most pages from address 0 on: 46 bits of physical address in pages of 4 KiB.
inline constexpr uint64_t kMaxKdumpPfns = uint64_t{1} << 34;

/// Where things are in a file, from its two headers.
struct KdumpLayout {
  uint32_t version = 0;
  uint32_t status = 0;
  std::string machine;  ///< "x86_64", …; hostile text
  uint64_t page_bytes = 0;
  uint64_t max_pfn = 0;        ///< pages from address 0 on
  uint64_t memory_bitmap = 0;  ///< offset: a bit a page, 1: there is memory
  uint64_t dumped_bitmap = 0;  ///< offset: a bit a page, 1: the page is in the dump
  uint64_t descriptors = 0;    ///< offset
  uint64_t phys_base = 0;
  std::optional<uint32_t> dump_level;
  bool split = false;
  uint64_t start_pfn = 0;  ///< of the pages in this file
  uint64_t end_pfn = 0;
  uint64_t vmcoreinfo_offset = 0;
  uint64_t vmcoreinfo_bytes = 0;  ///< 0: none
  uint64_t note_offset = 0;
  uint64_t note_bytes = 0;  ///< 0: none

  /// Of each of the two bitmaps.
  [[nodiscard]] uint64_t bitmap_bytes() const { return (max_pfn + 7) / 8; }
};

/// The page size, once the main header has it right: what tells where the sub header is. The bytes
/// may be of anything that begins with the signature. kUnsupported: a version or machine that is
/// not read; kCorrupt.
[[nodiscard]] Result<uint64_t> CheckKdumpHeader(const KdumpMainHeader& header);

/// kCorrupt: counts and sizes that contradict each other; kLimitExceeded: too many pages.
[[nodiscard]] Result<KdumpLayout> DecodeKdumpLayout(const KdumpMainHeader& header,
                                                    const KdumpSubHeader& sub_header);

/// How the page of a descriptor is packed; nothing: it is not.  kCorrupt: flags that do not exist,
/// or a length that cannot be.
[[nodiscard]] Result<std::optional<PageCodec>> CodecOf(const PageDescriptor& descriptor,
                                                       uint64_t page_bytes);

/// The flag of a codec, in a descriptor and in the main header's status.
[[nodiscard]] uint32_t KdumpFlagOf(PageCodec codec);

/// "zlib", … for every codec that `status` names.
[[nodiscard]] std::vector<std::string> KdumpCodecNames(uint32_t status);

}  // namespace kcoredump
