// SPDX-License-Identifier: MIT
//
// What a process has open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// The kernel allows 1,048,576 by default (fs.nr_open). Higher ones are not listed, and a note
/// says so.
inline constexpr size_t kMaxDescriptors = 1 << 20;

/// A file descriptor, or what else holds a file. Strings may hold anything: escape them for a
/// terminal (ToText does).
struct OpenFile {
  std::optional<uint32_t> descriptor;  ///< nothing: see `role`
  std::string role;                    ///< "cwd", "root", "exe"; empty: a descriptor
  /// "regular", "directory", "character", "block", "fifo", "socket", "link", "anonymous"; empty:
  /// not known.
  std::string type;
  /// "/etc/passwd", "pipe:[123]", "anon_inode:[eventpoll]", as in /proc/PID/fd, from the root of
  /// the process's mount namespace on; empty: see the findings.
  std::string path;
  bool deleted = false;  ///< it has no name any longer
  bool readable = false;
  bool writable = false;
  uint32_t flags = 0;  ///< O_…, as /proc/PID/fdinfo, with O_CLOEXEC
  uint64_t position = 0;
  uint32_t device_major = 0;  ///< of its file system
  uint32_t device_minor = 0;
  uint64_t inode = 0;
  uint64_t address = 0;  ///< of its struct file; 0: none (cwd, root)
};

struct OpenFileList {
  uint32_t pid = 0;
  std::string comm;
  std::vector<OpenFile> files;  ///< cwd, root, exe, then by descriptor
  Findings findings;
};

/// What the process or thread `pid` has open, without debuginfo. kNotFound: no such process, or a
/// member that this kernel lacks; kInvalidArgument: the process has exited.
[[nodiscard]] Result<OpenFileList> ListOpenFiles(Kernel& kernel, uint32_t pid);

/// FD, TYPE, MODE, POSITION, DEVICE, INODE, PATH.
[[nodiscard]] std::string ToText(const OpenFileList& list, const TextStyle& style);
[[nodiscard]] std::string ToJson(const OpenFileList& list);

}  // namespace kcoredump
