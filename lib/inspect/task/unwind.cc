// SPDX-License-Identifier: MIT
//
// The steps are those of arch/x86/kernel/unwind_orc.c, unwind_next_frame.
#include "inspect/task/unwind.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr uint64_t kWordBytes = 8;

/// What a function with a frame pointer looks like (unwind_orc.c, orc_fp_entry): code that was made
/// at run time has no ORC.
constexpr OrcRule kFramePointerRule = {.sp_base = OrcBase::kBp,
                                       .bp_base = OrcBase::kPrevSp,
                                       .sp_offset = 16,
                                       .bp_offset = -16,
                                       .kind = OrcKind::kCall};

bool IsKernelCode(uint64_t pc) { return pc >> 63 != 0; }

}  // namespace

StackUnwinder::StackUnwinder(const UnwindSources& sources) : sources_(sources) {
  FindRegisters();
  auto layout = OrcLayout::Of(sources_.types);
  if (!layout.ok()) {
    notes_.push_back(layout.error().message + ": stacks are followed by frame pointers");
    return;
  }
  layout_ = layout.value();
  LoadKernelTable();
  FindModuleFields();
}

void StackUnwinder::FindRegisters() {
  const auto regs = Layout::Of(sources_.types, "struct pt_regs");
  if (!regs.ok()) {
    notes_.push_back(regs.error().message + ": stacks end where an interrupt came");
    return;
  }
  bool all = true;
  const auto find = [&](const char* name) {
    const Field field = regs.value().Find(name);
    all = all && field.bytes == kWordBytes;
    return field.offset;
  };
  // With FRED, cs is the low half-word of more.
  const Field cs = regs.value().Find("cs");
  const RegisterOffsets offsets{.ip = find("ip"),
                                .cs = cs.offset,
                                .sp = find("sp"),
                                .bp = find("bp"),
                                .ax = find("ax"),
                                .dx = find("dx"),
                                .di = find("di"),
                                .r10 = find("r10"),
                                .r13 = find("r13")};
  if (all && cs.known()) {
    registers_ = offsets;
  } else {
    notes_.emplace_back("struct pt_regs lacks a member: stacks end where an interrupt came");
  }
}

void StackUnwinder::LoadKernelTable() {
  const auto ips = sources_.symbol("__start_orc_unwind_ip");
  const auto ips_end = sources_.symbol("__stop_orc_unwind_ip");
  const auto entries = sources_.symbol("__start_orc_unwind");
  if (!ips || !ips_end || !entries || *ips_end < *ips) {
    notes_.emplace_back(
        "no symbol __start_orc_unwind or __start_orc_unwind_ip: stacks are followed by frame "
        "pointers");
    return;
  }
  auto table = OrcTable::Read(sources_.kernel, *layout_, *ips, *entries,
                              (*ips_end - *ips) / sizeof(int32_t));
  if (table.ok()) {
    kernel_table_ = std::move(table.value());
    kernel_table_->LearnNumbers();
    layout_ = kernel_table_->layout();
  } else {
    notes_.push_back("ORC cannot be read, stacks are followed by frame pointers: " +
                     table.error().message);
  }
}

void StackUnwinder::FindModuleFields() {
  const auto module = Layout::Of(sources_.types, "struct module");
  if (!module.ok()) return;
  const Field count = module.value().Find("arch.num_orcs");
  const Field ips = module.value().Find("arch.orc_unwind_ip");
  const Field entries = module.value().Find("arch.orc_unwind");
  if (!count.known() || !ips.known() || !entries.known()) return;
  module_fields_ = {
      .count_offset = count.offset, .ips_offset = ips.offset, .entries_offset = entries.offset};
}

