// SPDX-License-Identifier: MIT
//
// What makes a snapshot self-describing: the notes of its vendor segment.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/capture.h"
#include "source/memory_source.h"

namespace kcoredump {

struct SystemNotes {
  std::vector<std::byte> bytes;  ///< notes, each padded to 4 bytes
  KallsymsState kallsyms = KallsymsState::kUnavailable;
  IomemCheck iomem;
  std::string lockdown = "unknown";
  std::vector<std::string> warnings;  ///< a line for each thing that could not be had
};

/// For the live kernel: everything /proc and /sys tell of it. For a file: metadata, and the notes
/// of a snapshot taken over; nothing of this machine's kernel, which is another one.
[[nodiscard]] SystemNotes CollectSystemNotes(const MemorySource& source,
                                             const CaptureOptions& options);

/// Whether a text of /proc/kallsyms shows addresses: the first lines may rightly be 0 (per-CPU
/// variables), _stext may not.
[[nodiscard]] bool KallsymsShowsAddresses(std::string_view text);

[[nodiscard]] PageFlagsState PageFlagsOf(const MemorySource& source);

[[nodiscard]] std::string_view PageFlagsName(PageFlagsState state);
[[nodiscard]] std::string_view KallsymsStateName(KallsymsState state);
[[nodiscard]] std::string_view IomemStateName(IomemState state);

}  // namespace kcoredump
