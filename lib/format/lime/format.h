// SPDX-License-Identifier: MIT
//
// The header before each range of a LiME file, which AVML uses as well; FORMAT.md beside this file
// specifies it. Little-endian.
#pragma once

#include <cstdint>

#include "base/range.h"
#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr uint32_t kLimeMagic = 0x4c694d45;  ///< "EMiL" in the file
inline constexpr uint32_t kLimeVersion = 1;

struct MemoryRangeHeader {
  uint32_t magic = 0;
  uint32_t version = 0;
  uint64_t first = 0;  ///< physical address of the first byte
  uint64_t last = 0;   ///< of the last byte: the end is inclusive
  uint64_t reserved = 0;

  /// As a half-open range. kCorrupt: it ends before it begins, or reaches to the very end.
  [[nodiscard]] Result<Range> PhysRange() const;
};
static_assert(sizeof(MemoryRangeHeader) == 32);

[[nodiscard]] MemoryRangeHeader MakeRangeHeader(uint32_t magic, uint32_t version,
                                                const Range& phys);

}  // namespace kcoredump
