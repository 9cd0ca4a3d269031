// SPDX-License-Identifier: MIT
#include "capture/capture_plan.h"

#include <elf.h>

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "format/snapshot/format.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint32_t kMemoryFlags = PF_R | PF_W | PF_X;

/// crash takes every program header but the first for RAM, whatever its type: at this address,
/// above any that 52 bits can name, it does no harm. (−1 would wrap around.)
constexpr uint64_t kNowhere = 0xfff0000000000000;

/// The kernel image's header over the bytes of the RAM that holds it; nothing: no RAM does.
std::optional<ProgramHeader> AliasHeader(const Segment& image, const std::vector<Segment>& ram,
                                         const std::vector<uint64_t>& ram_offsets) {
  const auto after =
      std::upper_bound(ram.begin(), ram.end(), image.phys,
                       [](uint64_t at, const Segment& segment) { return at < segment.phys; });
  if (after == ram.begin()) return std::nullopt;
  const auto index = static_cast<size_t>(std::prev(after) - ram.begin());
  const Range range = ram[index].PhysRange();
  if (!range.Contains(image.phys)) return std::nullopt;
  const uint64_t bytes = std::min(image.virt.size(), range.end - image.phys);
  return ProgramHeader{.type = PT_LOAD,
                       .flags = kMemoryFlags,
                       .offset = ram_offsets[index] + (image.phys - range.begin),
                       .vaddr = image.virt.begin,
                       .paddr = image.phys,
                       .filesz = bytes,
                       .memsz = bytes};
}

/// Headers in the order that crash, drgn, makedumpfile and gdb were tried with. p_align is 0: crash
/// takes any other value for netdump's and then ignores KASLR.
std::vector<ProgramHeader> MakeHeaders(const MemorySource& source, uint64_t notes_offset,
                                       uint64_t vendor_offset, uint64_t vendor_bytes,
                                       const std::vector<uint64_t>& ram_offsets) {
  std::vector<ProgramHeader> headers;
  headers.push_back(
      {.type = PT_NOTE, .offset = notes_offset, .filesz = source.notes().bytes().size()});
  const std::vector<Segment>& ram = source.map().ram();
  for (size_t i = 0; i < ram.size(); ++i) {
    headers.push_back({.type = PT_LOAD,
                       .flags = kMemoryFlags,
                       .offset = ram_offsets[i],
                       .vaddr = ram[i].virt.begin,
                       .paddr = ram[i].phys,
                       .filesz = ram[i].virt.size(),
                       .memsz = ram[i].virt.size()});
  }
  for (const Segment& other : source.map().others()) {
    if (other.kind != SegmentKind::kKernelImage) continue;
    if (const auto header = AliasHeader(other, ram, ram_offsets)) headers.push_back(*header);
  }
  headers.push_back({.type = kVendorSegmentType,
                     .offset = vendor_offset,
                     .paddr = kNowhere,
                     .filesz = vendor_bytes});
  return headers;
}

}  // namespace

