// SPDX-License-Identifier: MIT
//
// The notes of a process's core (kernel: fs/binfmt_elf.c): who it was, its threads' registers, its
// files. x86_64.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "inspect/task/tasks.h"
#include "kcoredump/maps.h"

namespace kcoredump {

struct CoreNotes {
  std::vector<std::byte> bytes;  ///< of the PT_NOTE
  uint64_t threads = 0;          ///< with an NT_PRSTATUS
};

/// Of the process that `task` belongs to. What cannot be had is left out and added to `findings`.
/// kNotFound: no thread has registers, for BTF lacks what they are found by.
[[nodiscard]] Result<CoreNotes> MakeCoreNotes(const TaskSources& sources, const TaskHead& task,
                                              const MappingList& mappings, Findings& findings);

}  // namespace kcoredump
