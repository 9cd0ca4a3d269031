// SPDX-License-Identifier: MIT
//
// Descriptors stand in a radix tree up to 6.4, in a maple tree since (721255b9826b). What is told
// of each, and of which, is kernel/irq/proc.c's show_interrupts.
#include "inspect/deferred/irqs.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "inspect/deferred/actors.h"
#include "inspect/per_cpu.h"
#include "kcoredump/text.h"
#include "symbol/chain_walk.h"
#include "symbol/maple_walk.h"
#include "symbol/record.h"
#include "symbol/xarray_walk.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxIrqNameBytes = 256;

class IrqReader {
 public:
  [[nodiscard]] static Result<IrqReader> Create(const TaskSources& sources, IrqList& out);
  [[nodiscard]] Status Walk();

 private:
  IrqReader(const TaskSources& sources, IrqList& out, Layout desc, Layout action)
      : sources_(sources),
        out_(out),
        desc_layout_(std::move(desc)),
        action_layout_(std::move(action)),
        actors_(sources, out.findings.notes) {}
  [[nodiscard]] Status FindFields();
  void Keep(uint64_t number, uint64_t desc);
  void ReadActions(const Record& desc, Irq& irq);
  [[nodiscard]] IrqAction Describe(const Record& action);
  void Count(uint64_t per_cpu, Irq& irq);
  [[nodiscard]] std::string TextAt(uint64_t pointer);

  const TaskSources& sources_;
  IrqList& out_;
  Layout desc_layout_;
  Layout action_layout_;
  ActorReader actors_;
  std::vector<CpuArea> cpus_;
  Field data_chip_, data_domain_, data_hardware_, first_action_, counts_, flow_, flow_handler_;
  Field chip_name_;                                         ///< of irq_chip
  Field handler_, thread_function_, thread_, next_, name_;  ///< of irqaction
};

Result<IrqReader> IrqReader::Create(const TaskSources& sources, IrqList& out) {
  KCD_ASSIGN(Layout desc, Layout::Of(sources.types, "struct irq_desc"));
  KCD_ASSIGN(Layout action, Layout::Of(sources.types, "struct irqaction"));
  IrqReader reader(sources, out, std::move(desc), std::move(action));
  KCD_TRY(reader.FindFields());
  return reader;
}

Status IrqReader::FindFields() {
  auto& notes = out_.findings.notes;
  KCD_ASSIGN(first_action_, desc_layout_.Need("action"));
  KCD_ASSIGN(next_, action_layout_.Need("next"));
  data_chip_ = desc_layout_.Find("irq_data.chip", "chips are not known", notes);
  data_domain_ =
      desc_layout_.Find("irq_data.domain", "the chips' own numbers are not known", notes);
  data_hardware_ = desc_layout_.Find("irq_data.hwirq");
  counts_ = desc_layout_.Find("kstat_irqs", "counts are not known", notes);
  flow_ = desc_layout_.Find("name");
  flow_handler_ = desc_layout_.Find("handle_irq", "flow handlers are not known", notes);
  handler_ = action_layout_.Find("handler", "handlers are not known", notes);
  thread_function_ = action_layout_.Find("thread_fn");
  thread_ = action_layout_.Find("thread");
  name_ = action_layout_.Find("name", "handlers have no names", notes);
  const auto chip = Layout::Of(sources_.types, "struct irq_chip");
  if (chip.ok()) chip_name_ = chip.value().Find("name", "chips have no names", notes);
  cpus_ = CpusOf(sources_, "__cpu_online_mask");
  if (cpus_.empty()) {
    out_.findings.Add("__per_cpu_offset or __cpu_online_mask is missing: counts are not known");
  }
  for (const CpuArea& cpu : cpus_) out_.cpus.push_back(cpu.cpu);
  return {};
}

std::string IrqReader::TextAt(uint64_t pointer) {
  if (pointer == 0) return {};
  auto text = sources_.kernel.ReadString(pointer, kMaxIrqNameBytes);
  return text.ok() ? std::move(text.value()) : std::string();
}

