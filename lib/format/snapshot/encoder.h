// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "format/image_writer.h"

namespace kcoredump {

/// Compresses batches into frames of `frame_bytes`, a multiple of the page size. A frame of zeros
/// is compressed once for all.
[[nodiscard]] Result<std::shared_ptr<const ImageEncoding>> MakeSnapshotEncoding(
    int level, uint32_t frame_bytes);

}  // namespace kcoredump
