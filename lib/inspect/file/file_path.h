// SPDX-License-Identifier: MIT
//
// Names of files, put together from dentries and mounts as the kernel's d_path does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "kcoredump/result.h"
#include "space/memory_view.h"
#include "symbol/record.h"
#include "symbol/symbol_table.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// Directories and mounts above a file, and bytes of its path (kernel: PATH_MAX).
inline constexpr size_t kMaxPathSteps = 4096;
inline constexpr size_t kMaxPathBytes = 4096;
/// Of all paths of one answer together: a million forged files must cost neither hours nor all
/// memory. A step costs kPathStepCost and the bytes of its name.
inline constexpr size_t kMaxPathCosts = 512 << 20;
inline constexpr size_t kPathStepCost = 32;

struct FilePath {
  std::string text;      ///< "/etc/passwd", "pipe:[123]"
  bool deleted = false;  ///< it has no name any longer: /proc adds " (deleted)"
};

/// As /proc shows it.
[[nodiscard]] std::string ProcText(const FilePath& path);

/// Remembers each dentry and mount: for one answer and one thread. `memory` must outlive it.
class PathReader {
 public:
  /// kNotFound: this kernel lacks a member that paths are made of.
  [[nodiscard]] static Result<PathReader> Create(MemoryView& memory, const TypeCatalog& types,
                                                 const SymbolLookup& symbol);

  /// From the root of its mount namespace on, whatever root a process has. `mnt`: address of a
  /// struct vfsmount; `dentry`: of a struct dentry. kCorrupt: longer than that, as one in a circle
  /// is; kLimitExceeded: all together are; kUnreadable.
  [[nodiscard]] Result<FilePath> PathOf(uint64_t mnt, uint64_t dentry);
  /// From the root of its file system on.
  [[nodiscard]] Result<FilePath> PathWithin(uint64_t dentry);
  /// Whether the way up from `dentry` in `mnt` comes by `root` in `root_mnt`.
  [[nodiscard]] Result<bool> IsBelow(uint64_t mnt, uint64_t dentry, uint64_t root_mnt,
                                     uint64_t root);
  /// Counts a step, or text that an answer gets besides. kLimitExceeded: past kMaxPathCosts.
  [[nodiscard]] Status Spend(size_t text_bytes);

 private:
  struct Dentry {
    uint64_t parent = 0;
    uint64_t inode = 0;
    uint64_t name_maker = 0;  ///< d_op->d_dname; 0: none
    bool unhashed = false;
    std::string name;
  };
  struct Mount {
    uint64_t root = 0;           ///< its own root, a dentry
    uint64_t parent = 0;         ///< struct vfsmount; itself: it is the topmost
    uint64_t parent_dentry = 0;  ///< where it stands in the parent
  };
  /// What d_dname functions make of a file without a place (kernel: net/socket.c, fs/pipe.c,
  /// fs/anon_inodes.c, fs/nsfs.c, fs/pidfs.c, fs/d_path.c).
  enum class Made : uint8_t { kSocket, kPipe, kAnonymous, kNamespace, kPidfd, kSimple };

  PathReader(MemoryView& memory, Layout dentry, Layout mount)
      : memory_(memory), dentry_layout_(std::move(dentry)), mount_layout_(std::move(mount)) {}
  [[nodiscard]] Status FindFields(const TypeCatalog& types);
  [[nodiscard]] Result<const Dentry*> DentryAt(uint64_t address);
  [[nodiscard]] Result<const Mount*> MountAt(uint64_t mnt);
  /// One step of a way up.
  struct Place {
    uint64_t mnt = 0;
    uint64_t dentry = 0;
  };
  /// Where the way up goes on, across the borders of mounts; nothing: it ends here. `name`: of the
  /// step, nullptr where it only leaves a mount.
  [[nodiscard]] Result<std::optional<Place>> Up(const Place& place, const std::string** name);
  [[nodiscard]] Result<std::string> NameOf(const Record& record);
  [[nodiscard]] Result<FilePath> MadeName(const Dentry& dentry);
  [[nodiscard]] std::string NumberText(const char* kind, uint64_t inode);
  [[nodiscard]] std::string NamespaceText(uint64_t inode);

  MemoryView& memory_;
  Layout dentry_layout_;
  Layout mount_layout_;
  Field parent_, name_, name_bytes_, inode_, hash_, operations_;  ///< of dentry
  Field name_maker_;                                              ///< of dentry_operations
  Field mnt_, mnt_root_, mnt_parent_, mnt_mountpoint_;            ///< of mount
  Field inode_number_, inode_private_, ns_operations_, ns_operations_name_;  ///< may be unknown
  std::unordered_map<uint64_t, Made> makers_;
  std::unordered_map<uint64_t, uint64_t> maker_of_operations_;
  std::unordered_map<uint64_t, Dentry> dentries_;
  std::unordered_map<uint64_t, Mount> mounts_;
  size_t costs_left_ = kMaxPathCosts;
};

}  // namespace kcoredump
