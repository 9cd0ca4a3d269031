// SPDX-License-Identifier: MIT
//
// What the frames of a snapshot hold, its bases' with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/hash256.h"
#include "base/uncached_reader.h"
#include "format/codec.h"
#include "format/snapshot/reader.h"

namespace kcoredump {

/// Reads the uncompressed image at random, one frame kept, whichever of its bases has it. For one
/// thread.
class PlainReader {
 public:
  [[nodiscard]] static Result<PlainReader> Create(std::shared_ptr<const SnapshotFile> file);
  /// From now on nothing of the file stays in the page cache. Not for incremental ones.
  void ReadAroundPageCache() { uncached_.emplace(file_->fd()); }

  /// Fills as much of `out` as the image has. kCorrupt names the damaged frame.
  [[nodiscard]] Result<size_t> ReadAt(uint64_t plain_offset, std::span<std::byte> out);
  /// The whole content of a frame, valid until the next call. What the base has is held against
  /// its hash.
  [[nodiscard]] Result<std::span<const std::byte>> Load(const FrameSpan& frame);
  /// Of the frame that Load gave last, where the base has it: the content's.
  [[nodiscard]] const std::optional<Hash256>& referred_hash() const { return referred_hash_; }
  /// Memory of a reader, once it has read the largest frames.
  [[nodiscard]] static uint64_t MostBytes(const SnapshotFile& file);

 private:
  PlainReader(std::shared_ptr<const SnapshotFile> file, FrameDecompressor decompressor);
  /// A frame of the file or of one of its bases.
  struct Place {
    const SnapshotFile* file = nullptr;
    const FrameSpan* frame = nullptr;
  };
  [[nodiscard]] Status LoadCompressed(const Place& place);
  [[nodiscard]] Result<Place> Follow(Place place);
  [[nodiscard]] Status Unpack(const FrameSpan& frame);

  std::shared_ptr<const SnapshotFile> file_;
  std::optional<UncachedReader> uncached_;
  FrameDecompressor decompressor_;
  std::vector<std::byte> compressed_;
  std::vector<std::byte> content_;
  std::optional<Hash256> referred_hash_;
  const FrameSpan* loaded_ = nullptr;
};

}  // namespace kcoredump
