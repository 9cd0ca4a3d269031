// SPDX-License-Identifier: MIT
//
// One worker's reading: a batch of memory, without what the filter leaves out.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "capture/page_filter.h"
#include "format/image_writer.h"
#include "source/locked_buffer.h"
#include "source/range_reader.h"

namespace kcoredump {

/// For one thread.
class BatchReader {
 public:
  /// `filter`: nullptr wants all pages; like the source and the watch it must outlive the reader.
  [[nodiscard]] static Result<BatchReader> Create(const MemorySource& source,
                                                  const PageFilter* filter, uint64_t batch_bytes,
                                                  const ReadOptions& options, ReadWatch* watch);

  struct Content {
    std::span<const std::byte> bytes;    ///< zero where nothing was read
    std::span<const PageContent> pages;  ///< one each
  };
  /// Whole pages from `phys` on, at most a batch; valid until the next call. Adds to `report`,
  /// which must be empty.
  [[nodiscard]] Result<Content> Read(PhysAddr phys, uint64_t bytes, ReadReport& report);

  [[nodiscard]] uint64_t moves() const { return reader_->moves(); }

 private:
  BatchReader(std::unique_ptr<RangeReader> reader, LockedBuffer buffer, LockedBuffer blank,
              const PageFilter* filter, std::unique_ptr<PageChooser> chooser, uint64_t page_bytes);
  [[nodiscard]] Result<std::span<const std::byte>> ReadChosen(PhysAddr phys, uint64_t bytes,
                                                              ReadReport& report);
  [[nodiscard]] Status ReadByChoices(PhysAddr phys, std::span<std::byte> out, ReadReport& report);
  [[nodiscard]] bool KeepWhatChanged(PhysAddr phys);
  void MarkContent(PhysAddr phys, std::span<const std::byte> bytes, const ReadReport& report);
  void ExcludeZeros(PhysAddr phys, ReadReport& report);

  std::unique_ptr<RangeReader> reader_;
  LockedBuffer buffer_;
  LockedBuffer blank_;  ///< of zeros, in the buffer's place where a batch has no page that is read
  const PageFilter* filter_;
  std::unique_ptr<PageChooser> chooser_;  ///< nullptr: everything is read
  uint64_t page_bytes_;
  std::vector<PageChoice> choices_;  ///< of the batch at hand
  std::vector<PageChoice> after_;    ///< the same, asked for again
  std::vector<PageContent> pages_;
};

}  // namespace kcoredump
