// SPDX-License-Identifier: MIT
//
// What a struct file tells: which file, how it was opened, and its name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "inspect/file/file_path.h"
#include "inspect/task/tasks.h"
#include "symbol/record.h"

namespace kcoredump {

/// A device number, as /proc writes it.
struct DeviceNumber {
  uint32_t major = 0;
  uint32_t minor = 0;
};
/// Kernel: include/linux/kdev_t.h.
[[nodiscard]] DeviceNumber DeviceOf(uint64_t dev);

/// Members that a kernel lacks are 0.
struct OpenFileWords {
  uint64_t address = 0;  ///< of the struct file
  FilePath path;
  std::string trouble;  ///< why there is no path; empty: there is one
  uint64_t flags = 0;   ///< O_…
  uint64_t position = 0;
  uint64_t private_data = 0;
  uint64_t operations = 0;  ///< struct file_operations
  uint64_t inode = 0;       ///< address
  uint64_t inode_number = 0;
  uint32_t mode = 0;    ///< of the inode: S_IF… and permissions
  DeviceNumber device;  ///< of its file system
};

/// For one answer and one thread. `sources` must outlive it.
class OpenFileReader {
 public:
  /// kNotFound: this kernel lacks struct file, or a member that paths are made of.
  [[nodiscard]] static Result<OpenFileReader> Create(const TaskSources& sources);

  /// Each struct file is read once. kUnreadable; kLimitExceeded, as PathReader::Spend.
  [[nodiscard]] Result<const OpenFileWords*> At(uint64_t file);
  [[nodiscard]] PathReader& paths() { return paths_; }
  /// Members of struct file's path, for others that have one.
  [[nodiscard]] const Field& path_mount() const { return path_mount_; }
  [[nodiscard]] const Field& path_dentry() const { return path_dentry_; }

 private:
  OpenFileReader(const TaskSources& sources, Layout file, PathReader paths)
      : sources_(sources), file_layout_(std::move(file)), paths_(std::move(paths)) {}
  [[nodiscard]] Status FindFields();
  [[nodiscard]] Result<FilePath> UserPath(const Record& file);
  void ReadInode(OpenFileWords& file);

  const TaskSources& sources_;
  Layout file_layout_;
  PathReader paths_;
  Field path_, flags_, mode_, position_, private_data_, operations_, inode_;  ///< of file
  Field user_path_;                                ///< of backing_file; may be unknown
  Field path_mount_, path_dentry_;                 ///< of path
  Field inode_number_, inode_mode_, inode_super_;  ///< of inode
  Field super_device_;                             ///< of super_block
  uint64_t inode_bytes_ = 0;                       ///< as far as those members reach
  std::unordered_map<uint64_t, OpenFileWords> known_;
};

}  // namespace kcoredump
