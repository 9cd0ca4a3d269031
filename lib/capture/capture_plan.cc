// SPDX-License-Identifier: MIT
#include "capture/capture_plan.h"

#include <elf.h>

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "format/snapshot/format.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint32_t kMemoryFlags = PF_R | PF_W | PF_X;

/// crash takes every program header but the first for RAM, whatever its type: at this address,
/// above any that 52 bits can name, it does no harm. (−1 would wrap around.)
constexpr uint64_t kNowhere = 0xfff0000000000000;

/// The kernel image's headers over the bytes of the RAM that holds it: one for each segment of RAM
/// that it reaches into, none for what no RAM holds.
void AddAliasHeaders(const Segment& image, const std::vector<Segment>& ram,
                     const std::vector<uint64_t>& ram_offsets,
                     std::vector<ProgramHeader>& headers) {
  const Range whole = image.PhysRange();
  const auto first = std::partition_point(ram.begin(), ram.end(), [&](const Segment& segment) {
    return segment.PhysRange().end <= whole.begin;
  });
  // Forged headers may be tens of thousands on either side.
  for (auto at = first; at != ram.end() && at->phys < whole.end; ++at) {
    if (headers.size() > kMaxProgramHeaders) return;
    const Range range = at->PhysRange();
    const uint64_t begin = std::max(whole.begin, range.begin);
    const uint64_t bytes = std::min(whole.end, range.end) - begin;
    headers.push_back({.type = PT_LOAD,
                       .flags = kMemoryFlags,
                       .offset = ram_offsets[at - ram.begin()] + (begin - range.begin),
                       .vaddr = image.virt.begin + (begin - whole.begin),
                       .paddr = begin,
                       .filesz = bytes,
                       .memsz = bytes});
  }
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
    AddAliasHeaders(other, ram, ram_offsets, headers);
  }
  headers.push_back({.type = kVendorSegmentType,
                     .offset = vendor_offset,
                     .paddr = kNowhere,
                     .filesz = vendor_bytes});
  return headers;
}

}  // namespace

Result<CapturePlan> CapturePlan::Make(const MemorySource& source, ImageShape shape,
                                      std::vector<std::byte> vendor_notes, uint32_t frame_bytes) {
  CapturePlan plan;
  plan.frame_bytes_ = frame_bytes;
  plan.vendor_ = std::move(vendor_notes);
  KCD_TRY(shape == ImageShape::kElf ? plan.AddElfHead(source)
                                    : plan.AddMemory(source.map().ram(), 0));
  for (const Region& region : plan.regions_) {
    plan.frames_ += (region.bytes + frame_bytes - 1) / frame_bytes;
  }
  if (plan.frames_ > kMaxFrames) {
    return MakeError(ErrorCode::kLimitExceeded,
                     HumanBytes(plan.plain_bytes_) + " of memory in frames of " +
                         HumanBytes(frame_bytes) + " are more frames than a seek table can list");
  }
  return plan;
}

/// Where RAM begins depends on the head, and the head tells where RAM begins.
Status CapturePlan::AddElfHead(const MemorySource& source) {
  const std::vector<Segment>& ram = source.map().ram();
  // The offsets do not change the number of headers, so it is counted with all offsets 0.
  std::vector<uint64_t> ram_offsets(ram.size());
  const size_t count = MakeHeaders(source, 0, 0, 0, ram_offsets).size();
  if (count > kMaxProgramHeaders) {
    return MakeError(ErrorCode::kLimitExceeded, Grouped(count) + " program headers");
  }
  const std::span<const std::byte> notes = source.notes().bytes();
  const uint64_t notes_offset = AlignUp(ElfHeadBytes(count), 8);
  const uint64_t vendor_offset = AlignUp(notes_offset + notes.size(), 8);
  const uint64_t vendor_end = vendor_offset + vendor_.size();
  const uint64_t memory_offset = AlignUp(vendor_end, source.page_bytes());
  uint64_t offset = memory_offset;
  for (size_t i = 0; i < ram.size(); ++i) {
    ram_offsets[i] = offset;
    offset += ram[i].virt.size();  // that it does not overflow is AddMemory's to say
  }
  head_ = BuildElfHead(source.machine(), MakeHeaders(source, notes_offset, vendor_offset,
                                                     vendor_.size(), ram_offsets));
  head_.resize(notes_offset);
  head_.insert(head_.end(), notes.begin(), notes.end());
  head_.resize(vendor_offset);

  static constexpr std::array<std::byte, 65536> kPadding{};
  AddLiteral(head_, 0);
  AddLiteral(vendor_, vendor_offset);
  AddLiteral(std::span(kPadding).first(memory_offset - vendor_end), vendor_end);
  return AddMemory(ram, memory_offset);
}

Status CapturePlan::AddMemory(const std::vector<Segment>& ram, uint64_t offset) {
  for (const Segment& segment : ram) {
    regions_.push_back({.plain_offset = offset,
                        .bytes = segment.virt.size(),
                        .is_memory = true,
                        .phys = PhysAddr{segment.phys},
                        .literal = {},
                        .first_batch = 0});
    const auto next = CheckedAdd(offset, segment.virt.size());
    if (!next) return MakeError(ErrorCode::kLimitExceeded, "the program headers describe too much");
    offset = *next;
  }
  plain_bytes_ = offset;
  return {};
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
