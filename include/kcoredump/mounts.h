// SPDX-License-Identifier: MIT
//
// What is mounted, as a process sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// The kernel allows 100,000 a namespace (fs.mount-max). More are not listed, and a note says so.
inline constexpr size_t kMaxMounts = 1 << 20;

/// A struct mount (kernel: fs/mount.h), as a line of /proc/PID/mountinfo has it. Strings may hold
/// anything: escape them for a terminal (ToText does).
struct MountInfo {
  uint32_t id = 0;
  uint32_t parent_id = 0;  ///< its own: it is the topmost
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  std::string root;                  ///< which part of its file system is mounted
  std::string mount_point;           ///< from the root of the mount namespace on
  std::vector<std::string> options;  ///< "rw", "nosuid", "noatime": of the mount
  uint32_t shared_group = 0;         ///< "shared:N" of mountinfo; 0: none
  uint32_t master_group = 0;         ///< "master:N"; 0: none
  std::string type;                  ///< "ext4", "fuse.sshfs"
  std::string source;                ///< "/dev/vda"; empty: none
  /// "ro", "sync", "lazytime": of the file system. What each type adds of its own is not known.
  std::vector<std::string> super_options;
  /// False: the process cannot get there from its root directory, so that /proc does not show it.
  bool visible = true;
  uint64_t address = 0;  ///< of its struct mount
};

struct MountList {
  uint32_t pid = 0;
  std::string comm;
  uint32_t namespace_inode = 0;   ///< as /proc/PID/ns/mnt has it; 0: not known
  std::vector<MountInfo> mounts;  ///< in the kernel's order
  Findings findings;
};

/// The mounts of the namespace that process `pid` lives in, without debuginfo. kNotFound: no such
/// process, or a member that this kernel lacks; kInvalidArgument: the process has exited.
[[nodiscard]] Result<MountList> ListMounts(Kernel& kernel, uint32_t pid = 1);

/// ID, PARENT, DEVICE, TYPE, SOURCE, OPTIONS, ROOT, MOUNT POINT.
[[nodiscard]] std::string ToText(const MountList& list, const TextStyle& style);
[[nodiscard]] std::string ToJson(const MountList& list);

}  // namespace kcoredump
