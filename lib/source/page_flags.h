// SPDX-License-Identifier: MIT
//
// Which pages of the live kernel must not be read: a read of them gives zeros and says success.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "kcoredump/page_class.h"
#include "source/memory_source.h"

namespace kcoredump {

/// The label that one entry of /proc/kpageflags stands for (linux/kernel-page-flags.h).
[[nodiscard]] PageOutcome OutcomeFromPageFlags(uint64_t flags);

/// The class that one entry stands for; of a tail of a compound page up to 6.1 only its head's
/// entry tells.
[[nodiscard]] PageClass ClassFromPageFlags(uint64_t flags);

[[nodiscard]] PageKind KindFromPageFlags(uint64_t flags);

/// Reads /proc/kpageflags. Not for use by two threads.
class PageFlagsReader {
 public:
  /// Labels nothing.
  PageFlagsReader() = default;
  [[nodiscard]] static Result<PageFlagsReader> Open(const std::string& path, uint64_t page_bytes);

  /// Whether the file answers for `last`, the last page of RAM.
  [[nodiscard]] bool Covers(PhysAddr last) const;

  /// Labels pages from `first` on; leaves those beyond the file's end as they are. What cannot be
  /// asked for is kUnreadable with the errno: that a page may be read must be known.
  void Label(PhysAddr first, std::span<PageLabel> labels);

  /// What pages from `first` on are used for. What cannot be asked for has no class.
  void Classify(PhysAddr first, std::span<PageClass> classes);
  void TellKinds(PhysAddr first, std::span<PageKind> kinds);

 private:
  [[nodiscard]] Result<uint64_t> HeadFlags(uint64_t pfn) const;
  [[nodiscard]] Result<size_t> ReadFlags(uint64_t pfn, std::span<uint64_t> flags) const;
  /// Calls `tell(index, flags)` for `pages` pages, of a tail with its head's flags.
  template <typename Tell>
  void ForEachUse(uint64_t pfn, size_t pages, const Tell& tell);
  [[nodiscard]] Status LabelKnown(uint64_t pfn, std::span<PageLabel> labels);

  UniqueFd fd_;
  uint64_t page_bytes_ = 0;
  std::vector<uint64_t> flags_;
};

/// The hotplug state of memory blocks, below /sys/devices/system/memory. Some kernels (7.3) show
/// the pages of an offline block in kpageflags as if they were in use. Any thread may call.
class MemoryBlocks {
 public:
  /// Nothing is ever offline.
  MemoryBlocks() = default;
  /// Without memory hotplug there is no such folder. An error: whether there is cannot be told.
  [[nodiscard]] static Result<MemoryBlocks> Open(std::string directory);

  /// Labels the pages that lie in blocks that are offline now; those whose block does not say as
  /// kUnreadable with the errno.
  void Label(PhysAddr first, uint64_t page_bytes, std::span<PageLabel> labels) const;

 private:
  std::string directory_;
  uint64_t block_bytes_ = 0;  ///< 0: no memory hotplug
};

}  // namespace kcoredump
