// SPDX-License-Identifier: MIT
#include "inspect/check/patch_sites.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/try.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

/// The low bits of jump_entry.key: which way it jumps, and whether it lies in init code (kernel:
/// include/linux/jump_label.h).
constexpr uint64_t kKeyFlags = 3;

/// A number of `bytes` width as the kernel's long.
uint64_t SignExtended(uint64_t value, uint64_t bytes) {
  return bytes == 4 ? static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)}) : value;
}

}  // namespace

/// struct jump_entry: code and target are relative to themselves where they have four bytes
/// (CONFIG_HAVE_ARCH_JUMP_LABEL_RELATIVE), and then so is the key.
Result<std::vector<PatchSites::JumpEntry>> PatchSites::ReadJumpEntries(uint64_t start,
                                                                       uint64_t count) {
  KCD_ASSIGN(const TypeCatalog* types, session_.Types());
  KCD_ASSIGN(const Layout layout, Layout::Of(*types, "struct jump_entry"));
  KCD_ASSIGN(const Field code, layout.Need("code"));
  KCD_ASSIGN(const Field target, layout.Need("target"));
  KCD_ASSIGN(const Field key, layout.Need("key"));
  if (count > kMaxJumpTableBytes / layout.bytes()) {
    return MakeError(ErrorCode::kCorrupt, "a jump table of " + std::to_string(count) + " entries");
  }
  std::vector<std::byte> bytes(count * layout.bytes());
  KCD_TRY(session_.kernel().Read(start, bytes));
  const bool relative = code.bytes == 4;
  std::vector<JumpEntry> entries;
  entries.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const auto raw = std::span(bytes).subspan(i * layout.bytes(), layout.bytes());
    const auto address_of = [&](const Field& field) {
      uint64_t value = 0;
      std::memcpy(&value, raw.data() + field.offset, std::min<size_t>(field.bytes, sizeof(value)));
      value = SignExtended(value, field.bytes);
      if (field.offset == key.offset) value &= ~kKeyFlags;
      return relative ? start + i * layout.bytes() + field.offset + value : value;
    };
    entries.push_back({address_of(code), address_of(target), address_of(key)});
  }
  std::sort(entries.begin(), entries.end(),
            [](const JumpEntry& a, const JumpEntry& b) { return a.code < b.code; });
  return entries;
}

Result<std::vector<PatchSites::JumpEntry>> PatchSites::LoadJumpTable(std::string_view module) {
  KCD_ASSIGN(const TypeCatalog* types, session_.Types());
  if (module.empty()) {
    KCD_ASSIGN(const uint64_t start, session_.SymbolAddress("__start___jump_table"));
    KCD_ASSIGN(const uint64_t stop, session_.SymbolAddress("__stop___jump_table"));
    KCD_ASSIGN(const Layout entry, Layout::Of(*types, "struct jump_entry"));
    return ReadJumpEntries(start, (stop - start) / entry.bytes());
  }
  KCD_ASSIGN(const Layout layout, Layout::Of(*types, "struct module"));
  KCD_ASSIGN(const Field entries, layout.Need("jump_entries"));
  KCD_ASSIGN(const Field count, layout.Need("num_jump_entries"));
  KCD_ASSIGN(const ModuleList* modules, session_.Modules());
  for (const LoadedModule& loaded : modules->modules) {
    if (loaded.name != module) continue;
    Record record;
    KCD_TRY(record.Load(session_.kernel(), loaded.address, layout.bytes()));
    return ReadJumpEntries(record.Unsigned(entries), record.Unsigned(count));
  }
  return std::vector<JumpEntry>();  // bpf and the like have none
}

const PatchSites::JumpTable& PatchSites::JumpTableOf(std::string_view module) {
  const auto known = std::find_if(jump_tables_.begin(), jump_tables_.end(),
                                  [&](const JumpTable& table) { return table.module == module; });
  if (known != jump_tables_.end()) return *known;
  JumpTable table{.module = std::string(module), .entries = {}};
  auto entries = LoadJumpTable(module);
  if (entries.ok()) {
    table.entries = std::move(entries.value());
  } else {
    notes_.push_back("static keys" + (module.empty() ? "" : " of " + table.module) +
                     " are not told: " + entries.error().message);
  }
  return jump_tables_.emplace_back(std::move(table));
}

