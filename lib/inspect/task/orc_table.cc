// SPDX-License-Identifier: MIT
#include "inspect/task/orc_table.h"

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr char kOrcEntry[] = "struct orc_entry";
/// It has been 6 bytes since 4.14; forged BTF may say anything.
constexpr uint64_t kMaxOrcEntryBytes = 16;

/// ORC_REG_… by number, up to Linux 6 and as Linux 7 has them. In either, the caller's rbp is
/// counted from PREV_SP or BP alone, so that the two cannot be mistaken for one another.
constexpr OrcBase kOldBases[] = {OrcBase::kUndefined, OrcBase::kPrevSp, OrcBase::kDx,
                                 OrcBase::kDi,        OrcBase::kBp,     OrcBase::kSp,
                                 OrcBase::kR10,       OrcBase::kR13,    OrcBase::kBpIndirect,
                                 OrcBase::kSpIndirect};
constexpr OrcBase kNewBases[] = {OrcBase::kUndefined,  OrcBase::kAx,        OrcBase::kDx,
                                 OrcBase::kSp,         OrcBase::kBp,        OrcBase::kDi,
                                 OrcBase::kR10,        OrcBase::kR13,       OrcBase::kPrevSp,
                                 OrcBase::kSpIndirect, OrcBase::kBpIndirect};
constexpr uint32_t kOldPrevSp = 1;
constexpr uint32_t kNewPrevSp = 8;

/// ORC_TYPE_… while the type had two bits, and "end" one of its own.
constexpr OrcKind kTwoBitKinds[] = {OrcKind::kCall, OrcKind::kRegs, OrcKind::kPartialRegs,
                                    OrcKind::kUndefined};
/// With three bits (6.4, fb799447ae29), where "end" is a type.
constexpr OrcKind kThreeBitKinds[] = {
    OrcKind::kUndefined,   OrcKind::kEnd,       OrcKind::kCall,      OrcKind::kRegs,
    OrcKind::kPartialRegs, OrcKind::kUndefined, OrcKind::kUndefined, OrcKind::kUndefined};

}  // namespace

OrcLayout::Bits OrcLayout::Find(const TypeCatalog& types, const char* member) {
  const auto found = types.Member(kOrcEntry, member);
  if (!found.ok()) return {};
  const uint64_t count =
      found.value().bitfield_bits != 0 ? found.value().bitfield_bits : found.value().size_bytes * 8;
  if (count > 16 || found.value().bit_offset > kMaxOrcEntryBytes * 8) return {};
  return {.first = static_cast<uint32_t>(found.value().bit_offset),
          .count = static_cast<uint32_t>(count)};
}

Result<OrcLayout> OrcLayout::Of(const TypeCatalog& types) {
  OrcLayout layout;
  KCD_ASSIGN(const uint64_t bytes, types.SizeOf(kOrcEntry));
  layout.entry_bytes_ = bytes;
  layout.sp_offset_ = Find(types, "sp_offset");
  layout.bp_offset_ = Find(types, "bp_offset");
  layout.sp_reg_ = Find(types, "sp_reg");
  layout.bp_reg_ = Find(types, "bp_reg");
  layout.type_ = Find(types, "type");
  layout.end_ = Find(types, "end");
  bool sound = bytes != 0 && bytes <= kMaxOrcEntryBytes &&
               (layout.type_.count == 2 || layout.type_.count == 3);
  for (const Bits& bits : {layout.sp_offset_, layout.bp_offset_, layout.sp_reg_, layout.bp_reg_}) {
    sound = sound && bits.count != 0;
  }
  for (const Bits& bits : {layout.sp_offset_, layout.bp_offset_, layout.sp_reg_, layout.bp_reg_,
                           layout.type_, layout.end_}) {
    sound = sound && bits.first + bits.count <= bytes * 8;
  }
  if (sound) return layout;
  return MakeError(ErrorCode::kUnsupported, "struct orc_entry is not as any known kernel has it");
}

uint32_t OrcLayout::Take(std::span<const std::byte> entry, const Bits& bits) {
  uint32_t value = 0;
  for (uint32_t i = 0; i < bits.count; ++i) {
    const uint32_t bit = bits.first + i;
    value |= (std::to_integer<uint32_t>(entry[bit / 8]) >> bit % 8 & 1) << i;
  }
  return value;
}

void OrcLayout::LearnNumbers(std::span<const std::byte> entries) {
  size_t old_ones = 0;
  size_t new_ones = 0;
  for (; entries.size() >= entry_bytes_; entries = entries.subspan(entry_bytes_)) {
    const uint32_t number = Take(entries, bp_reg_);
    old_ones += number == kOldPrevSp ? 1 : 0;
    new_ones += number == kNewPrevSp ? 1 : 0;
  }
  new_numbers_ = new_ones > old_ones;
}

OrcRule OrcLayout::Decode(std::span<const std::byte> entry) const {
  const std::span<const OrcBase> bases =
      new_numbers_ ? std::span<const OrcBase>(kNewBases) : std::span<const OrcBase>(kOldBases);
  const auto base = [&](const Bits& bits) {
    const uint32_t number = Take(entry, bits);
    return number < bases.size() ? bases[number] : OrcBase::kUndefined;
  };
  OrcRule rule{.sp_base = base(sp_reg_),
               .bp_base = base(bp_reg_),
               .sp_offset = static_cast<int16_t>(Take(entry, sp_offset_)),
               .bp_offset = static_cast<int16_t>(Take(entry, bp_offset_))};
  const uint32_t type = Take(entry, type_);
  rule.kind = type_.count == 2 ? kTwoBitKinds[type] : kThreeBitKinds[type];
  if (Take(entry, end_) != 0) rule.kind = OrcKind::kEnd;
  return rule;
}

Result<OrcTable> OrcTable::Read(MemoryView& kernel, const OrcLayout& layout, uint64_t ips,
                                uint64_t entries, uint64_t count) {
  if (count > kMaxOrcEntries) {
    return MakeError(ErrorCode::kLimitExceeded, Grouped(count) + " entries of ORC");
  }
  OrcTable table(layout);
  table.ips_ = ips;
  table.distances_.resize(count);
  table.entries_.resize(count * layout.entry_bytes());
  KCD_TRY(kernel.Read(ips, std::as_writable_bytes(std::span(table.distances_))));
  KCD_TRY(kernel.Read(entries, table.entries_));
  return table;
}

uint64_t OrcTable::AddressOf(size_t index) const {
  return ips_ + index * sizeof(int32_t) + static_cast<uint64_t>(int64_t{distances_[index]});
}

/// The last of those at or before `pc`: entries of one address come with the weakest first (kernel:
/// arch/x86/kernel/unwind_orc.c, __orc_find).
std::optional<OrcRule> OrcTable::Find(uint64_t pc) const {
  size_t begin = 0;
  size_t end = distances_.size();
  while (begin < end) {
    const size_t middle = begin + (end - begin) / 2;
    if (AddressOf(middle) <= pc) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  if (begin == 0 || begin == distances_.size()) return std::nullopt;
  const std::span<const std::byte> entries(entries_);
  return layout_.Decode(
      entries.subspan((begin - 1) * layout_.entry_bytes(), layout_.entry_bytes()));
}

}  // namespace kcoredump
