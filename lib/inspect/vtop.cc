// SPDX-License-Identifier: MIT
#include "kcoredump/vtop.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/try.h"
#include "inspect/session.h"
#include "inspect/table.h"
#include "inspect/task/tasks.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

std::string KindName(EntryKind kind) {
  switch (kind) {
    case EntryKind::kAbsent:
      return "absent";
    case EntryKind::kTable:
      return "table";
    case EntryKind::kPage:
      return "page";
    case EntryKind::kForged:
      return "forged";
  }
  return "unknown";
}

TranslationStep Describe(Session& session, const Paging& paging, size_t level,
                         const WalkStep& step) {
  TranslationStep out;
  out.level = step.level;
  out.table = step.table.value;
  out.index = step.index;
  out.entry_address = step.entry_address().value;
  out.entry = step.entry;
  out.kind = KindName(step.decoded.kind);
  const Architecture* arch = session.facts().arch;
  if (arch == nullptr) return out;
  for (const std::string_view flag : arch->EntryFlags(paging, level, step.entry)) {
    out.flags.emplace_back(flag);
  }
  return out;
}

Result<PageWalk> WalkFor(Session& session, const Target& target) {
  if (target.space == Target::Space::kKernel) return session.kernel().Walk({target.address});
  KCD_ASSIGN(const uint64_t pgd, ProcessRoot(session, target.pid));
  KCD_ASSIGN(const auto space, session.ProcessSpace(pgd));
  return space->Walk({target.address});
}

/// What a whole half of the address space of tables that were not forged takes at most, in steps: a
/// step for each page, and for each table's gaps.
constexpr uint64_t kMaxProcessSteps = uint64_t{1} << 27;

std::string JoinedWords(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

Result<std::vector<PhysRange>> MappedByProcess(Kernel& kernel, uint32_t pid) {
  Session& session = kernel.session();
  KCD_ASSIGN(const uint64_t pgd, ProcessRoot(session, pid));
  KCD_ASSIGN(const auto space, session.ProcessSpace(pgd));
  const Architecture* arch = session.facts().arch;
  if (arch == nullptr) return MakeError(ErrorCode::kUnsupported, "no page tables are known");
  KCD_ASSIGN(const Paging paging, arch->PagingOf(session.facts().vmcoreinfo));
  const Range user{0, uint64_t{1} << (paging.virtual_bits - 1)};
  KCD_ASSIGN(const auto mapped, space->MappedRanges(user, kMaxProcessSteps));
  std::vector<Range> ranges;
  for (const MappedRange& one : mapped) {
    ranges.push_back({one.phys.value, one.phys.value + one.virt.size()});
  }
  std::vector<PhysRange> out;
  for (const Range& range : Normalized(std::move(ranges))) out.push_back({range.begin, range.end});
  return out;
}

Result<TranslationAnswer> TranslateAddress(Kernel& kernel, const Target& target) {
  Session& session = kernel.session();
  if (target.space == Target::Space::kPhysical) {
    return MakeError(ErrorCode::kInvalidArgument, "a physical address needs no translation");
  }
  TranslationAnswer answer;
  answer.target = target;
  if (target.space == Target::Space::kKernel) {
    const auto linear = session.source().map().ToPhysical(VirtAddr{target.address});
    if (linear) answer.linear = linear->value;
    answer.symbol = session.Symbolize(target.address);
  }
  auto walk = WalkFor(session, target);
  if (!walk.ok()) {
    if (!answer.linear) return std::move(walk.error());
    answer.physical = answer.linear;
    answer.findings.Lost("no walk: " + walk.error().message);
    return answer;
  }
  const Architecture* arch = session.facts().arch;
  KCD_ASSIGN(const Paging paging, arch->PagingOf(session.facts().vmcoreinfo));
  for (size_t level = 0; level < walk.value().steps.size(); ++level) {
    answer.steps.push_back(Describe(session, paging, level, walk.value().steps[level]));
  }
  if (walk.value().phys) answer.physical = walk.value().phys->value;
  answer.page_bytes = walk.value().page_bytes;
  if (answer.physical && answer.linear && answer.physical != answer.linear) {
    answer.findings.Add("the program headers say physical " + HexAddress(*answer.linear) +
                        ", the page tables " + HexAddress(*answer.physical));
  }
  return answer;
}

std::string ToText(const TranslationAnswer& answer, const TextStyle& style) {
  std::string text = HexAddress(answer.target.address);
  if (answer.target.space == Target::Space::kProcess) {
    text += " of process " + std::to_string(answer.target.pid);
  }
  if (!answer.symbol.empty()) text += " <" + Escaped(answer.symbol) + ">";
  text += answer.physical ? " is physical " + HexAddress(*answer.physical) : " is not mapped";
  if (answer.page_bytes != 0) text += ", in a page of " + HumanBytes(answer.page_bytes);
  text += "\n";
  if (answer.steps.empty()) return text;
  Table table({{"LEVEL"}, {"INDEX", true}, {"ENTRY AT"}, {"ENTRY"}, {"KIND"}, {"FLAGS"}});
  for (const TranslationStep& step : answer.steps) {
    table.AddRow({step.level, std::to_string(step.index), HexAddress(step.entry_address),
                  HexAddress(step.entry), step.kind, JoinedWords(step.flags)});
  }
  return text + table.Text(style);
}

std::string ToJson(const TranslationAnswer& answer) {
  using nlohmann::ordered_json;
  const auto address_or_null = [](const std::optional<uint64_t>& value) {
    return value ? ordered_json(HexAddress(*value)) : ordered_json();
  };
  const bool process = answer.target.space == Target::Space::kProcess;
  ordered_json json;
  json["address"] = HexAddress(answer.target.address);
  json["space"] = process ? "process" : "kernel";
  json["pid"] = process ? ordered_json(answer.target.pid) : ordered_json();
  json["symbol"] = answer.symbol.empty() ? ordered_json() : ordered_json(Escaped(answer.symbol));
  json["physical"] = address_or_null(answer.physical);
  json["page_bytes"] = answer.page_bytes == 0 ? ordered_json() : ordered_json(answer.page_bytes);
  json["levels"] = ordered_json::array();
  for (const TranslationStep& step : answer.steps) {
    json["levels"].push_back({{"level", step.level},
                              {"table", HexAddress(step.table)},
                              {"index", step.index},
                              {"entry_address", HexAddress(step.entry_address)},
                              {"entry", HexAddress(step.entry)},
                              {"kind", step.kind},
                              {"flags", step.flags}});
  }
  json["notes"] = answer.findings.notes;
  json["incomplete"] = answer.findings.incomplete;
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace kcoredump
