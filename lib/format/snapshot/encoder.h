// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "format/image_writer.h"
#include "format/snapshot/base.h"

namespace kcoredump {

/// EncodedPiece::flags: the frame's hash follows it and is counted with it; it is a reference.
inline constexpr uint32_t kHashedPiece = 1;
inline constexpr uint32_t kReferencePiece = 2;

struct SnapshotEncodingOptions {
  int level = 0;
  uint32_t frame_bytes = 0;  ///< a multiple of the page size
  bool hashes = false;
  std::shared_ptr<const SnapshotBase> base = nullptr;  ///< wants hashes
};

/// Compresses batches into frames, or refers to the base's. A frame of zeros is compressed once for
/// all, and is smaller than a reference.
[[nodiscard]] Result<std::shared_ptr<const ImageEncoding>> MakeSnapshotEncoding(
    const SnapshotEncodingOptions& options);

}  // namespace kcoredump