const OrcTable* StackUnwinder::TableOf(const LoadedModule& module) {
  const auto [entry, is_new] = module_tables_.try_emplace(module.address);
  if (is_new && layout_) {
    const auto count =
        sources_.kernel.ReadValue<uint32_t>(module.address + module_fields_->count_offset);
    const auto ips =
        sources_.kernel.ReadValue<uint64_t>(module.address + module_fields_->ips_offset);
    const auto entries =
        sources_.kernel.ReadValue<uint64_t>(module.address + module_fields_->entries_offset);
    if (count.ok() && count.value() <= entries_left_ && ips.ok() && entries.ok()) {
      entries_left_ -= count.value();
      auto table =
          OrcTable::Read(sources_.kernel, *layout_, ips.value(), entries.value(), count.value());
      if (table.ok()) entry->second = std::move(table.value());
    }
    if (!entry->second) notes_.push_back("ORC of module " + module.name + " cannot be read");
  }
  return entry->second ? &*entry->second : nullptr;
}

std::optional<OrcRule> StackUnwinder::FindRule(uint64_t pc) {
  if (kernel_table_) {
    if (auto rule = kernel_table_->Find(pc)) return rule;
  }
  if (sources_.modules == nullptr || !module_fields_) return std::nullopt;
  for (const LoadedModule& module : *sources_.modules) {
    const bool inside = std::any_of(module.ranges.begin(), module.ranges.end(),
                                    [&](const Range& range) { return range.Contains(pc); });
    if (!inside) continue;
    const OrcTable* table = TableOf(module);
    return table != nullptr ? table->Find(pc) : std::nullopt;
  }
  return std::nullopt;
}

/// The register that a rule counts from. Others than rsp and rbp are known only where an interrupt
/// stored them.
Result<uint64_t> StackUnwinder::BaseOf(const OrcRule& rule, const StackFrame& frame) {
  const auto stored = [&](uint64_t RegisterOffsets::*offset) -> Result<uint64_t> {
    if (frame.regs == 0 || !registers_) {
      return Corrupt("the frame at " + HexAddress(frame.sp) + " hangs on a register that is lost");
    }
    return sources_.kernel.ReadValue<uint64_t>(frame.regs + (*registers_).*offset);
  };
  switch (rule.sp_base) {
    case OrcBase::kSp:
    case OrcBase::kSpIndirect:
      return frame.sp;
    case OrcBase::kBp:
    case OrcBase::kBpIndirect:
      if (frame.bp) return *frame.bp;
      return Corrupt("rbp is not known at " + HexAddress(frame.pc));
    case OrcBase::kR10:
      return stored(&RegisterOffsets::r10);
    case OrcBase::kR13:
      return stored(&RegisterOffsets::r13);
    case OrcBase::kDi:
      return stored(&RegisterOffsets::di);
    case OrcBase::kDx:
      return stored(&RegisterOffsets::dx);
    case OrcBase::kAx:
      return stored(&RegisterOffsets::ax);
    case OrcBase::kUndefined:
    case OrcBase::kPrevSp:
      break;
  }
  return Corrupt("ORC does not tell the frame of " + HexAddress(frame.pc));
}

/// Where the caller's frame ends: its stack pointer before it pushed the return address.
Result<uint64_t> StackUnwinder::CallersFrame(const OrcRule& rule, const StackFrame& frame) {
  KCD_ASSIGN(const uint64_t base, BaseOf(rule, frame));
  const auto offset = static_cast<uint64_t>(int64_t{rule.sp_offset});
  if (rule.sp_base == OrcBase::kSp || rule.sp_base == OrcBase::kBp) return base + offset;
  if (rule.sp_base == OrcBase::kBpIndirect) {
    return sources_.kernel.ReadValue<uint64_t>(base + offset);
  }
  // Of the other registers the kernel takes the value as it is, whatever the entry's offset says.
  if (rule.sp_base != OrcBase::kSpIndirect) return base;
  // The offset counts from what was read since 5.12 (87ccc826bf1c); before, it was added first.
  KCD_ASSIGN(const uint64_t saved, sources_.kernel.ReadValue<uint64_t>(base));
  if (IsKernelCode(saved)) return saved + offset;
  return sources_.kernel.ReadValue<uint64_t>(base + offset);
}

