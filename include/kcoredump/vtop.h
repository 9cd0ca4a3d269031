// SPDX-License-Identifier: MIT
//
// How a virtual address becomes a physical one: the page-table walk, level by level.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

struct TranslationStep {
  std::string level;           ///< "PGD", "P4D", "PUD", "PMD", "PTE"
  uint64_t table = 0;          ///< physical address of the table
  uint64_t index = 0;          ///< of the entry in it
  uint64_t entry_address = 0;  ///< physical
  uint64_t entry = 0;
  std::string kind;                ///< "table", "page", "absent"
  std::vector<std::string> flags;  ///< "PRESENT", "RW", … as the architecture names them
};

struct TranslationAnswer {
  Target target;
  std::vector<TranslationStep> steps;  ///< empty: `linear` alone
  std::optional<uint64_t> physical;    ///< nothing: not mapped
  uint64_t page_bytes = 0;             ///< of the mapping: 4 KiB, 2 MiB or 1 GiB
  /// What the program headers say of an address in the direct map or the kernel image.
  std::optional<uint64_t> linear;
  std::string symbol;  ///< of a kernel address; empty: none
  Findings findings;
};

/// Walks the kernel's tables, or a process's for a Target of a process. A forged entry is kCorrupt,
/// a table that cannot be read kUnreadable; an address that is not mapped is an answer.
[[nodiscard]] Result<TranslationAnswer> TranslateAddress(Kernel& kernel, const Target& target);

/// The RAM that a process has mapped, shared libraries and all: sorted, joined where it touches. It
/// does not hold the page tables themselves. kNotFound: no such process, or it has no memory of its
/// own (a kernel thread); kCorrupt: its page tables map more than there can be.
[[nodiscard]] Result<std::vector<PhysRange>> MappedByProcess(Kernel& kernel, uint32_t pid);

[[nodiscard]] std::string ToText(const TranslationAnswer& answer, const TextStyle& style);
[[nodiscard]] std::string ToJson(const TranslationAnswer& answer);

}  // namespace kcoredump
