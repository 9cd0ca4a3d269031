// SPDX-License-Identifier: MIT
//
// Where the kernel rewrites its own code: calls of the function tracer, and jumps by static keys.
// Both tables stay in memory after boot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inspect/session.h"
#include "kcoredump/dis.h"

namespace kcoredump {

/// Kernels of Debian have 200 KiB and some dozens; forged numbers must not read all memory.
inline constexpr uint64_t kMaxJumpTableBytes = 16 << 20;
inline constexpr size_t kMaxFtracePages = 1 << 16;

/// Tables are read at their first need. For one thread, like the session, which must outlive it.
class PatchSites {
 public:
  explicit PatchSites(Session& session) : session_(session) {}

  /// The key whose nop or jump is at `address`; `module`: the one that the code is in, as symbols
  /// have it. Without its symbols.
  [[nodiscard]] std::optional<PatchSite> StaticKeyAt(uint64_t address, std::string_view module);
  /// Whether the tracer's records have this very address (kernel: ftrace_location).
  [[nodiscard]] bool IsFtraceSite(uint64_t address);
  /// What this kernel lacks for an answer, and what that costs.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct JumpEntry {
    uint64_t code = 0;
    uint64_t target = 0;
    uint64_t key = 0;
  };
  /// Those of the kernel or of one module, by `code`.
  struct JumpTable {
    std::string module;
    std::vector<JumpEntry> entries;
  };
  /// One block of the tracer's records, which are sorted.
  struct FtracePage {
    uint64_t records = 0;
    uint64_t count = 0;
    uint64_t first = 0;
    uint64_t last = 0;
  };

  [[nodiscard]] const JumpTable& JumpTableOf(std::string_view module);
  [[nodiscard]] Result<std::vector<JumpEntry>> LoadJumpTable(std::string_view module);
  [[nodiscard]] Result<std::vector<JumpEntry>> ReadJumpEntries(uint64_t start, uint64_t count);
  [[nodiscard]] Result<std::vector<FtracePage>> LoadFtracePages();

  Session& session_;
  std::vector<JumpTable> jump_tables_;
  std::optional<std::vector<FtracePage>> ftrace_pages_;
  uint64_t record_bytes_ = 0;  ///< of a struct dyn_ftrace
  uint64_t record_ip_ = 0;     ///< where its ip stands
  std::vector<std::string> notes_;
};

}  // namespace kcoredump
