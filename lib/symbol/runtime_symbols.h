// SPDX-License-Identifier: MIT
//
// Symbols of code that the kernel makes at run time: what /proc/kallsyms lists after the modules.
#pragma once

#include <string>
#include <vector>

#include "space/memory_view.h"
#include "symbol/symbol_table.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

inline constexpr size_t kMaxRuntimeSymbols = 1 << 20;

/// Adds ftrace's trampolines ("__builtin__ftrace"), BPF programs ("bpf") and the pages of kprobes
/// ("__builtin__kprobes") from the kernel's lists of them (kernel: kernel/trace/ftrace.c,
/// kernel/bpf/core.c, kernel/kprobes.c). A list that this kernel lacks is none; damage costs what
/// lies behind it, and `notes` say so.
[[nodiscard]] Status AddRuntimeSymbols(MemoryView& kernel, const TypeCatalog& types,
                                       const SymbolLookup& symbol, SymbolTable::Builder& out,
                                       std::vector<std::string>& notes);

}  // namespace kcoredump
