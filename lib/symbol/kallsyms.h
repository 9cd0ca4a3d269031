// SPDX-License-Identifier: MIT
//
// Symbols from the text of /proc/kallsyms, or decoded from the kernel's own tables in memory.
#pragma once

#include <string_view>

#include "kernel/vmcoreinfo.h"
#include "space/memory_view.h"
#include "symbol/symbol_table.h"

namespace kcoredump {

/// Lines "ADDRESS TYPE NAME[\t[MODULE]]"; a last one without its newline is left out, for its name
/// may be cut. kPermission: the addresses are hidden (all zero:
/// kptr_restrict) or hashed (%p: `_stext` is not where `info` says, or not a kernel address), with
/// the cure; kCorrupt: a line that is none.
[[nodiscard]] Result<SymbolTable> ParseKallsyms(std::string_view text, const VmcoreInfo& info);

/// Decodes kallsyms_names and its companions (kernel: kernel/kallsyms.c, scripts/kallsyms.c).
/// By VMCOREINFO's addresses (6.0+); without those the tables are found by scanning the kernel
/// image from `_stext` on. Absolute, base-relative, absolute-percpu and place-relative
/// offsets, one- and two-byte name lengths: whichever reproduces `_stext`. The kernel's own symbols
/// only, no modules'.
[[nodiscard]] Status DecodeKallsyms(MemoryView& kernel, const VmcoreInfo& info,
                                    SymbolTable::Builder& out);

}  // namespace kcoredump
