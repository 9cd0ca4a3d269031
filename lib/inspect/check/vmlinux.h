// SPDX-License-Identifier: MIT
//
// The file that a kernel was loaded from, before it patched itself.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "elf/elf_core.h"
#include "format/input_file.h"
#include "symbol/symbol_table.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// Immutable; any thread may read.
class Vmlinux {
 public:
  /// kUnsupported: not an ELF executable; of a bzImage with the cure.
  [[nodiscard]] static Result<Vmlinux> Open(const std::string& path);

  /// By the addresses it was linked for. kUnreadable: it has no bytes there.
  [[nodiscard]] Status Read(uint64_t address, std::span<std::byte> out) const;

  /// Where the kernel patches itself while it boots, by the tables in init memory that it then
  /// frees: alternatives, paravirt sites, retpolines, returns, calls, endbr64s, lock prefixes and
  /// run-time constants. In the kernel's addresses, which `symbol` has, `slide` above the file's;
  /// sorted. What a kernel lacks is none; tables that are damaged are in `notes`.
  [[nodiscard]] std::vector<Range> BootSites(const SymbolTable& symbols, const TypeCatalog& types,
                                             uint64_t slide, std::vector<std::string>& notes) const;

 private:
  InputFile file_;
  ElfCore elf_;
};

}  // namespace kcoredump
