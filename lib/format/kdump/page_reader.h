// SPDX-License-Identifier: MIT
//
// Reading the pages of a kdump dump.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "format/codec_page.h"
#include "format/kdump/source.h"
#include "format/read_ahead.h"

namespace kcoredump {

/// For one thread; the source must outlive it.
class KdumpReader : public SourceReader {
 public:
  [[nodiscard]] static Result<std::unique_ptr<KdumpReader>> Create(const KdumpSource* source);

  /// A few pages at a time. The kernel does the copying, for `out` may be bad memory. −EBADMSG: the
  /// page's data or descriptor are damaged; −ENODATA: the file ends before them.
  int64_t ReadUpTo(Location at, std::span<std::byte> out) override;
  void Label(PhysAddr first, std::span<PageLabel> labels) override;
  std::optional<PhysAddr> ToPhysical(Location at) const override {
    return source_->map().ToPhysical(at);
  }

 private:
  KdumpReader(const KdumpSource* source, PageDecompressor decompressor);
  [[nodiscard]] int LoadPages(uint64_t pfn, size_t count);
  [[nodiscard]] int LoadPage(uint64_t pfn, std::span<std::byte> out);
  [[nodiscard]] int Unpack(const KdumpPages& pages, const PageDescriptor& descriptor,
                           std::span<std::byte> out);
  [[nodiscard]] int FindDescriptor(uint64_t pfn, const KdumpPages*& pages,
                                   PageDescriptor& descriptor);
  [[nodiscard]] PageLabel LabelOf(uint64_t pfn);

  const KdumpSource* source_;
  uint64_t page_bytes_;
  PageDecompressor decompressor_;
  BitmapCursor dumped_;
  ReadAhead descriptors_;
  ReadAhead data_;
  std::vector<std::byte> content_;  ///< of the pages loaded last
  Range loaded_;                    ///< their physical addresses
  /// All zero pages usually share one page of data, which need not be looked at again.
  const KdumpPages* zero_pages_ = nullptr;
  uint64_t zero_offset_ = 0;
};

}  // namespace kcoredump
