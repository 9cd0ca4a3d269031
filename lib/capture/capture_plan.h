// SPDX-License-Identifier: MIT
//
// What a capture will write, byte for byte, before a page is read: the ELF image and its cut into
// batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "format/image_writer.h"
#include "source/memory_source.h"

namespace kcoredump {

/// A contiguous piece of the image that comes from one place.
struct Region {
  uint64_t plain_offset = 0;
  uint64_t bytes = 0;
  bool is_memory = false;
  PhysAddr phys;                       ///< of memory
  std::span<const std::byte> literal;  ///< else; the plan's own
  uint64_t first_batch = 0;
};

/// One worker's unit: within one region, at most the plan's batch size, cut into whole frames.
struct Batch {
  bool is_memory = false;
  PhysAddr phys;
  std::span<const std::byte> literal;
  uint64_t bytes = 0;
};

class CapturePlan {
 public:
  /// The image of an ImageShape::kElf is: ELF header, program headers, the source's notes, the
  /// vendor notes (which the plan keeps, for its batches point into them), then RAM.
  [[nodiscard]] static Result<CapturePlan> Make(const MemorySource& source, ImageShape shape,
                                                std::vector<std::byte> vendor_notes,
                                                uint32_t frame_bytes);

  /// Cuts into batches; a multiple of the frame size.
  void CutIntoBatches(uint64_t batch_bytes);

  /// By plain_offset, without gaps.
  [[nodiscard]] const std::vector<Region>& regions() const { return regions_; }
  [[nodiscard]] uint64_t plain_bytes() const { return plain_bytes_; }
  [[nodiscard]] uint64_t frames() const { return frames_; }
  [[nodiscard]] uint64_t batches() const { return batches_; }
  [[nodiscard]] uint64_t memory_bytes() const;
  [[nodiscard]] Batch At(uint64_t index) const;
  /// Memory bytes within the first `plain_bytes` of the image.
  [[nodiscard]] uint64_t MemoryBytesIn(uint64_t plain_bytes) const;
  /// Physical ranges that lie within the first `plain_bytes` of the image end below this address.
  [[nodiscard]] uint64_t PhysicalEnd(uint64_t plain_bytes) const;

  // Its regions point into head_ and vendor_, which a move keeps in place and a copy would not.
  CapturePlan(CapturePlan&&) = default;
  CapturePlan& operator=(CapturePlan&&) = default;
  CapturePlan(const CapturePlan&) = delete;
  CapturePlan& operator=(const CapturePlan&) = delete;

 private:
  CapturePlan() = default;
  [[nodiscard]] Status AddElfHead(const MemorySource& source);
  [[nodiscard]] Status AddMemory(const std::vector<Segment>& ram, uint64_t offset);
  void AddLiteral(std::span<const std::byte> bytes, uint64_t plain_offset);

  std::vector<std::byte> head_;    ///< ELF header to the end of the source's notes
  std::vector<std::byte> vendor_;  ///< the vendor segment
  std::vector<Region> regions_;
  uint32_t frame_bytes_ = 0;
  uint64_t batch_bytes_ = 0;
  uint64_t plain_bytes_ = 0;
  uint64_t frames_ = 0;
  uint64_t batches_ = 0;
};

}  // namespace kcoredump
