// SPDX-License-Identifier: MIT
//
// What a memory image tells of its kernel before any symbol is known.
#pragma once

#include <optional>
#include <string>

#include "kernel/arch.h"
#include "kernel/vmcoreinfo.h"
#include "source/memory_source.h"

namespace kcoredump {

/// Immutable; any thread may read.
struct KernelFacts {
  VmcoreInfo vmcoreinfo;        ///< empty: the image has none, not even in memory
  std::string vmcoreinfo_text;  ///< as found
  /// nullptr: not one we know. Where the format does not say, the one that VMCOREINFO fits.
  const Architecture* arch = nullptr;
  bool vmcoreinfo_from_memory = false;  ///< there was no note; its page was found by scanning
};

/// VMCOREINFO from the note, or from its page in RAM, which begins with "OSRELEASE=". Scanning
/// reads all RAM of a file; a live kernel always has the note (4.19+, 23c85094fe18).
[[nodiscard]] Result<KernelFacts> GatherKernelFacts(const MemorySource& source);

}  // namespace kcoredump
