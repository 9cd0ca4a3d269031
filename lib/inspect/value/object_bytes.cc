// SPDX-License-Identifier: MIT
#include "inspect/value/object_bytes.h"

#include <algorithm>

#include "base/checked.h"

namespace kcoredump {

ObjectBytes ObjectBytes::Read(MemoryView& memory, uint64_t address, uint64_t bytes) {
  ObjectBytes object;
  if (address != 0) bytes = std::min(bytes, 0 - address);  // up to the end of the address space
  object.bytes_.resize(bytes);
  const std::span<std::byte> out(object.bytes_);
  if (bytes == 0 || memory.Read(address, out).ok()) return object;
  for (uint64_t at = 0; at < bytes;) {
    const uint64_t step =
        std::min(bytes - at, kSmallestPageBytes - (address + at) % kSmallestPageBytes);
    const Status read = memory.Read(address + at, out.subspan(at, step));
    if (!read.ok()) {
      if (object.holes_.empty()) object.reason_ = read.error().message;
      if (!object.holes_.empty() && object.holes_.back().end == at) {
        object.holes_.back().end = at + step;
      } else {
        object.holes_.push_back({at, at + step});
      }
    }
    at += step;
  }
  return object;
}

ValueState ObjectBytes::StateOf(uint64_t offset, uint64_t count) const {
  const auto end = CheckedAdd(offset, count);
  if (!end || *end > bytes_.size()) return ValueState::kNotRead;
  const auto hole = std::partition_point(holes_.begin(), holes_.end(),
                                         [&](const Range& each) { return each.end <= offset; });
  const bool missing = hole != holes_.end() && hole->begin < *end;
  return missing ? ValueState::kUnreadable : ValueState::kRead;
}

}  // namespace kcoredump
