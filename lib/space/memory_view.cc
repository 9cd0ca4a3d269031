// SPDX-License-Identifier: MIT
#include "space/memory_view.h"

#include <algorithm>

namespace kcoredump {

Result<std::string> MemoryView::ReadString(uint64_t address, size_t max_bytes) {
  // In steps that end at multiples of their size: none crosses into a page that is not needed.
  static constexpr uint64_t kStepBytes = 256;
  std::string text;
  while (text.size() < max_bytes) {
    const size_t step =
        std::min<size_t>(max_bytes - text.size(), kStepBytes - address % kStepBytes);
    const size_t start = text.size();
    text.resize(start + step);
    KCD_TRY(Read(address, std::as_writable_bytes(std::span(text).subspan(start))));
    if (const size_t end = text.find('\0', start); end != std::string::npos) {
      text.resize(end);
      return text;
    }
    address += step;
  }
  return text;
}

}  // namespace kcoredump
