// SPDX-License-Identifier: MIT
//
// Loaded modules, read from the kernel's list of them (kernel: kernel/module/).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/range.h"
#include "space/memory_view.h"
#include "symbol/symbol_table.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

inline constexpr size_t kMaxModules = 16384;

struct LoadedModule {
  std::string name;
  uint64_t address = 0;            ///< of its struct module
  uint64_t base = 0;               ///< as /proc/modules says it: where its text (core) begins
  uint64_t size_bytes = 0;         ///< as /proc/modules says it: core and init
  std::vector<Range> ranges;       ///< all memory that is the module's
  std::string state;               ///< "Live", "Loading", "Unloading", "Unformed"
  std::string taints;              ///< letters, "OE"; empty: none
  int64_t references = 0;          ///< as lsmod's; -1: not known
  std::vector<std::string> users;  ///< modules that use this one
  bool permanent = false;          ///< it has no exit: it cannot be unloaded
};

/// What was found, and what was lost on the way.
struct ModuleList {
  std::vector<LoadedModule> modules;  ///< in the kernel's order: the newest first
  std::vector<std::string> notes;     ///< members this kernel lacks, memory that was missing
  bool incomplete = false;  ///< memory was missing or the list is damaged: there may be more
};

/// Walks `modules` from `list_head`, the address of that symbol.
[[nodiscard]] Result<ModuleList> WalkModules(MemoryView& kernel, const TypeCatalog& types,
                                             uint64_t list_head);

/// Adds the symbols of a module's own symbol table (module.kallsyms) to `out`.
[[nodiscard]] Status AddModuleSymbols(MemoryView& kernel, const TypeCatalog& types,
                                      const LoadedModule& module, SymbolTable::Builder& out);

}  // namespace kcoredump
