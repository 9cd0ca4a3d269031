// SPDX-License-Identifier: MIT
//
// One kernel's memory held against another's, or against the file that it was loaded from.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/range.h"
#include "space/memory_view.h"

namespace kcoredump {

/// Text and rodata of the largest kernels have some 40 MiB.
inline constexpr uint64_t kMaxComparedBytes = 256 << 20;

/// What this one's memory is compared with, by this one's addresses.
struct TextReference {
  std::function<Status(uint64_t address, std::span<std::byte> out)> read;
  /// How much further up this one was loaded; 0: at the same place.
  uint64_t slide = 0;
  /// Where relocated words lead, as signed numbers of 32 bits extended to 64.
  std::vector<Range> targets{};
  /// One of them may have run on one CPU, where LOCK prefixes become DS prefixes (kernel:
  /// arch/x86/kernel/alternative.c, alternatives_smp_unlock): they are equal.
  bool lock_prefixes_equal = false;
};

/// Bytes in a row that differ, or nearly so.
struct TextDifference {
  uint64_t address = 0;
  std::vector<std::byte> was;  ///< in the reference
  std::vector<std::byte> is;
};

/// What a comparison came to.
struct TextComparison {
  uint64_t bytes = 0;                         ///< compared
  uint64_t unread_bytes = 0;                  ///< of either side, in whole pages
  std::string unread_reason{};                ///< of the first
  std::vector<TextDifference> differences{};  ///< by address
  bool cut = false;                           ///< there were more
};

/// Compares `range`. Words that differ by the slide as a relocation does are equal, and so are
/// bytes that `is_patched` says the kernel changes itself. At most `max_differences`.
[[nodiscard]] TextComparison CompareText(MemoryView& memory, const Range& range,
                                         const TextReference& reference, size_t max_differences,
                                         const std::function<bool(uint64_t address)>& is_patched);

}  // namespace kcoredump
