// SPDX-License-Identifier: MIT
//
// Tables of code addresses that have a fixed place: system calls, interrupt gates, notifiers.
#include <array>

#include "inspect/check/checks.h"
#include "kcoredump/text.h"
#include "symbol/chain_walk.h"

namespace kcoredump {

namespace {

/// Kernels have some 550.
constexpr uint64_t kMaxSyscalls = 4096;
constexpr size_t kMaxNotifiers = 4096;

/// Kernel: arch/x86/include/asm/desc_defs.h, struct gate_struct (Intel SDM 3A, 6.14.1).
struct InterruptGate {
  uint16_t low = 0;
  uint16_t segment = 0;
  uint16_t flags = 0;
  uint16_t middle = 0;
  uint32_t high = 0;
  uint32_t reserved = 0;

  [[nodiscard]] bool present() const { return (flags >> 15) != 0; }
  [[nodiscard]] uint64_t target() const {
    return uint64_t{high} << 32 | uint64_t{middle} << 16 | low;
  }
};
constexpr size_t kGates = 256;

/// Chains that hang on a static head, by the type of head (kernel: include/linux/notifier.h).
struct ChainHeads {
  const char* type;
  std::vector<const char*> names;
};
const std::vector<ChainHeads>& KnownChains() {
  static const std::vector<ChainHeads> kChains = {
      {"struct atomic_notifier_head",
       {"panic_notifier_list", "die_chain", "keyboard_notifier_list", "vt_notifier_list",
        "inet6addr_chain", "netevent_notif_chain", "restart_handler_list", "idle_notifier",
        "power_off_handler_list", "task_free_notifier", "fib_notifier_chain",
        "dcbevent_notif_chain"}},
      {"struct blocking_notifier_head",
       {"reboot_notifier_list",
        "module_notify_list",
        "inetaddr_chain",
        "inetaddr_validator_chain",
        "inet6addr_validator_chain",
        "netlink_chain",
        "memory_chain",
        "crypto_chain",
        "pm_chain_head",
        "fb_notifier_list",
        "acpi_chain_head",
        "oom_notify_list",
        "usb_notifier_list",
        "x86_mce_decoder_chain",
        "blocking_lsm_notifier_chain",
        "reconfig_chain",
        "task_exit_notifier",
        "munmap_notifier",
        "cpufreq_policy_notifier_list",
        "restart_prep_handler_list"}},
      {"struct raw_notifier_head",
       {"netdev_chain", "pvclock_gtod_chain", "cpu_chain", "cpu_pm_notifier_chain",
        "clockevents_chain"}},
      {"struct srcu_notifier_head", {"cpufreq_transition_notifier_list"}},
  };
  return kChains;
}

/// The size that kallsyms gives a table, nothing when it is not known.
std::optional<uint64_t> TableBytes(const CheckSources& sources, const char* name,
                                   uint64_t address) {
  for (const Symbol& symbol : sources.symbols.Named(name)) {
    if (symbol.address == address && symbol.size != 0) return symbol.size;
  }
  return std::nullopt;
}

/// All entries of a table begin functions that have sys_ in their names: __x64_sys_read,
/// __ia32_compat_sys_openat, sys_ni_syscall.
bool BeginsSyscall(const CheckSources& sources, uint64_t address) {
  for (const Symbol& symbol : sources.symbols.StartingAt(address)) {
    if (symbol.name.find("sys_") != std::string_view::npos) return true;
  }
  return false;
}

/// Exceptions that the kernel never sets a gate for keep that of early boot, in init text that is
/// gone (kernel: arch/x86/kernel/idt.c, idt_setup_early_handler).
bool IsEarlyGate(const CheckSources& sources, uint64_t address) {
  const auto symbol = sources.symbols.Containing(address);
  return symbol && symbol->module.empty() && symbol->name == "early_idt_handler_array";
}

void CheckSyscallTable(const CheckSources& sources, const char* name, uint64_t at, CheckLog& log) {
  const auto bytes = TableBytes(sources, name, at);
  if (!bytes || *bytes / 8 > kMaxSyscalls) {
    return log.Unchecked("the size of " + std::string(name) + " is not known");
  }
  std::vector<uint64_t> entries(*bytes / 8);
  const Status read = sources.kernel.kernel.Read(at, std::as_writable_bytes(std::span(entries)));
  if (!read.ok()) return log.Unchecked(std::string(name) + ": " + read.error().message);
  while (!entries.empty() && entries.back() == 0) entries.pop_back();  // what fills up the line
  log.Examined(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const uint64_t target = entries[i];
    if (sources.code.kernel_text().Contains(target) && BeginsSyscall(sources, target)) continue;
    const std::string object = std::string(name) + "[" + std::to_string(i) + "]";
    log.Find(
        {.kind = "pointer",
         .object = object,
         .address = at + i * 8,
         .value = target,
         .text = object + " leads to " + sources.Describe(target) +
                 (sources.code.kernel_text().Contains(target) ? ", where no system call begins"
                                                              : ", not into the kernel's text")});
  }
}

void CheckChain(const CheckSources& sources, const std::string& name, uint64_t first,
                const Field& call, const Field& next, CheckLog& log) {
  log.Report(WalkChain(sources.kernel.kernel, first, next.offset, kMaxNotifiers,
                       "the chain " + name, [&](uint64_t block) {
                         const auto target =
                             sources.kernel.kernel.ReadValue<uint64_t>(block + call.offset);
                         if (!target.ok()) {
                           log.Unchecked("the chain " + name + ": " + target.error().message);
                           return false;
                         }
                         log.Examined();
                         if (sources.code.IsCode(target.value())) return true;
                         log.Find({.kind = "pointer",
                                   .object = name,
                                   .address = block + call.offset,
                                   .value = target.value(),
                                   .text = "the notifier chain " + name + " calls " +
                                           sources.Describe(target.value()) + ", by the block at " +
                                           HexAddress(block)});
                         return true;
                       }));
}

}  // namespace

void CheckSyscalls(const CheckSources& sources, CheckLog& log) {
  bool any = false;
  // Since 6.9 (1e3ad78334a6) x86 calls by a switch, and the table is there for ftrace alone.
  for (const char* name :
       {"sys_call_table", "ia32_sys_call_table", "x32_sys_call_table", "compat_sys_call_table"}) {
    const auto at = sources.kernel.symbol(name);
    any |= at.has_value();
    if (at) CheckSyscallTable(sources, name, *at, log);
  }
  if (!any) log.Unchecked("this kernel has no symbol sys_call_table");
}

void CheckIdt(const CheckSources& sources, CheckLog& log) {
  const auto at = sources.kernel.symbol("idt_table");
  if (!at) return log.Unchecked("this kernel has no symbol idt_table");
  std::array<InterruptGate, kGates> table;
  const Status read = sources.kernel.kernel.Read(*at, std::as_writable_bytes(std::span(table)));
  if (!read.ok()) return log.Unchecked("idt_table: " + read.error().message);
  for (size_t i = 0; i < table.size(); ++i) {
    if (!table[i].present()) continue;
    log.Examined();
    const uint64_t target = table[i].target();
    if (sources.code.kernel_text().Contains(target) || IsEarlyGate(sources, target)) continue;
    const std::string object = "idt_table[" + std::to_string(i) + "]";
    log.Find({.kind = "pointer",
              .object = object,
              .address = *at + i * sizeof(InterruptGate),
              .value = target,
              .text = "the interrupt gate " + object + " leads to " + sources.Describe(target) +
                      ", not into the kernel's text"});
  }
}

void CheckNotifiers(const CheckSources& sources, CheckLog& log) {
  const auto block = Layout::Of(sources.kernel.types, "struct notifier_block");
  if (!block.ok()) return log.Unchecked(block.error().message);
  const auto call = block.value().Need("notifier_call");
  const auto next = block.value().Need("next");
  if (!call.ok()) return log.Unchecked(call.error().message);
  if (!next.ok()) return log.Unchecked(next.error().message);
  std::string missing;
  for (const ChainHeads& heads : KnownChains()) {
    const auto layout = Layout::Of(sources.kernel.types, heads.type);
    const Field head = layout.ok() ? layout.value().Find("head") : Field{};
    for (const char* name : heads.names) {
      const auto at = sources.kernel.symbol(name);
      if (!at || !head.known()) {
        missing += (missing.empty() ? "" : ", ") + std::string(name);
        continue;
      }
      const uint64_t first = sources.WordAt(*at + head.offset);
      CheckChain(sources, name, first, call.value(), next.value(), log);
    }
  }
  if (!missing.empty()) log.Unchecked("this kernel has no " + missing);
}

}  // namespace kcoredump
