// SPDX-License-Identifier: MIT
//
// The folder's names and files, without the file system that shows them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/lazy.h"
#include "serve/mount_image.h"
#include "serve/mount_memory.h"
#include "serve/mount_pages.h"
#include "serve/mount_texts.h"

namespace kcoredump {

/// The folder itself; FUSE_ROOT_ID.
inline constexpr uint64_t kRootInode = 1;

struct FolderEntry {
  std::string name;
  uint64_t inode = 0;
  bool is_folder = false;
};

/// What a file is before it is opened.
struct FileFacts {
  bool is_folder = false;
  uint64_t bytes = 0;       ///< 0: not known before it is read
  uint64_t data_bytes = 0;  ///< without what is known to be zeros
  bool unchanging = true;   ///< its bytes may be kept
};

/// An open file. Any thread may call it.
class FolderFile {
 public:
  virtual ~FolderFile() = default;
  /// Nothing: it has no end that is known.
  [[nodiscard]] virtual std::optional<uint64_t> bytes() const { return std::nullopt; }
  /// Fills `out` from `offset` up to the end of the file or the first byte that cannot be had;
  /// an error when there is none before that.
  [[nodiscard]] virtual Result<size_t> Read(uint64_t offset, std::span<std::byte> out) = 0;
  /// Where, from `offset` on, the next data begins or the next stretch of known zeros; the file's
  /// end: nowhere before it.
  [[nodiscard]] virtual uint64_t Next(uint64_t offset, bool data) const {
    return data ? offset : bytes().value_or(offset);
  }
};

/// Any thread may call any method.
class MountFolder {
 public:
  /// `note`, called by one thread at a time, is told each thing once that weakens what stands here.
  [[nodiscard]] static Result<std::unique_ptr<MountFolder>> Open(
      const std::string& path, std::vector<std::string> arguments,
      std::function<void(const std::string&)> note);

  /// kNotFound: no such name. `folder` need not be one.
  [[nodiscard]] Result<uint64_t> Lookup(uint64_t folder, std::string_view name);
  [[nodiscard]] Result<FileFacts> Facts(uint64_t inode);
  /// What stands in a folder, by inode.
  [[nodiscard]] Result<std::vector<FolderEntry>> List(uint64_t folder);
  [[nodiscard]] Result<std::shared_ptr<FolderFile>> OpenFile(uint64_t inode);

  [[nodiscard]] bool live() const { return source_->kind() == SourceKind::kLive; }
  [[nodiscard]] uint64_t started_utc_ns() const { return started_utc_ns_; }
  /// Tells of an error that the file system has no words for.
  void TellNote(const std::string& note);

 private:
  MountFolder(Kernel kernel, const std::string& path, std::vector<std::string> arguments,
              std::function<void(const std::string&)> note);
  [[nodiscard]] Result<const VirtualImage*> Image(MountImageKind kind);
  [[nodiscard]] Result<std::unique_ptr<VirtualImage>> MakeImage(MountImageKind kind);
  [[nodiscard]] Result<std::shared_ptr<FolderFile>> OpenProcessFile(uint32_t pid, uint64_t file);

  std::function<void(const std::string&)> tell_;
  std::mutex notes_mutex_;
  std::set<std::string> notes_told_;
  MountTexts texts_;
  const MemorySource* source_;
  std::vector<std::string> arguments_;
  MountMemory memory_;
  const uint64_t started_utc_ns_;
  std::mutex images_mutex_;
  Lazy<HeldPages> held_;
  Lazy<std::unique_ptr<VirtualImage>> images_[kMountImageKinds];
};

}  // namespace kcoredump
