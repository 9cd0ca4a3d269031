// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>

#include "format/codec_page.h"
#include "format/image_writer.h"

namespace kcoredump {

/// EncodedPiece::flags of a page that was not read; those of others are its descriptor's.
inline constexpr uint32_t kHolePage = 0x80000000;

/// One piece a page. Zero pages and holes have no bytes; a page that does not get smaller is kept
/// as it is. `codec`: nothing: every page is.
[[nodiscard]] std::shared_ptr<const ImageEncoding> MakeKdumpEncoding(std::optional<PageCodec> codec,
                                                                     int level,
                                                                     uint64_t page_bytes);

}  // namespace kcoredump
