// SPDX-License-Identifier: MIT
//
// What a process has mapped, from the kernel's own account of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// The kernel allows 65,530 by default (vm.max_map_count). More are not listed, and a note says so.
inline constexpr size_t kMaxMappings = 4 << 20;

/// A struct vm_area_struct (kernel: include/linux/mm_types.h), as a line of /proc/PID/maps has it.
/// Strings may hold anything: escape them for a terminal (ToText does).
struct Mapping {
  uint64_t start = 0;  ///< of the process's addresses
  uint64_t end = 0;    ///< exclusive
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  uint64_t offset = 0;  ///< in the file, bytes
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t inode = 0;  ///< 0: no file
  /// A path, or "[heap]", "[stack]", "[vdso]", "[anon:NAME]", as in /proc; empty: anonymous, or see
  /// the findings. Paths start at the root of the process's mount namespace.
  std::string name;
  bool deleted = false;  ///< the file has no name any longer
  uint64_t file = 0;     ///< address of its struct file; 0: none
  uint64_t address = 0;  ///< of its vm_area_struct; of the vsyscall page one that all share
};

struct MappingList {
  uint32_t pid = 0;
  std::string comm;
  std::vector<Mapping> mappings;  ///< by address
  Findings findings;
};

/// The mappings of the process that `pid`, a process or a thread, belongs to, without debuginfo.
/// Damage costs the mappings behind it. kNotFound: no such process, or a member that this kernel
/// lacks; kInvalidArgument: a kernel thread or a zombie, which have none.
[[nodiscard]] Result<MappingList> ListMappings(Kernel& kernel, uint32_t pid);

/// START, END, PERM, OFFSET, DEVICE, INODE, NAME.
[[nodiscard]] std::string ToText(const MappingList& list, const TextStyle& style);
[[nodiscard]] std::string ToJson(const MappingList& list);

}  // namespace kcoredump
