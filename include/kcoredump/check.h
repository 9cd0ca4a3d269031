// SPDX-License-Identifier: MIT
//
// What a rootkit leaves in a kernel's memory: hooks, pointers that lead away from known code,
// things that one list has and another lacks, and code that is not what was loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// One finding. Strings may hold anything: escape them for a terminal (ToText does).
struct CheckFinding {
  std::string check{};  ///< CheckSummary::name
  /// "pointer": leads to what is not known code; "hidden": one list has it, another lacks it;
  /// "hook": set by the kernel's own means (ftrace, kprobes), whoever did it; "changed": bytes
  /// differ.
  std::string kind{};
  std::string object{};        ///< what it is about: "sys_call_table[59]", "module nf_tables"
  std::string compared{};      ///< what was held against what
  uint64_t address = 0;        ///< where that stands; 0: nowhere
  std::string symbol{};        ///< of `address`; empty: none
  uint64_t value = 0;          ///< what stands there, an address; 0: none
  std::string value_symbol{};  ///< of `value`; empty: none
  std::string text{};          ///< what was found, in a sentence

  bool operator==(const CheckFinding&) const = default;
};

/// One check, and how far it came.
struct CheckSummary {
  std::string name{};      ///< "syscalls", "idt", "ftrace", …
  std::string compared{};  ///< what is held against what
  uint64_t examined = 0;
  uint64_t findings = 0;
  std::vector<std::string> unchecked{};  ///< what could not be looked at, and why
};

struct CheckReport {
  std::vector<CheckFinding> findings;  ///< in the order of the checks
  std::vector<CheckSummary> checks;
  Findings notes;
};

struct CheckOptions {
  /// An image of the same kernel build whose text, and of the same boot whose modules' text, this
  /// one's must equal; empty: none.
  std::string against{};
  /// The kernel's ELF file (not its bzImage), stripped or not; empty: none.
  std::string vmlinux{};
};

/// Every check. What a kernel lacks costs the check that needed it, and its summary says so.
/// kUnsupported: no types; no symbols; `against` or `vmlinux` are of another kernel.
[[nodiscard]] Result<CheckReport> CheckKernel(Kernel& kernel, const CheckOptions& options = {});

/// Findings, then a line for each check.
[[nodiscard]] std::string ToText(const CheckReport& report, const TextStyle& style);
[[nodiscard]] std::string ToJson(const CheckReport& report);

/// What differs between two images of one boot. Strings as CheckFinding's.
struct KernelChange {
  std::string what{};    ///< "process", "module", "socket", "mount", "hook", "text", "rodata"
  std::string change{};  ///< "added", "removed", "changed"
  std::string object{};  ///< "PID 98 sh", "module fuse"
  uint64_t address = 0;  ///< 0: none
  std::string symbol{};  ///< of `address`; empty: none
  std::string detail{};  ///< what became what
};

struct KernelDiff {
  std::string old_path;
  std::string new_path;
  std::vector<KernelChange> changes;
  Findings findings;
};

/// Processes, modules, sockets, mounts (of process 1), hooks (what CheckKernel finds in one and not
/// in the other), and pages of text and rodata. kUnsupported: the images are not of one boot.
[[nodiscard]] Result<KernelDiff> DiffKernels(const std::string& old_path,
                                             const std::string& new_path);

[[nodiscard]] std::string ToText(const KernelDiff& diff, const TextStyle& style);
[[nodiscard]] std::string ToJson(const KernelDiff& diff);

}  // namespace kcoredump
