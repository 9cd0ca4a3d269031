// SPDX-License-Identifier: MIT
//
// Symbols both ways: where a name is, and what is at an address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Most symbols listed for one glob.
inline constexpr size_t kDefaultMaxSymbols = 10000;

struct SymbolQueryOptions {
  size_t max_matches = kDefaultMaxSymbols;  ///< for each glob; 0: all
};

/// The area of vmalloc space that an address lies in, as /proc/vmallocinfo tells it (kernel:
/// mm/vmalloc.c).
struct AreaAnswer {
  uint64_t start = 0;
  uint64_t end = 0;                ///< exclusive, the guard page included
  uint64_t pages = 0;              ///< 0: none of its own (ioremap), or not known
  std::string caller;              ///< who asked for it, "load_module+0x1a2/0x33"; empty: not known
  std::vector<std::string> kinds;  ///< "vmalloc", "ioremap", …
};

/// One place. Text may quote the image: escape it for a terminal.
struct SymbolAnswer {
  std::string query;  ///< what was asked, as it was given
  std::string name;   ///< of the symbol; empty: the address is in a module or an area, in no symbol
  uint64_t address = 0;  ///< the place itself: the symbol's address and `offset`
  uint64_t offset = 0;   ///< into the symbol
  /// Bytes to the next symbol. Nothing: not known (kallsyms has no sizes, and what follows is far
  /// away).
  std::optional<uint64_t> size;
  char type = '?';     ///< as nm writes it (kernel: kernel/kallsyms.c); '?' without a symbol
  std::string module;  ///< empty: the kernel itself; "bpf", "__builtin__ftrace" and
                       ///< "__builtin__kprobes" for code made at run time
  std::optional<AreaAnswer> area;  ///< only for addresses that are not in the image or direct map
};

/// A query that found nothing.
struct UnknownSymbol {
  std::string query;
  std::string reason;
};

struct SymbolAnswers {
  std::vector<SymbolAnswer> symbols;  ///< in the order of the queries, each query's by address
  std::vector<UnknownSymbol> not_found;
  Findings findings;
};

/// Answers each query: an address (0x…, decimal or 16 hexadecimal digits) with all symbols that
/// begin there, or the one that contains it, or the module or vmalloc area it is in; a name with
/// every symbol of that name; a name and an offset (name+0x10, name-16) with that place; a glob
/// (* ? [a-z]) with every name that matches.
/// kInvalidArgument: a query that is none of these. kPermission: names were asked for and kallsyms
/// hides its addresses. Of one kernel, for one thread at a time.
[[nodiscard]] Result<SymbolAnswers> FindSymbols(Kernel& kernel,
                                                const std::vector<std::string>& queries,
                                                const SymbolQueryOptions& options = {});

/// A table; empty when nothing was found.
[[nodiscard]] std::string ToText(const SymbolAnswers& answers, const TextStyle& style);
/// {"symbols": [{"query", "name", "address", "offset", "size", "type", "module", "area": {"start",
/// "end", "pages", "caller", "kinds"}}], "not_found": [queries], "notes", "incomplete"}
[[nodiscard]] std::string ToJson(const SymbolAnswers& answers);

}  // namespace kcoredump
