// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <string>
#include <vector>

#include "inspect/session.h"
#include "inspect/task/tasks.h"
#include "kcoredump/inspect.h"
#include "kernel/arch.h"
#include "source/memory_source.h"

namespace kcoredump {

/// The CPU of each of so many NT_PRSTATUS notes: those that were online where they are as many, for
/// /proc/vmcore has notes of no others (kernel: fs/proc/vmcore.c, update_note_header_size); else
/// all from 0 on.
[[nodiscard]] std::vector<uint32_t> CpusOfNotes(const TaskSources& sources, size_t notes);

/// What the notes say, by CPU; nothing of those that have zeros, as of a live kernel. Points into
/// the source's notes.
[[nodiscard]] std::map<uint32_t, CpuRegisters> RegistersOfCpus(Session& session);

/// What the CPUs were doing when the kernel died, by the dump's NT_PRSTATUS notes. A live kernel's
/// note is of zeros: its CPUs are not listed. Loads the symbols of `path` when there are any.
[[nodiscard]] std::vector<CpuInfo> DescribeCpus(const MemorySource& source,
                                                const std::string& path);

}  // namespace kcoredump
