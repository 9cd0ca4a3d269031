// SPDX-License-Identifier: MIT
//
// What an image is, whether it is sound, and its bytes on a screen.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kcoredump/memory.h"
#include "kcoredump/page_class.h"
#include "kcoredump/result.h"

namespace kcoredump {

struct SegmentInfo {
  SegmentKind kind = SegmentKind::kRam;
  uint64_t virt = 0;
  std::optional<uint64_t> phys;
  uint64_t bytes = 0;
};

struct NoteInfo {
  std::string owner;
  std::string name;  ///< of our own notes, what they hold ("kallsyms", "btf vmlinux")
  uint32_t type = 0;
  uint64_t bytes = 0;
};

/// A CPU as the kernel left it when it died.
struct CpuInfo {
  uint32_t cpu = 0;
  uint32_t pid = 0;
  uint64_t instruction_pointer = 0;
  uint64_t stack_pointer = 0;
  std::string symbol;  ///< of the instruction pointer; empty: none, or user space
};

/// Strings may hold anything a hostile dump put there: escape them for a terminal (ToText does).
struct ImageInfo {
  std::string path;
  /// "kcore", "snapshot", "elf", "kdump", "lime", "avml", "raw", "flattened kdump" or "flattened
  /// elf".
  std::string format;
  std::string architecture;
  std::string kernel_release;  ///< empty: unknown
  std::string kernel_version;  ///< the text of /proc/version; empty: unknown
  std::optional<uint64_t> kaslr_offset;
  uint64_t page_bytes = 0;
  uint64_t total_pages = 0;          ///< of RAM, by the program headers
  std::vector<std::string> caveats;  ///< as Memory::Caveats
  std::vector<SegmentInfo> segments;
  std::vector<NoteInfo> notes;
  std::vector<CpuInfo> cpus;    ///< of a kernel that died; empty otherwise
  uint64_t register_notes = 0;  ///< of CPUs (NT_PRSTATUS)

  bool is_file = false;  ///< what follows is meaningful for all but the live kernel
  std::optional<uint32_t> format_version;
  std::vector<std::string> compression;  ///< "zstd", "zlib", …; empty: none
  std::vector<std::string> flags;      ///< "incomplete", "split", …: what the header says besides
  std::optional<uint32_t> dump_level;  ///< makedumpfile's -d
  std::vector<std::string> files;      ///< of a split set, those that were found
  bool complete = false;
  std::string incomplete_reason;  ///< empty when complete
  std::vector<std::string> damage;
  PageCounts pages;             ///< by what the file says of them; none was read
  bool outcomes_known = false;  ///< false: holes were counted as direct; a caveat says why
  uint64_t file_bytes = 0;

  bool is_snapshot = false;  ///< what follows is meaningful for snapshots alone
  std::optional<uint64_t> zero_pages;
  std::vector<PageRun> holes;  ///< without what was excluded: that is counted, and not listed
  ExcludedCounts excluded;     ///< pages.excluded, by the reason
  uint64_t plain_bytes = 0;
  uint64_t frames = 0;
  bool hashes = false;             ///< each frame's is kept
  std::string identity;            ///< what a snapshot made from it knows it by; empty: none
  std::string base;                ///< its path; empty: not incremental
  std::string base_identity;       ///< of the one that it was made from
  std::vector<std::string> bases;  ///< the base, its base and so on; empty: they cannot be used
  std::optional<uint64_t> referenced_frames;  ///< that the base has; nothing: torn, and not counted
  std::string meta_json;                      ///< the capture's metadata; empty: none
};

/// Describes the live kernel or a file of any format. Reads memory only where it must be searched
/// for VMCOREINFO, for the file has no notes. Of an incremental snapshot whose base cannot be used,
/// that is its damage.
[[nodiscard]] Result<ImageInfo> Describe(const std::string& path);

[[nodiscard]] std::string ToText(const ImageInfo& info);
[[nodiscard]] std::string ToJson(const ImageInfo& info);

struct VerifyOptions {
  unsigned threads = 0;  ///< 0: every CPU
  /// Bytes of a snapshot's file, or of any other image's memory, checked so far and in all; called
  /// by one thread at a time. May be empty.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
  const std::atomic<bool>* cancel = nullptr;
};

struct VerifyReport {
  bool complete = false;  ///< the capture ran to its end
  std::string incomplete_reason;
  std::vector<std::string> damage;  ///< what is damaged and where; empty: sound
  uint64_t frames = 0;              ///< checked; of snapshots alone
  uint64_t damaged_frames = 0;
  std::string base;          ///< the path of what has some of them; empty: not incremental
  uint64_t plain_bytes = 0;  ///< unpacked and found right
  PageCounts pages;
};

/// Unpacks every frame of a snapshot and holds it against its checksum and the seek table; checks
/// trailer, seek table and the ELF core inside. Of any other file it reads every page that is said
/// to be there, and with it the page's descriptor and checksum, where the format has them.
[[nodiscard]] Result<VerifyReport> Verify(const std::string& path, const VerifyOptions& options);

[[nodiscard]] std::string ToText(const VerifyReport& report);
[[nodiscard]] std::string ToJson(const VerifyReport& report, const std::string& path);

/// Lines as `hexdump -C` prints them, repeated lines squeezed to "*". For one thread.
class HexDump {
 public:
  explicit HexDump(uint64_t address) : address_(address) {}
  /// The lines that `bytes` complete.
  [[nodiscard]] std::string Add(std::span<const std::byte> bytes);
  /// The last, short line and the address after it.
  [[nodiscard]] std::string Finish();

 private:
  void AddLine(std::string& out);

  uint64_t address_;
  std::vector<std::byte> line_;
  std::vector<std::byte> previous_;
  bool squeezing_ = false;
};

}  // namespace kcoredump
