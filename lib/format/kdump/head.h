// SPDX-License-Identifier: MIT
//
// What stands before the pages of a kdump file that we make.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "format/kdump/format.h"
#include "source/memory_source.h"

namespace kcoredump {

/// Headers and where the tables go: a file of version 6, not split. Immutable once made; any thread
/// may call any method.
class KdumpHead {
 public:
  /// `dump_level`: what is left out, besides what the source's own format says. `source` must
  /// outlive the head.
  KdumpHead(const MemorySource& source, unsigned dump_level);

  /// `status`: kKdump… flags.
  [[nodiscard]] KdumpMainHeader MainHeader(uint32_t status, uint64_t started_utc_ns) const;
  /// With the source's notes, VMCOREINFO among them; whole blocks.
  [[nodiscard]] const std::vector<std::byte>& sub_header() const { return sub_header_; }

  [[nodiscard]] uint64_t page_bytes() const { return page_bytes_; }
  // Offsets, in the order of the file.
  [[nodiscard]] uint64_t sub_header_offset() const { return page_bytes_; }
  [[nodiscard]] uint64_t memory_bitmap() const { return page_bytes_ + sub_header_.size(); }
  [[nodiscard]] uint64_t dumped_bitmap() const { return memory_bitmap() + bitmap_bytes_; }
  [[nodiscard]] uint64_t descriptors() const { return dumped_bitmap() + bitmap_bytes_; }
  /// Behind room for a descriptor of each page of RAM; a multiple of the page size.
  [[nodiscard]] uint64_t pages() const { return pages_; }

 private:
  [[nodiscard]] std::vector<std::byte> MakeSubHeader(const std::string& vmcoreinfo,
                                                     uint64_t phys_base) const;

  const MemorySource& source_;
  uint64_t page_bytes_;
  uint32_t dump_level_;
  char utsname_[kUtsFields][kUtsBytes] = {};
  uint64_t max_pfn_ = 0;
  uint64_t bitmap_bytes_ = 0;  ///< of each, in whole blocks
  std::vector<std::byte> sub_header_;
  uint64_t pages_ = 0;
};

}  // namespace kcoredump
