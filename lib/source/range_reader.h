// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "source/page_reader.h"

namespace kcoredump {

/// Most bytes of one read call: the kernel holds locks while it fills a destination.
inline constexpr uint64_t kMaxBatchBytes = 1 << 20;

/// Reads any range: asks for the pages' labels, leaves labelled pages alone and sends the rest
/// through the ladder in batches. Not for use by two threads.
class RangeReader {
 public:
  /// `watch`, if any, must outlive the reader.
  [[nodiscard]] static Result<std::unique_ptr<RangeReader>> Create(const MemorySource& source,
                                                                   const ReadOptions& options,
                                                                   ReadWatch* watch = nullptr);

  /// As MemoryReader::Read; adds to `report`.
  [[nodiscard]] Status Read(Location at, std::span<std::byte> out, ReadReport& report);

  [[nodiscard]] uint64_t moves() const { return reader_->moves(); }

 private:
  RangeReader(std::unique_ptr<SourceReader> reader, PageReader pages, uint64_t page_bytes,
              ReadWatch* watch);
  [[nodiscard]] Status ReadBatch(Location at, std::span<std::byte> out, ReadReport& report);
  [[nodiscard]] Status ReadLabelled(Location at, std::span<std::byte> out, ReadReport& report);
  void CountDoubtful(Location at, std::span<const std::byte> bytes, ReadReport& report) const;
  void LabelPages(Location at, uint64_t pages, std::vector<PageLabel>& labels);

  std::unique_ptr<SourceReader> reader_;
  PageReader pages_;
  uint64_t page_bytes_;
  ReadWatch* watch_;
  std::vector<PageLabel> labels_;  ///< of the batch at hand, before it is read
  std::vector<PageLabel> after_;   ///< and after
  ReadReport batch_;
};

}  // namespace kcoredump
