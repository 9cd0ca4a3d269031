// SPDX-License-Identifier: MIT
#include "format/lime/format.h"

#include "base/error.h"
#include "kcoredump/text.h"

namespace kcoredump {

Result<Range> MemoryRangeHeader::PhysRange() const {
  if (last >= first && last != ~uint64_t{0}) return Range{first, last + 1};
  return MakeError(ErrorCode::kCorrupt, "a range header from " + HexAddress(first) + " to " +
                                            HexAddress(last) + " makes no sense");
}

MemoryRangeHeader MakeRangeHeader(uint32_t magic, uint32_t version, const Range& phys) {
  return {.magic = magic, .version = version, .first = phys.begin, .last = phys.end - 1};
}

}  // namespace kcoredump
