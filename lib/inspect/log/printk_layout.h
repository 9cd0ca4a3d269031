// SPDX-License-Identifier: MIT
//
// Where the members of the printk ring buffer's structures lie, as VMCOREINFO tells it.
#pragma once

#include <cstdint>

#include "kcoredump/result.h"
#include "kernel/vmcoreinfo.h"

namespace kcoredump {

/// Offsets within the outermost structure, checked against its size.
struct PrintkLayout {
  uint64_t ring_bytes = 0, count_bits = 0, descs = 0, infos = 0, head_id = 0, tail_id = 0;
  uint64_t size_bits = 0, data = 0;
  uint64_t desc_bytes = 0, state = 0, begin = 0, next = 0;
  uint64_t info_bytes = 0, seq = 0, time = 0, text_len = 0, caller = 0;
  bool has_flags = false;  ///< facility, flags and level stand where they always stood
  uint64_t subsystem = 0, subsystem_bytes = 0, device = 0, device_bytes = 0;
};

/// kUnsupported names what VMCOREINFO lacks or what in it cannot be.
[[nodiscard]] Result<PrintkLayout> ReadPrintkLayout(const VmcoreInfo& info);

}  // namespace kcoredump