/// An unsigned int or, since 6.9 (b05cf1cf1d8b), a struct that begins with one.
void IrqReader::Count(uint64_t per_cpu, Irq& irq) {
  for (const CpuArea& cpu : cpus_) {
    const auto count = sources_.kernel.ReadValue<uint32_t>(per_cpu + cpu.offset);
    if (!count.ok()) {
      out_.findings.Lost("counts of interrupt " + std::to_string(irq.number) + ": " +
                         count.error().message);
      return irq.counts.clear();
    }
    irq.counts.push_back(count.value());
  }
}

IrqAction IrqReader::Describe(const Record& action) {
  return {.name = TextAt(action.Unsigned(name_)),
          .handler = actors_.Function(action.Unsigned(handler_)),
          .thread_function = actors_.Function(action.Unsigned(thread_function_)),
          .thread = actors_.TaskAt(action.Unsigned(thread_)),
          .address = action.address()};
}

void IrqReader::ReadActions(const Record& desc, Irq& irq) {
  Record action;
  const ListOutcome walk = WalkChain(
      sources_.kernel, desc.Unsigned(first_action_), next_.offset, kMaxIrqActions,
      "the list of handlers of interrupt " + std::to_string(irq.number), [&](uint64_t at) {
        const Status read = action.Load(sources_.kernel, at, action_layout_.bytes());
        if (read.ok()) irq.actions.push_back(Describe(action));
        return read.ok();
      });
  if (walk.lost) out_.findings.Lost(walk.note);
}

void IrqReader::Keep(uint64_t number, uint64_t at) {
  Irq irq{.number = static_cast<uint32_t>(number), .address = at};
  Record desc;
  const Status read = desc.Load(sources_.kernel, at, desc_layout_.bytes());
  if (!read.ok()) {
    out_.findings.Lost("interrupt " + std::to_string(number) + ": " + read.error().message);
    return;
  }
  const uint64_t counts = desc.Unsigned(counts_);
  if (counts != 0) Count(counts, irq);
  const bool came =
      std::any_of(irq.counts.begin(), irq.counts.end(), [](uint64_t count) { return count != 0; });
  if (desc.Unsigned(first_action_) == 0 && !came) return;
  ReadActions(desc, irq);
  const uint64_t chip = desc.Unsigned(data_chip_);
  if (chip != 0 && chip_name_.known()) {
    const auto name = sources_.kernel.ReadValue<uint64_t>(chip + chip_name_.offset);
    if (name.ok()) irq.chip = TextAt(name.value());
  }
  if (desc.Unsigned(data_domain_) != 0) irq.hardware = desc.Unsigned(data_hardware_);
  irq.flow = TextAt(desc.Unsigned(flow_));
  irq.flow_handler = actors_.Function(desc.Unsigned(flow_handler_));
  out_.irqs.push_back(std::move(irq));
}

Status IrqReader::Walk() {
  ListOutcome walk;
  if (const auto tree = sources_.symbol("sparse_irqs")) {
    KCD_ASSIGN(const MapleWalker walker, MapleWalker::Create(sources_.types));
    walk = walker.Walk(sources_.kernel, *tree, kMaxIrqs, "the tree of interrupts",
                       [&](uint64_t first, uint64_t, uint64_t entry) {
                         Keep(first, entry);
                         return true;
                       });
  } else if (const auto radix = sources_.symbol("irq_desc_tree")) {
    KCD_ASSIGN(const XArrayWalker walker, XArrayWalker::Create(sources_.types));
    walk = walker.Walk(sources_.kernel, *radix, kMaxIrqs, "the tree of interrupts",
                       [&](uint64_t index, uint64_t entry) {
                         Keep(index, entry);
                         return true;
                       });
  } else {
    return MakeError(ErrorCode::kNotFound,
                     "no symbol sparse_irqs or irq_desc_tree: no tree of interrupts");
  }
  if (walk.lost) out_.findings.Lost(walk.note);
  LimitNotes(out_.findings.notes);
  return {};
}

}  // namespace

Result<IrqList> WalkIrqs(const TaskSources& sources) {
  IrqList list;
  KCD_ASSIGN(IrqReader reader, IrqReader::Create(sources, list));
  KCD_TRY(reader.Walk());
  return list;
}

Result<IrqList> ListIrqs(Kernel& kernel) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  return AskAgainWhileLive(session, [&] { return WalkIrqs(sources); });
}

}  // namespace kcoredump