/// What was interrupted, from the registers that end at a frame. Nothing: it was user space.
Result<std::optional<StackFrame>> StackUnwinder::FromRegisters(const OrcRule& rule,
                                                               uint64_t frame_end) {
  if (!registers_) return std::optional<StackFrame>();
  const bool whole = rule.kind == OrcKind::kRegs;
  const uint64_t regs = whole ? frame_end : frame_end - registers_->ip;
  const auto read = [&](uint64_t offset) {
    return sources_.kernel.ReadValue<uint64_t>(regs + offset);
  };
  StackFrame frame{.interrupted = true, .regs = whole ? regs : 0, .method = FrameMethod::kOrc};
  KCD_ASSIGN(frame.pc, read(registers_->ip));
  KCD_ASSIGN(frame.sp, read(registers_->sp));
  KCD_ASSIGN(const uint64_t cs, read(registers_->cs));
  if ((cs & 3) != 0) return std::optional<StackFrame>();
  if (whole) {
    KCD_ASSIGN(frame.bp, read(registers_->bp));
  }
  return std::optional(frame);
}

Result<std::optional<StackFrame>> StackUnwinder::Caller(const StackFrame& frame) {
  if (!IsKernelCode(frame.pc)) return std::optional<StackFrame>();
  const std::optional<OrcRule> found = FindRule(frame.lookup_pc());
  const OrcRule rule = found.value_or(kFramePointerRule);
  if (rule.kind == OrcKind::kEnd) return std::optional<StackFrame>();
  if (rule.kind == OrcKind::kUndefined) {
    return Corrupt("ORC does not tell the frame of " + HexAddress(frame.pc));
  }
  KCD_ASSIGN(const uint64_t frame_end, CallersFrame(rule, frame));
  StackFrame caller{.sp = frame_end, .bp = frame.bp, .method = FrameMethod::kOrc};
  if (rule.kind == OrcKind::kCall) {
    KCD_ASSIGN(caller.pc, sources_.kernel.ReadValue<uint64_t>(frame_end - kWordBytes));
  } else {
    KCD_ASSIGN(const auto interrupted, FromRegisters(rule, frame_end));
    if (!interrupted) return std::optional<StackFrame>();
    caller = *interrupted;
    if (!caller.bp) caller.bp = frame.bp;
  }
  if (rule.bp_base == OrcBase::kPrevSp) {
    KCD_ASSIGN(caller.bp, sources_.kernel.ReadValue<uint64_t>(
                              frame_end + static_cast<uint64_t>(int64_t{rule.bp_offset})));
  } else if (rule.bp_base == OrcBase::kBp && frame.bp) {
    KCD_ASSIGN(caller.bp, sources_.kernel.ReadValue<uint64_t>(
                              *frame.bp + static_cast<uint64_t>(int64_t{rule.bp_offset})));
  }
  if (!found) caller.method = FrameMethod::kFramePointer;
  if (caller.pc == 0) return std::optional<StackFrame>();
  if (!caller.interrupted && caller.sp <= frame.sp && caller.sp + (64 << 10) > frame.sp) {
    return Corrupt("the stack goes backwards at " + HexAddress(frame.sp));
  }
  return std::optional(caller);
}

std::vector<StackFrame> StackUnwinder::Walk(const StackFrame& first, std::string* trouble) {
  std::vector<StackFrame> frames{first};
  while (frames.size() < kMaxStackFrames) {
    auto caller = Caller(frames.back());
    if (!caller.ok()) {
      if (trouble != nullptr) *trouble = caller.error().message;
      return frames;
    }
    if (!caller.value()) return frames;
    frames.push_back(*caller.value());
  }
  if (trouble != nullptr) *trouble = "more than " + std::to_string(kMaxStackFrames) + " frames";
  return frames;
}

}  // namespace kcoredump