std::optional<PatchSite> PatchSites::StaticKeyAt(uint64_t address, std::string_view module) {
  const std::vector<JumpEntry>& entries = JumpTableOf(module).entries;
  const auto found =
      std::lower_bound(entries.begin(), entries.end(), address,
                       [](const JumpEntry& entry, uint64_t at) { return entry.code < at; });
  if (found == entries.end() || found->code != address) return std::nullopt;
  PatchSite site;
  site.kind = PatchSite::Kind::kStaticKey;
  site.key = found->key;
  site.jump_target = found->target;
  // struct static_key begins with its atomic_t enabled; −1 while it is being switched on.
  const auto enabled = session_.kernel().ReadValue<int32_t>(found->key);
  if (enabled.ok()) site.enabled = enabled.value() != 0;
  return site;
}

/// kernel: kernel/trace/ftrace.c. Each page's records are sorted by their ip.
Result<std::vector<PatchSites::FtracePage>> PatchSites::LoadFtracePages() {
  KCD_ASSIGN(const TypeCatalog* types, session_.Types());
  KCD_ASSIGN(const Layout layout, Layout::Of(*types, "struct ftrace_page"));
  KCD_ASSIGN(const Field next, layout.Need("next"));
  KCD_ASSIGN(const Field records, layout.Need("records"));
  KCD_ASSIGN(const Field index, layout.Need("index"));
  KCD_ASSIGN(const Layout dyn_ftrace, Layout::Of(*types, "struct dyn_ftrace"));
  KCD_ASSIGN(const Field ip, dyn_ftrace.Need("ip"));
  record_bytes_ = dyn_ftrace.bytes();
  record_ip_ = ip.offset;
  KCD_ASSIGN(const uint64_t start, session_.SymbolAddress("ftrace_pages_start"));
  KernelSpace& kernel = session_.kernel();
  KCD_ASSIGN(uint64_t at, kernel.ReadValue<uint64_t>(start));
  std::vector<FtracePage> pages;
  std::set<uint64_t> met;
  Record record;
  while (at != 0) {
    if (!met.insert(at).second || met.size() > kMaxFtracePages) {
      return MakeError(ErrorCode::kCorrupt, "the list of ftrace pages does not end");
    }
    KCD_TRY(record.Load(kernel, at, layout.bytes()));
    FtracePage page{.records = record.Unsigned(records), .count = record.Unsigned(index)};
    at = record.Unsigned(next);
    if (page.count == 0) continue;
    KCD_ASSIGN(page.first, kernel.ReadValue<uint64_t>(page.records + record_ip_));
    const uint64_t last = page.records + (page.count - 1) * record_bytes_;
    KCD_ASSIGN(page.last, kernel.ReadValue<uint64_t>(last + record_ip_));
    pages.push_back(page);
  }
  return pages;
}

bool PatchSites::IsFtraceSite(uint64_t address) {
  if (!ftrace_pages_) {
    auto pages = LoadFtracePages();
    if (!pages.ok()) notes_.push_back("ftrace sites are not told: " + pages.error().message);
    ftrace_pages_ = pages.ok() ? std::move(pages.value()) : std::vector<FtracePage>();
  }
  for (const FtracePage& page : *ftrace_pages_) {
    if (address < page.first || address > page.last) continue;
    uint64_t low = 0;
    uint64_t high = page.count;
    while (low < high) {
      const uint64_t middle = low + (high - low) / 2;
      const uint64_t record = page.records + middle * record_bytes_;
      const auto ip = session_.kernel().ReadValue<uint64_t>(record + record_ip_);
      if (!ip.ok()) break;
      if (ip.value() == address) return true;
      if (ip.value() < address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
  }
  return false;
}

}  // namespace kcoredump
