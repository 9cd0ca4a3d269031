// SPDX-License-Identifier: MIT
//
// Folders and files that vanish with the test.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "support/test_bytes.h"

namespace kcoredump::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] std::string Path(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] std::string path() const { return path_.string(); }
  /// Names in the folder, sorted, hidden ones too.
  [[nodiscard]] std::vector<std::string> List() const;

 private:
  std::filesystem::path path_;
};

/// A file in memory that has a path as long as the object lives: no disk in tight loops.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> content = {});
  /// Replaces the whole content.
  void Set(std::span<const std::byte> content);
  void Write(uint64_t offset, std::span<const std::byte> bytes);
  void Truncate(uint64_t bytes);
  [[nodiscard]] std::string path() const;
  /// A descriptor of its own, for those who take ownership.
  [[nodiscard]] UniqueFd Open() const;

 private:
  UniqueFd fd_;
};

void WriteFile(const std::string& path, std::span<const std::byte> content);
[[nodiscard]] Bytes ReadFile(const std::string& path);

/// What a command writes to its standard output, and its exit status (-1: a signal).
struct CommandResult {
  int status = -1;
  Bytes output;
};
[[nodiscard]] CommandResult RunCommand(const std::string& command);
[[nodiscard]] bool HaveCommand(const std::string& name);

}  // namespace kcoredump::test
