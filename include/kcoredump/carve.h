// SPDX-License-Identifier: MIT
//
// A process's memory and registers as an ELF core file, as gdb opens it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// A core's program headers; a process with more runs of pages is an error.
inline constexpr uint64_t kMaxCarveRuns = 1 << 20;

struct CarveOptions {
  uint32_t pid = 0;
  std::string output;  ///< a path
  bool force = false;  ///< replace an existing file
  /// Set by anyone, a signal handler included, to end early; nothing is then left. May be null.
  const std::atomic<bool>* cancel = nullptr;
};

/// Each page of each mapping has one outcome.
struct CarvePages {
  uint64_t read = 0;       ///< in the core
  uint64_t untouched = 0;  ///< anonymous, never written: zeros, and no bytes in the core
  uint64_t in_file = 0;    ///< a file's page, or [vdso]'s, not mapped now: a debugger asks the file
  uint64_t swapped = 0;    ///< swapped out or on its way: a gap in the core
  uint64_t unreadable = 0;  ///< mapped, and not in the image: a gap in the core
};

struct CarveReport {
  std::string path;
  uint32_t pid = 0;  ///< of the process
  std::string comm;
  uint64_t page_bytes = 0;
  uint64_t threads = 0;  ///< with registers
  uint64_t mappings = 0;
  CarvePages pages;
  uint64_t file_bytes = 0;
  Findings findings;
};

/// Writes the core of the process that a pid belongs to: NT_PRSTATUS of each thread with the
/// registers it entered the kernel with, NT_PRPSINFO, NT_AUXV, NT_FILE, and a PT_LOAD for each run
/// of pages. What could not be had is in no PT_LOAD, so that a debugger says so. x86_64. Errors as
/// ListMappings', of creating the file, kCancelled.
[[nodiscard]] Result<CarveReport> Carve(Kernel& kernel, const CarveOptions& options);

[[nodiscard]] std::string ToText(const CarveReport& report);
[[nodiscard]] std::string ToJson(const CarveReport& report);

}  // namespace kcoredump
