// SPDX-License-Identifier: MIT
//
// The kernel's lists and trees of anything, by BTF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/print.h"

namespace kcoredump {

inline constexpr size_t kMaxListEntries = 1 << 20;
/// Members shown of each entry.
inline constexpr size_t kMaxListColumns = 32;

struct ListOptions {
  /// Paths from an entry on, as `print` takes them, the first dot left out: "pid", "mm->pgd".
  std::vector<std::string> show{};
  size_t max_entries = kMaxListEntries;
};

struct ListEntry {
  uint64_t address = 0;             ///< of the object; of an xarray, the number that stands there
  std::optional<uint64_t> index{};  ///< in an xarray; the first one in a maple tree
  std::optional<uint64_t> last{};   ///< in a maple tree
  /// One for each of ListOptions::show; nothing: see the findings.
  std::vector<std::optional<TypedValue>> values{};
};

struct ListAnswer {
  std::string type;    ///< of the entries
  std::string member;  ///< that links them; empty: none does
  std::string kind;   ///< "list_head", "hlist", "llist", "rb_tree", "chain", "xarray", "maple_tree"
  uint64_t head = 0;  ///< address
  std::vector<std::string> show{};
  std::vector<ListEntry> entries;  ///< in the list's order
  Findings findings;
};

/// Walks what `expression` names: TYPE.member@HEAD, where the member (a list_head, hlist_node,
/// hlist_nulls_node, llist_node, rb_node, or a pointer to the next) links objects of the type, or
/// TYPE@HEAD, where HEAD is an xarray, radix tree, IDR or maple tree of pointers to them.
///
/// HEAD is WHERE as Kernel::Resolve, or an expression of `print`, "struct mm_struct@0x….mm_mt",
/// whose type may be left out when it is TYPE: "struct task_struct.tasks@init_task.tasks". Errors
/// as ReadValue's; damage costs what lies behind it.
[[nodiscard]] Result<ListAnswer> WalkAnyList(Kernel& kernel, std::string_view expression,
                                             const ListOptions& options = {});

/// ADDRESS, INDEX of trees that have one, and a column for each member shown.
[[nodiscard]] std::string ToText(const ListAnswer& answer, const TextStyle& style);
/// {"type", "member", "kind", "head", "entries": [{"address", "index", "last", "values": {PATH:
/// VALUE}}], "notes", "incomplete"}; VALUE as print.h's.
[[nodiscard]] std::string ToJson(const ListAnswer& answer);

}  // namespace kcoredump
