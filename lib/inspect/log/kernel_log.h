// SPDX-License-Identifier: MIT
//
// The printk ring buffer (kernel: kernel/printk/printk_ringbuffer.{h,c}) as a parser of memory:
//
//   descriptor ring  prb_desc[2^count_bits]: state and id in one word, and where the text lies
//   infos            printk_info[2^count_bits], at the descriptor's index
//   text ring        2^size_bits bytes: blocks of an id (8 bytes) and text, aligned to 8
//
// Ids and logical positions (lpos) only count up and wrap around; their low bits are the index. A
// block that does not fit before the ring's end begins at its start.
#pragma once

#include "kcoredump/log.h"
#include "kernel/vmcoreinfo.h"
#include "space/memory_view.h"

namespace kcoredump {

/// As ReadLog. `changing`: memory changes while it is read, so descriptors are looked at again
/// after their text.
[[nodiscard]] Result<KernelLog> ReadPrintkRing(MemoryView& memory, const VmcoreInfo& info,
                                               const LogOptions& options, bool changing);

}  // namespace kcoredump
