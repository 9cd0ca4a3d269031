// SPDX-License-Identifier: MIT
//
// The live kernel through /proc/kcore.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "source/memory_source.h"
#include "source/page_flags.h"

namespace kcoredump {

class KcoreSource : public MemorySource {
 public:
  /// `path` is kcore in any mount of procfs, or leads there; kpageflags is looked for beside it.
  /// kPermission carries the cause and the cure (ExplainRefusal).
  [[nodiscard]] static Result<std::unique_ptr<MemorySource>> Open(const std::string& path);

  /// True for kcore under whatever name: a regular file on procfs that is not vmcore.
  [[nodiscard]] static bool IsKcore(const std::string& path);

  SourceKind kind() const override { return SourceKind::kLive; }
  const std::string& path() const override { return path_; }
  uint16_t machine() const override { return core_.machine; }
  uint64_t page_bytes() const override { return page_bytes_; }
  const MemoryMap& map() const override { return map_; }
  const NoteSegment& notes() const override { return notes_; }
  std::vector<std::string> Caveats() const override { return caveats_; }
  bool labels_known() const override { return has_page_flags_ && has_blocks_; }
  /// Opens a descriptor of its own: the kernel's bounce page belongs to the open file, and nothing
  /// locks it.
  Result<std::unique_ptr<SourceReader>> NewReader() const override;

  KcoreSource(std::string path, uint64_t page_bytes, ElfCore core, MemoryMap map,
              NoteSegment notes);

 private:
  [[nodiscard]] std::string PageFlagsPath() const;

  std::string path_;  ///< as it was given
  std::string file_;  ///< where that leads
  uint64_t page_bytes_;
  ElfCore core_;
  MemoryMap map_;
  NoteSegment notes_;
  std::vector<std::string> caveats_;
  bool has_page_flags_ = false;
  bool has_blocks_ = false;  ///< whether there is memory hotplug is known
  MemoryBlocks blocks_;
};

/// What an errno of open(/proc/kcore) means here: no CONFIG_PROC_KCORE, no capability, lockdown.
[[nodiscard]] Error ExplainRefusal(const std::string& path, int system_errno);

/// "none", "integrity", "confidentiality"; "unknown" where securityfs does not tell.
[[nodiscard]] std::string LockdownState();

}  // namespace kcoredump
