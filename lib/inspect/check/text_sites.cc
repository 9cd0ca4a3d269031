// SPDX-License-Identifier: MIT
#include "inspect/check/text_sites.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/try.h"
#include "inspect/check/checks.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

/// A call or a jump of x86, and the longest that is put over one.
constexpr uint64_t kSiteBytes = 5;
constexpr uint64_t kMaxStaticCalls = 1 << 20;
constexpr uint64_t kMaxStaticCallBytes = 64;  ///< of one, by BTF, which may be forged
constexpr uint64_t kDispatcherBytes = 16;
/// Calls in ftrace's own trampolines (kernel: arch/x86/kernel/ftrace_64.S), up to five bytes.
constexpr std::array kFtraceCalls = {"ftrace_call", "ftrace_regs_call", "ftrace_graph_call"};
/// A static call's trampoline is a jump, and what fills it up to eight bytes (kernel:
/// arch/x86/include/asm/static_call.h).
constexpr std::string_view kTrampoline = "__SCT__";
constexpr uint64_t kTrampolineBytes = 8;

/// Whether one of `sites`, which are sorted, begins within the bytes before.
bool BeginsBefore(const std::vector<uint64_t>& sites, uint64_t address) {
  const auto after = std::upper_bound(sites.begin(), sites.end(), address);
  return after != sites.begin() && address - *std::prev(after) < kSiteBytes;
}

bool IsPatchedByName(const Symbol& symbol, uint64_t address) {
  const uint64_t offset = address - symbol.address;
  if (symbol.name.starts_with(kTrampoline)) return offset < kTrampolineBytes;
  if (symbol.name.starts_with("bpf_dispatcher_")) return offset < kDispatcherBytes;
  return offset < kSiteBytes &&
         std::find(kFtraceCalls.begin(), kFtraceCalls.end(), symbol.name) != kFtraceCalls.end();
}

}  // namespace

/// struct static_call_site: both members are relative to themselves (kernel:
/// include/linux/static_call_types.h).
Result<std::vector<uint64_t>> TextSites::ReadStaticCalls(uint64_t start, uint64_t count) {
  KCD_ASSIGN(const TypeCatalog* types, session_.Types());
  KCD_ASSIGN(const Layout layout, Layout::Of(*types, "struct static_call_site"));
  KCD_ASSIGN(const Field site, layout.Need("addr"));
  if (count > kMaxStaticCalls || layout.bytes() > kMaxStaticCallBytes ||
      site.bytes != sizeof(int32_t)) {
    return Corrupt("a table of " + std::to_string(count) + " static calls of " +
                   std::to_string(layout.bytes()) + " bytes");
  }
  std::vector<std::byte> bytes(count * layout.bytes());
  KCD_TRY(session_.kernel().Read(start, bytes));
  std::vector<uint64_t> sites;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = i * layout.bytes() + site.offset;
    int32_t offset = 0;
    std::memcpy(&offset, bytes.data() + at, sizeof(offset));
    sites.push_back(start + at + static_cast<uint64_t>(int64_t{offset}));
  }
  std::sort(sites.begin(), sites.end());
  return sites;
}

Result<std::vector<uint64_t>> TextSites::LoadStaticCalls(std::string_view module) {
  KCD_ASSIGN(const TypeCatalog* types, session_.Types());
  if (module.empty()) {
    const auto start = session_.FindSymbol("__start_static_call_sites");
    const auto stop = session_.FindSymbol("__stop_static_call_sites");
    if (!start || !stop) return std::vector<uint64_t>();  // this kernel has none
    KCD_ASSIGN(const Layout site, Layout::Of(*types, "struct static_call_site"));
    return ReadStaticCalls(*start, (*stop - *start) / site.bytes());
  }
  KCD_ASSIGN(const Layout layout, Layout::Of(*types, "struct module"));
  const Field sites = layout.Find("static_call_sites");
  const Field count = layout.Find("num_static_call_sites");
  KCD_ASSIGN(const ModuleList* modules, session_.Modules());
  for (const LoadedModule& loaded : modules->modules) {
    if (loaded.name != module || !sites.known() || !count.known()) continue;
    Record record;
    KCD_TRY(record.Load(session_.kernel(), loaded.address, layout.bytes()));
    return ReadStaticCalls(record.Unsigned(sites), record.Unsigned(count));
  }
  return std::vector<uint64_t>();
}

const std::vector<uint64_t>& TextSites::StaticCallsOf(std::string_view module) {
  const auto known = static_calls_.find(module);
  if (known != static_calls_.end()) return known->second;
  auto sites = LoadStaticCalls(module);
  if (!sites.ok()) {
    notes_.push_back("static calls are not told: " + sites.error().message);
    sites = std::vector<uint64_t>();
  }
  return static_calls_.emplace(std::string(module), std::move(sites.value())).first->second;
}

const std::vector<uint64_t>& TextSites::Kprobes() {
  if (!kprobes_) {
    const auto sources = TaskSourcesOf(session_);
    kprobes_ = sources.ok() ? KprobeSites(sources.value()) : std::vector<uint64_t>();
  }
  return *kprobes_;
}

bool TextSites::Covers(uint64_t address) {
  const auto table = session_.Symbols();
  const auto symbol = table.ok() ? table.value()->Containing(address) : std::nullopt;
  const std::string_view module = symbol ? symbol->module : std::string_view();
  if (symbol && IsPatchedByName(*symbol, address)) return true;
  if (BeginsBefore(StaticCallsOf(module), address) || BeginsBefore(Kprobes(), address)) return true;
  for (uint64_t site = address; address - site < kSiteBytes; --site) {
    if (patches_.StaticKeyAt(site, module) || patches_.IsFtraceSite(site)) return true;
  }
  return false;
}

std::vector<std::string> TextSites::Notes() const {
  std::vector<std::string> notes = notes_;
  notes.insert(notes.end(), patches_.notes().begin(), patches_.notes().end());
  return notes;
}

}  // namespace kcoredump
