// SPDX-License-Identifier: MIT
//
// A kdump dump as a memory source: what its readers share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "format/kdump/bitmap.h"
#include "format/kdump/part.h"
#include "source/memory_source.h"

namespace kcoredump {

/// The pages of one file.
struct KdumpPages {
  InputFile file;
  Range pfns;
  uint64_t descriptors = 0;  ///< offset of those of this file's pages
  uint64_t first_rank = 0;   ///< dumped pages of the whole set before this file's
  uint64_t count = 0;        ///< dumped pages of this file
  uint64_t end_pfn = 0;      ///< of the pages whose descriptors it is long enough for
  /// Pages may not have been written, or be cut off: their descriptors tell.
  bool torn = false;
};

class KdumpSource : public MemorySource {
 public:
  [[nodiscard]] static Result<std::unique_ptr<MemorySource>> Open(const InputFile& file);

  SourceKind kind() const override { return SourceKind::kDump; }
  const std::string& path() const override { return path_; }
  uint16_t machine() const override { return machine_; }
  uint64_t page_bytes() const override { return layout_.page_bytes; }
  const MemoryMap& map() const override { return *map_; }
  const NoteSegment& notes() const override { return notes_; }
  std::string IncompleteReason() const override { return incomplete_reason_; }
  ImageFacts Facts() const override;
  std::optional<PageCounts> Counts() const override;
  /// Without what belongs to missing parts, or has its descriptor past the end of its file.
  std::vector<Range> PresentRanges() const override;
  std::optional<uint64_t> PhysBase() const override { return layout_.phys_base; }
  /// A few pages: each is packed on its own.
  Range BlockAround(PhysAddr phys) const override;
  Result<std::unique_ptr<SourceReader>> NewReader() const override;

  [[nodiscard]] const PageBitmap& dumped() const { return dumped_; }
  /// The file that holds a page, if it was dumped; nullptr: that part of the set is missing.
  [[nodiscard]] const KdumpPages* FindPages(uint64_t pfn) const;

 private:
  KdumpSource() = default;
  [[nodiscard]] Status Load(std::vector<KdumpPart> parts);
  [[nodiscard]] Status LoadPages(const std::vector<KdumpPart>& parts);
  [[nodiscard]] Status LoadNotes(const KdumpPart& part);
  [[nodiscard]] std::string WhyIncomplete(const std::vector<KdumpPart>& parts) const;

  std::string path_;
  uint16_t machine_ = 0;
  KdumpLayout layout_;  ///< of the file that was named
  std::optional<MemoryMap> map_;
  NoteSegment notes_;
  PageBitmap dumped_;
  uint64_t memory_pages_ = 0;
  std::vector<KdumpPages> pages_;  ///< ascending
  std::string incomplete_reason_;
};

/// Whether what a descriptor speaks of is in a file that is torn or says that it is incomplete.
[[nodiscard]] bool IsWritten(const PageDescriptor& descriptor, const KdumpPages& pages);

}  // namespace kcoredump
