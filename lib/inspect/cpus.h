// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "inspect/session.h"
#include "kcoredump/inspect.h"
#include "kernel/arch.h"
#include "source/memory_source.h"

namespace kcoredump {

/// What each NT_PRSTATUS note says, in the order of the CPUs (kernel: fs/proc/vmcore.c,
/// update_note_header_size); nothing: zeros, as of a live kernel. Points into the source's notes.
[[nodiscard]] std::vector<std::optional<CpuRegisters>> RegistersInNotes(const MemorySource& source,
                                                                        const Architecture& arch);

/// Those of the notes that are not zeros, by number of the CPU: QEMU's dumps have a note for each,
/// /proc/vmcore for those that were online. Points into the source's notes.
[[nodiscard]] std::map<uint32_t, CpuRegisters> RegistersOfCpus(Session& session);

/// What the CPUs were doing when the kernel died, by the dump's NT_PRSTATUS notes. A live kernel's
/// note is of zeros: its CPUs are not listed. Loads the symbols of `path` when there are any.
[[nodiscard]] std::vector<CpuInfo> DescribeCpus(const MemorySource& source,
                                                const std::string& path);

}  // namespace kcoredump