Result<CapturePlan> CapturePlan::Make(const MemorySource& source,
                                      std::vector<std::byte> vendor_notes, uint32_t frame_bytes) {
  CapturePlan plan;
  plan.frame_bytes_ = frame_bytes;
  plan.vendor_ = std::move(vendor_notes);
  const std::vector<Segment>& ram = source.map().ram();

  // The offsets do not change the number of headers, so it is counted with all offsets 0.
  std::vector<uint64_t> ram_offsets(ram.size());
  const size_t count = MakeHeaders(source, 0, 0, 0, ram_offsets).size();
  if (count > kMaxProgramHeaders) {
    return MakeError(ErrorCode::kLimitExceeded, Grouped(count) + " program headers");
  }
  const uint64_t notes_offset = AlignUp(ElfHeadBytes(count), 8);
  const uint64_t vendor_offset = AlignUp(notes_offset + source.notes().bytes().size(), 8);
  uint64_t offset = AlignUp(vendor_offset + plan.vendor_.size(), source.page_bytes());
  for (size_t i = 0; i < ram.size(); ++i) {
    ram_offsets[i] = offset;
    const auto next = CheckedAdd(offset, ram[i].virt.size());
    if (!next) return MakeError(ErrorCode::kLimitExceeded, "the program headers describe too much");
    offset = *next;
  }
  plan.head_ = BuildElfHead(source.machine(), MakeHeaders(source, notes_offset, vendor_offset,
                                                          plan.vendor_.size(), ram_offsets));
  plan.head_.resize(notes_offset);
  const std::span<const std::byte> notes = source.notes().bytes();
  plan.head_.insert(plan.head_.end(), notes.begin(), notes.end());
  plan.head_.resize(vendor_offset);

  plan.AddLiteral(plan.head_, 0);
  plan.AddLiteral(plan.vendor_, vendor_offset);
  static constexpr std::array<std::byte, 65536> kPadding{};
  const uint64_t vendor_end = vendor_offset + plan.vendor_.size();
  plan.AddLiteral(
      std::span(kPadding).first((ram.empty() ? vendor_end : ram_offsets[0]) - vendor_end),
      vendor_end);
  for (size_t i = 0; i < ram.size(); ++i) {
    plan.regions_.push_back({.plain_offset = ram_offsets[i],
                             .bytes = ram[i].virt.size(),
                             .is_memory = true,
                             .phys = PhysAddr{ram[i].phys},
                             .literal = {},
                             .first_batch = 0});
  }
  plan.plain_bytes_ = offset;
  for (const Region& region : plan.regions_) {
    plan.frames_ += (region.bytes + frame_bytes - 1) / frame_bytes;
  }
  if (plan.frames_ > kMaxFrames) {
    return MakeError(ErrorCode::kLimitExceeded, HumanBytes(offset) + " of memory in frames of " +
                                                    HumanBytes(frame_bytes) +
                                                    " are more frames than a seek table can list");
  }
  return plan;
}

void CapturePlan::AddLiteral(std::span<const std::byte> bytes, uint64_t plain_offset) {
  if (bytes.empty()) return;
  regions_.push_back({.plain_offset = plain_offset,
                      .bytes = bytes.size(),
                      .is_memory = false,
                      .phys = {},
                      .literal = bytes,
                      .first_batch = 0});
}

void CapturePlan::CutIntoBatches(uint64_t batch_bytes) {
  batch_bytes_ = batch_bytes;
  batches_ = 0;
  for (Region& region : regions_) {
    region.first_batch = batches_;
    batches_ += (region.bytes + batch_bytes - 1) / batch_bytes;
  }
}

uint64_t CapturePlan::memory_bytes() const { return MemoryBytesIn(plain_bytes_); }

Batch CapturePlan::At(uint64_t index) const {
  const auto after =
      std::upper_bound(regions_.begin(), regions_.end(), index,
                       [](uint64_t at, const Region& region) { return at < region.first_batch; });
  const Region& region = *std::prev(after);
  const uint64_t inside = (index - region.first_batch) * batch_bytes_;
  const uint64_t bytes = std::min(batch_bytes_, region.bytes - inside);
  return {.is_memory = region.is_memory,
          .phys = PhysAddr{region.phys.value + inside},
          .literal = region.is_memory ? region.literal : region.literal.subspan(inside, bytes),
          .bytes = bytes};
}

uint64_t CapturePlan::MemoryBytesIn(uint64_t plain_bytes) const {
  uint64_t bytes = 0;
  for (const Region& region : regions_) {
    if (!region.is_memory || region.plain_offset >= plain_bytes) continue;
    bytes += std::min(region.bytes, plain_bytes - region.plain_offset);
  }
  return bytes;
}

uint64_t CapturePlan::PhysicalEnd(uint64_t plain_bytes) const {
  uint64_t end = 0;
  for (const Region& region : regions_) {
    if (!region.is_memory || region.plain_offset >= plain_bytes) continue;
    end = region.phys.value + std::min(region.bytes, plain_bytes - region.plain_offset);
  }
  return end;
}

}  // namespace kcoredump
