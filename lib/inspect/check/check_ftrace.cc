// SPDX-License-Identifier: MIT
//
// What calls in at the beginnings of functions (kernel: kernel/trace/ftrace.c).
#include <unordered_set>

#include "inspect/check/checks.h"
#include "inspect/check/ftrace_records.h"
#include "kcoredump/text.h"
#include "symbol/chain_walk.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxFtraceOps = 4096;
constexpr uint64_t kMaxHashBits = 20;
constexpr size_t kMaxHashEntries = 1 << 20;
constexpr size_t kFunctionsShown = 8;

/// Kernel: include/linux/ftrace.h, FTRACE_OPS_FL_ENABLED.
constexpr uint64_t kOpsEnabled = 1;
/// dyn_ftrace.flags: how many want a call here, below FTRACE_FL_BITS of flags; the fewest bits that
/// a kernel left to the count are 19 (6.18).
constexpr uint64_t kRecordUsers = (1 << 19) - 1;

class FtraceChecker {
 public:
  FtraceChecker(const CheckSources& sources, CheckLog& log) : sources_(sources), log_(log) {}

  [[nodiscard]] Status FindFields();
  void CheckOps(uint64_t first, uint64_t end);
  void CheckRecords();

 private:
  void CheckOne(uint64_t ops);
  [[nodiscard]] std::vector<uint64_t> FunctionsOf(uint64_t hash);
  [[nodiscard]] std::string FunctionName(uint64_t site) const;

  const CheckSources& sources_;
  CheckLog& log_;
  Field next_, function_, flags_, hashes_;  ///< of ftrace_ops
  uint64_t ops_bytes_ = 0;
  Field filter_;                 ///< of ftrace_ops_hash
  Field size_bits_, buckets_;    ///< of ftrace_hash
  Field entry_node_, entry_ip_;  ///< of ftrace_func_entry
  std::unordered_set<uint64_t> explained_;
  bool everything_ = false;  ///< some ops wants all functions
};

Status FtraceChecker::FindFields() {
  const TypeCatalog& types = sources_.kernel.types;
  KCD_ASSIGN(const Layout ops, Layout::Of(types, "struct ftrace_ops"));
  KCD_ASSIGN(next_, ops.Need("next"));
  KCD_ASSIGN(function_, ops.Need("func"));
  KCD_ASSIGN(flags_, ops.Need("flags"));
  KCD_ASSIGN(hashes_, ops.Need("func_hash"));
  ops_bytes_ = ops.bytes();
  KCD_ASSIGN(const Layout hashes, Layout::Of(types, "struct ftrace_ops_hash"));
  KCD_ASSIGN(filter_, hashes.Need("filter_hash"));
  KCD_ASSIGN(const Layout hash, Layout::Of(types, "struct ftrace_hash"));
  KCD_ASSIGN(size_bits_, hash.Need("size_bits"));
  KCD_ASSIGN(buckets_, hash.Need("buckets"));
  KCD_ASSIGN(const Layout entry, Layout::Of(types, "struct ftrace_func_entry"));
  KCD_ASSIGN(entry_node_, entry.Need("hlist"));
  KCD_ASSIGN(entry_ip_, entry.Need("ip"));
  return {};
}

/// Of a struct ftrace_hash; nothing: all functions.
std::vector<uint64_t> FtraceChecker::FunctionsOf(uint64_t hash) {
  std::vector<uint64_t> functions;
  const auto bits = sources_.kernel.kernel.ReadValue<uint32_t>(hash + size_bits_.offset);
  const uint64_t buckets = sources_.WordAt(hash + buckets_.offset);
  if (hash == 0 || !bits.ok() || buckets == 0) return functions;
  if (bits.value() > kMaxHashBits) {
    log_.Unchecked("a table of traced functions claims 2^" + std::to_string(bits.value()) +
                   " buckets");
    return functions;
  }
  for (uint64_t i = 0; i < uint64_t{1} << bits.value(); ++i) {
    log_.Report(WalkChain(sources_.kernel.kernel, sources_.WordAt(buckets + i * 8), 0,
                          kMaxHashEntries, "a table of traced functions", [&](uint64_t node) {
                            functions.push_back(
                                sources_.WordAt(node - entry_node_.offset + entry_ip_.offset));
                            return functions.size() < kMaxHashEntries;
                          }));
  }
  return functions;
}

