// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "inspect/file/open_file.h"
#include "inspect/task/tasks.h"
#include "kcoredump/files.h"

namespace kcoredump {

/// As ListOpenFiles; a test has sources of its own.
[[nodiscard]] Result<OpenFileList> WalkOpenFiles(const TaskSources& sources, uint32_t pid);

/// A process's table of file descriptors. For one thread.
class DescriptorTable {
 public:
  struct Entry {
    uint32_t descriptor = 0;
    uint64_t file = 0;  ///< address of its struct file
    bool close_on_exec = false;
  };
  /// kNotFound: this kernel lacks a member.
  [[nodiscard]] static Result<DescriptorTable> Create(const TaskSources& sources);

  /// Of the struct files_struct at `files`, by number. What cannot be read is added to `findings`.
  [[nodiscard]] std::vector<Entry> Entries(uint64_t files, Findings& findings);
  /// Descriptors of all tables so far, those that are not open as well.
  [[nodiscard]] uint64_t looked_at() const { return looked_at_; }

 private:
  explicit DescriptorTable(MemoryView& kernel) : kernel_(kernel) {}

  MemoryView& kernel_;
  Field table_;                             ///< of files_struct
  Field count_, pointers_, close_on_exec_;  ///< of fdtable
  uint64_t table_bytes_ = 0;
  uint64_t looked_at_ = 0;
};

}  // namespace kcoredump
