// SPDX-License-Identifier: MIT
//
// Snapshots put together by hand from FORMAT.md's parts, so that each can be forged and the hashes
// still be right.
#pragma once

#include <optional>

#include "format/snapshot/format.h"
#include "support/test_bytes.h"

namespace kcoredump::test {

struct RawSnapshot {
  Bytes head;  ///< before the first frame
  std::vector<Bytes> frames;
  std::vector<SeekEntry> entries;
  Trailer trailer;
  std::vector<uint32_t> frame_ms;
  /// Frame counts as trailer and footer claim them, where they lie.
  std::optional<uint32_t> trailer_frames;
  std::optional<uint32_t> footer_frames;
  /// In place of what EncodeTrailerHead gives.
  std::optional<Bytes> trailer_head;
  uint32_t trailer_flags = 0;
  Bytes trailer_more;  ///< what those flags promise

  /// `plain` cut into frames, each with checksum and content size; a complete snapshot.
  [[nodiscard]] static RawSnapshot Of(std::span<const std::byte> plain, size_t frame_bytes = 16384);

  /// An incremental snapshot of the same: each frame of memory is a reference to `base`'s, the last
  /// excepted, which stands there.
  [[nodiscard]] static RawSnapshot On(const RawSnapshot& base, const std::string& name);
  /// As SnapshotFile::Identity.
  [[nodiscard]] Hash256 Identity() const;
  void SetBase(const BaseLink& link);
  /// In place of frame `i`.
  void Refer(size_t i, const FrameReference& reference);

  void AddFrame(std::span<const std::byte> content);
  /// Data frames, trailer, seek table; all hashes match what is there.
  [[nodiscard]] Bytes Build() const;
  [[nodiscard]] Bytes EncodedTrailer() const;
};

/// A frame header that claims `content_bytes`, then one empty last block: a lie of a few bytes.
[[nodiscard]] Bytes LyingFrame(uint64_t content_bytes);

/// A real zstd frame of that much zeros; a few KiB for 64 MiB.
[[nodiscard]] Bytes CompressedFrame(std::span<const std::byte> content);

}  // namespace kcoredump::test
