// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "format/image_writer.h"

namespace kcoredump {

/// Batches as they are, one piece for each run of pages that are holes, and one for each run of
/// those that are not (flags: kHolePiece or 0). Pieces of holes have no encoded bytes.
[[nodiscard]] std::shared_ptr<const ImageEncoding> MakePlainEncoding(ImageShape shape);

inline constexpr uint32_t kHolePiece = 1;

}  // namespace kcoredump