/// The site is the call at a function's beginning, behind its endbr64 if it has one.
std::string FtraceChecker::FunctionName(uint64_t site) const {
  const std::string name = sources_.NameOf(site);
  const size_t offset = name.find("+0x4");
  if (offset == std::string::npos) return name.empty() ? HexAddress(site) : name;
  return name.substr(0, offset) + name.substr(offset + 4);
}

void FtraceChecker::CheckOne(uint64_t address) {
  Record ops;
  const Status read = ops.Load(sources_.kernel.kernel, address, ops_bytes_);
  if (!read.ok()) return log_.Unchecked("an ftrace_ops: " + read.error().message);
  log_.Examined();
  const std::vector<uint64_t> functions =
      FunctionsOf(sources_.WordAt(ops.Unsigned(hashes_) + filter_.offset));
  explained_.insert(functions.begin(), functions.end());
  everything_ |= functions.empty();
  std::string shown = functions.empty() ? "every function" : "";
  for (size_t i = 0; i < std::min(functions.size(), kFunctionsShown); ++i) {
    shown += (i == 0 ? "" : ", ") + FunctionName(functions[i]);
  }
  if (functions.size() > kFunctionsShown) {
    shown += " and " + std::to_string(functions.size() - kFunctionsShown) + " more";
  }
  const uint64_t target = ops.Unsigned(function_);
  const bool enabled = (ops.Unsigned(flags_) & kOpsEnabled) != 0;
  log_.Find({.kind = sources_.code.IsCode(target) ? "hook" : "pointer",
             .object = shown,
             .address = address,
             .value = target,
             .text = shown + (functions.size() > 1 ? " are" : " is") + " traced by " +
                     sources_.Describe(target) + (enabled ? "" : ", not enabled")});
}

void FtraceChecker::CheckOps(uint64_t first, uint64_t end) {
  if (first == end) return;
  log_.Report(WalkChain(sources_.kernel.kernel, first, next_.offset, kMaxFtraceOps,
                        "the list of ftrace_ops", [&](uint64_t ops) {
                          if (ops == end) return false;
                          CheckOne(ops);
                          return true;
                        }));
}

void FtraceChecker::CheckRecords() {
  size_t count = 0;
  const Status walked = VisitFtraceRecords(sources_.kernel, [&](uint64_t site, uint64_t flags) {
    ++count;
    if ((flags & kRecordUsers) == 0 || everything_ || explained_.count(site) != 0) return true;
    log_.Find({.kind = "hidden",
               .object = FunctionName(site),
               .compared = "ftrace's records with ftrace_ops_list",
               .address = site,
               .text = FunctionName(site) +
                       " is traced by its record, but no ftrace_ops that is listed wants it"});
    return true;
  });
  log_.Examined(count);
  if (!walked.ok()) log_.Unchecked("ftrace's records: " + walked.error().message);
}

}  // namespace

void CheckFtrace(const CheckSources& sources, CheckLog& log) {
  const auto list = sources.kernel.symbol("ftrace_ops_list");
  const auto end = sources.kernel.symbol("ftrace_list_end");
  if (!list || !end) {
    return log.Unchecked("this kernel has no symbols ftrace_ops_list and ftrace_list_end");
  }
  const auto first = sources.kernel.kernel.ReadValue<uint64_t>(*list);
  if (!first.ok()) return log.Unchecked("ftrace_ops_list: " + first.error().message);
  FtraceChecker checker(sources, log);
  const Status found = checker.FindFields();
  if (!found.ok()) return log.Unchecked(found.error().message);
  checker.CheckOps(first.value(), *end);
  checker.CheckRecords();
}

}  // namespace kcoredump
