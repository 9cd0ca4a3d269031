// SPDX-License-Identifier: MIT
//
// Kprobes hang in kprobe_table; several at one place hang on one that stands for all (kernel:
// kernel/kprobes.c).
#include <algorithm>

#include "base/error.h"
#include "inspect/check/checks.h"
#include "kcoredump/text.h"
#include "symbol/chain_walk.h"

namespace kcoredump {

namespace {

/// Kernel: kernel/kprobes.c, KPROBE_TABLE_SIZE.
constexpr uint64_t kKprobeBuckets = 64;
constexpr size_t kMaxKprobes = 65536;

/// Kernel: include/linux/kprobes.h.
constexpr uint64_t kKprobeGone = 1;
constexpr uint64_t kKprobeDisabled = 2;

/// The struct kprobe behind every node of the table, until an error.
Status VisitKprobes(const TaskSources& sources, const std::function<void(uint64_t probe)>& visit) {
  const auto table = sources.symbol("kprobe_table");
  if (!table) return MakeError(ErrorCode::kNotFound, "this kernel has no symbol kprobe_table");
  KCD_ASSIGN(const Layout probe, Layout::Of(sources.types, "struct kprobe"));
  KCD_ASSIGN(const Field node, probe.Need("hlist"));
  for (uint64_t i = 0; i < kKprobeBuckets; ++i) {
    KCD_ASSIGN(const uint64_t first, sources.kernel.ReadValue<uint64_t>(*table + i * 8));
    const ListOutcome walk =
        WalkChain(sources.kernel, first, 0, kMaxKprobes, "the table of kprobes", [&](uint64_t at) {
          visit(at - node.offset);
          return true;
        });
    if (walk.lost) return Corrupt(walk.note);
  }
  return {};
}

class KprobeChecker {
 public:
  KprobeChecker(const CheckSources& sources, CheckLog& log) : sources_(sources), log_(log) {}

  [[nodiscard]] Status FindFields();
  void CheckOne(uint64_t probe, bool as_part);

 private:
  void CheckParts(uint64_t probe);
  [[nodiscard]] uint64_t HandlerOf(const Record& probe) const;

  const CheckSources& sources_;
  CheckLog& log_;
  Field links_, address_, before_, after_, flags_;  ///< of kprobe
  uint64_t bytes_ = 0;
  Field return_handler_;  ///< of kretprobe, which begins with its kprobe
  std::optional<uint64_t> all_together_, at_return_;
};

Status KprobeChecker::FindFields() {
  KCD_ASSIGN(const Layout probe, Layout::Of(sources_.kernel.types, "struct kprobe"));
  KCD_ASSIGN(links_, probe.Need("list"));
  KCD_ASSIGN(address_, probe.Need("addr"));
  KCD_ASSIGN(before_, probe.Need("pre_handler"));
  KCD_ASSIGN(after_, probe.Need("post_handler"));
  KCD_ASSIGN(flags_, probe.Need("flags"));
  bytes_ = probe.bytes();
  const auto at_return = Layout::Of(sources_.kernel.types, "struct kretprobe");
  if (at_return.ok()) return_handler_ = at_return.value().Find("handler");
  all_together_ = sources_.kernel.symbol("aggr_pre_handler");
  at_return_ = sources_.kernel.symbol("pre_handler_kretprobe");
  return {};
}

/// Whose code runs: of a kretprobe, not the kernel's own step on the way.
uint64_t KprobeChecker::HandlerOf(const Record& probe) const {
  const uint64_t before = probe.Unsigned(before_);
  if (before != 0 && before == at_return_ && return_handler_.known()) {
    const uint64_t handler = sources_.WordAt(probe.address() + return_handler_.offset);
    if (handler != 0) return handler;
  }
  return before != 0 ? before : probe.Unsigned(after_);
}

void KprobeChecker::CheckParts(uint64_t address) {
  log_.VisitList(address + links_.offset, links_.offset, kMaxKprobes, "a list of kprobes",
                 [&](uint64_t part) { CheckOne(part, true); });
}

void KprobeChecker::CheckOne(uint64_t address, bool as_part) {
  Record probe;
  const Status read = probe.Load(sources_.kernel.kernel, address, bytes_);
  if (!read.ok()) return log_.Unchecked("a kprobe: " + read.error().message);
  if (!as_part && all_together_ && probe.Unsigned(before_) == *all_together_) {
    return CheckParts(address);
  }
  log_.Examined();
  const uint64_t site = probe.Unsigned(address_);
  const uint64_t target = HandlerOf(probe);
  const uint64_t flags = probe.Unsigned(flags_);
  const std::string name = sources_.NameOf(site);
  const std::string object = name.empty() ? HexAddress(site) : name;
  const char* state = (flags & kKprobeGone) != 0       ? ", gone with its module"
                      : (flags & kKprobeDisabled) != 0 ? ", disabled"
                                                       : "";
  log_.Find({.kind = target == 0 || sources_.code.IsCode(target) ? "hook" : "pointer",
             .object = object,
             .address = address,
             .value = target,
             .text = "a kprobe at " + sources_.Describe(site) + " calls " +
                     (target == 0 ? "nothing" : sources_.Describe(target)) + state});
}

}  // namespace

std::vector<uint64_t> KprobeSites(const TaskSources& sources) {
  std::vector<uint64_t> sites;
  const auto probe = Layout::Of(sources.types, "struct kprobe");
  const Field address = probe.ok() ? probe.value().Find("addr") : Field{};
  if (!address.known()) return sites;
  // What is lost is said where kprobes themselves are checked.
  (void)VisitKprobes(sources, [&](uint64_t at) {
    const auto site = sources.kernel.ReadValue<uint64_t>(at + address.offset);
    if (site.ok()) sites.push_back(site.value());
  });
  std::sort(sites.begin(), sites.end());
  return sites;
}

void CheckKprobes(const CheckSources& sources, CheckLog& log) {
  KprobeChecker checker(sources, log);
  Status done = checker.FindFields();
  if (done.ok()) {
    done = VisitKprobes(sources.kernel, [&](uint64_t probe) { checker.CheckOne(probe, false); });
  }
  if (!done.ok()) log.Unchecked(done.error().message);
}

}  // namespace kcoredump
