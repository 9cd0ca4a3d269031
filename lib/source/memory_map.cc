// SPDX-License-Identifier: MIT
#include "source/memory_map.h"

#include <elf.h>

#include <algorithm>
#include <map>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint64_t kNoPhysicalAddress = ~uint64_t{0};

bool HasPhysical(const ProgramHeader& header) { return header.paddr != kNoPhysicalAddress; }

Status CheckHeader(const ProgramHeader& header, size_t index) {
  const auto corrupt = [&](const char* what) {
    return MakeError(ErrorCode::kCorrupt, "program header " + std::to_string(index) + ": " + what);
  };
  if (!CheckedAdd(header.offset, header.memsz)) return corrupt("its file range overflows");
  if (!CheckedAdd(header.vaddr, header.memsz)) return corrupt("its virtual range overflows");
  if (HasPhysical(header) && !CheckedAdd(header.paddr, header.memsz)) {
    return corrupt("its physical range overflows");
  }
  if (header.filesz > header.memsz) return corrupt("p_filesz is larger than p_memsz");
  return {};
}

/// vaddr − paddr of the direct map: the distance that covers the most memory. The kernel image, the
/// one other mapping with a physical address, is small.
uint64_t DirectMapDistance(const std::vector<ProgramHeader>& loads) {
  std::map<uint64_t, uint64_t> bytes_by_distance;
  for (const ProgramHeader& load : loads) {
    if (HasPhysical(load)) bytes_by_distance[load.vaddr - load.paddr] += load.memsz;
  }
  uint64_t distance = 0;
  uint64_t most = 0;
  for (const auto& [candidate, bytes] : bytes_by_distance) {
    if (bytes > most) {
      most = bytes;
      distance = candidate;
    }
  }
  return distance;
}

Segment ToSegment(const ProgramHeader& load, SegmentKind kind) {
  return {.kind = kind,
          .virt = {load.vaddr, load.vaddr + load.memsz},
          .phys = load.paddr,
          .offset = load.offset,
          .file_bytes = load.filesz};
}

/// kcore lists kernel image, vmalloc and modules before RAM and vmemmap after its start; vmalloc
/// comes first of those without a physical address.
/// The vsyscall gate, on kernels that list it, is one page before them all.
SegmentKind KindWithoutPhysical(uint64_t bytes, uint64_t page_bytes, bool ram_seen,
                                bool vmalloc_seen) {
  if (ram_seen) return SegmentKind::kVmemmap;
  if (bytes == page_bytes) return SegmentKind::kGate;
  return vmalloc_seen ? SegmentKind::kModules : SegmentKind::kVmalloc;
}

/// The part of a segment that is whole pages.
Segment TrimmedToPages(Segment segment, uint64_t page_bytes) {
  const uint64_t skip = AlignUp(segment.phys, page_bytes) - segment.phys;
  const uint64_t bytes =
      segment.virt.size() > skip ? AlignDown(segment.virt.size() - skip, page_bytes) : 0;
  segment.phys += skip;
  segment.offset += skip;
  segment.virt = {segment.virt.begin + skip, segment.virt.begin + skip + bytes};
  segment.file_bytes = std::min(bytes, segment.file_bytes > skip ? segment.file_bytes - skip : 0);
  return segment;
}

/// The part of `segment` that holds the physical range `part`, which lies inside it.
Segment Part(Segment segment, const Range& part) {
  const uint64_t skip = part.begin - segment.phys;
  segment.phys = part.begin;
  segment.virt = {segment.virt.begin + skip, segment.virt.begin + skip + part.size()};
  segment.offset += skip;
  segment.file_bytes =
      std::min(part.size(), segment.file_bytes > skip ? segment.file_bytes - skip : 0);
  return segment;
}

std::vector<Range> PhysRanges(const std::vector<Segment>& segments) {
  std::vector<Range> ranges;
  ranges.reserve(segments.size());
  for (const Segment& segment : segments) ranges.push_back(segment.PhysRange());
  return Normalized(std::move(ranges));
}

Status SortByPhysical(std::vector<Segment>& ram) {
  std::sort(ram.begin(), ram.end(),
            [](const Segment& a, const Segment& b) { return a.phys < b.phys; });
  for (size_t i = 1; i < ram.size(); ++i) {
    if (ram[i].phys < ram[i - 1].PhysRange().end) {
      return MakeError(ErrorCode::kCorrupt,
                       "two ranges claim the memory at physical " + HexAddress(ram[i].phys));
    }
  }
  return {};
}

/// The memory that `aliases` map and `ram` does not hold, each page once. One sweep over sorted
/// lists: forged headers come in tens of thousands.
std::vector<Segment> MemoryOnlyInAliases(std::vector<Segment> aliases,
                                         const std::vector<Segment>& ram) {
  std::sort(aliases.begin(), aliases.end(),
            [](const Segment& a, const Segment& b) { return a.phys < b.phys; });
  std::vector<Range> ranges;
  uint64_t covered_to = 0;
  for (const Segment& alias : aliases) {
    const uint64_t end = alias.PhysRange().end;
    ranges.push_back({std::min(std::max(alias.phys, covered_to), end), end});
    covered_to = std::max(covered_to, end);
  }
  std::vector<Segment> extra;
  size_t owner = 0;
  for (const Range& range : Subtract(ranges, PhysRanges(ram))) {
    while (!ranges[owner].Covers(range) || ranges[owner].empty()) ++owner;
    extra.push_back(Part(aliases[owner], range));
    extra.back().kind = SegmentKind::kRam;
  }
  return extra;
}

}  // namespace

Result<MemoryMap> MemoryMap::Build(const ElfCore& core, Dialect dialect, uint64_t page_bytes) {
  std::vector<ProgramHeader> loads;
  for (size_t i = 0; i < core.headers.size(); ++i) {
    if (core.headers[i].type != PT_LOAD) continue;
    KCD_TRY(CheckHeader(core.headers[i], i));
    if (core.headers[i].memsz != 0) loads.push_back(core.headers[i]);
  }
  if (loads.size() > 1 && std::all_of(loads.begin(), loads.end(),
                                      [](const ProgramHeader& load) { return load.paddr == 0; })) {
    return MakeError(ErrorCode::kUnsupported,
                     "no program header has a physical address (a kernel before 4.11, or a core of "
                     "a process)");
  }
  const uint64_t distance = DirectMapDistance(loads);

  MemoryMap map;
  std::vector<Segment> aliases;
  bool vmalloc_seen = false;
  for (const ProgramHeader& load : loads) {
    if (HasPhysical(load) && load.vaddr - load.paddr == distance) {
      const Segment ram = TrimmedToPages(ToSegment(load, SegmentKind::kRam), page_bytes);
      if (!ram.virt.empty()) map.ram_.push_back(ram);
    } else if (HasPhysical(load)) {
      aliases.push_back(ToSegment(load, SegmentKind::kKernelImage));
    } else if (dialect == Dialect::kKcore) {
      const SegmentKind kind =
          KindWithoutPhysical(load.memsz, page_bytes, !map.ram_.empty(), vmalloc_seen);
      vmalloc_seen |= kind == SegmentKind::kVmalloc;
      map.others_.push_back(ToSegment(load, kind));
    }
  }
  KCD_TRY(SortByPhysical(map.ram_));
  map.others_.insert(map.others_.end(), aliases.begin(), aliases.end());
  if (dialect == Dialect::kDump) {
    // QEMU's dumps with paging list a page under any of its addresses: what no RAM segment holds
    // is memory of its own.
    for (Segment& alias : aliases) alias = TrimmedToPages(alias, page_bytes);
    for (const Segment& part : MemoryOnlyInAliases(std::move(aliases), map.ram_)) {
      map.ram_.push_back(part);
    }
    KCD_TRY(SortByPhysical(map.ram_));
  }
  if (map.ram_.empty()) {
    return MakeError(ErrorCode::kUnsupported, "no program header describes RAM");
  }
  map.has_virtual_ = distance != 0;
  for (uint32_t i = 0; i < map.ram_.size(); ++i) map.ram_by_virt_.push_back(i);
  std::sort(map.ram_by_virt_.begin(), map.ram_by_virt_.end(), [&](uint32_t a, uint32_t b) {
    return map.ram_[a].virt.begin < map.ram_[b].virt.begin;
  });
  return map;
}

Result<MemoryMap> MemoryMap::OfPhysical(std::vector<Segment> ram, uint64_t page_bytes) {
  MemoryMap map;
  map.has_virtual_ = false;
  for (Segment& segment : ram) {
    const auto end = CheckedAdd(segment.phys, segment.virt.size());
    if (!end || *end > ~uint64_t{0} - page_bytes) {
      return MakeError(ErrorCode::kCorrupt, "the range at physical " + HexAddress(segment.phys) +
                                                " reaches past the end of the address space");
    }
    segment.kind = SegmentKind::kRam;
    segment.virt = {segment.phys, *end};
    segment = TrimmedToPages(segment, page_bytes);
    if (!segment.virt.empty()) map.ram_.push_back(segment);
  }
  KCD_TRY(SortByPhysical(map.ram_));
  if (!map.ram_.empty()) return map;
  return MakeError(ErrorCode::kUnsupported, "the image holds not one whole page of memory");
}

std::vector<Range> MemoryMap::RamRanges() const { return PhysRanges(ram_); }

uint64_t MemoryMap::ram_bytes() const {
  uint64_t bytes = 0;
  for (const Segment& segment : ram_) bytes += segment.virt.size();
  return bytes;
}

const Segment* MemoryMap::FindRam(uint64_t phys) const {
  auto after = std::upper_bound(ram_.begin(), ram_.end(), phys,
                                [](uint64_t at, const Segment& s) { return at < s.phys; });
  if (after == ram_.begin()) return nullptr;
  const Segment& segment = *std::prev(after);
  return segment.PhysRange().Contains(phys) ? &segment : nullptr;
}

const Segment* MemoryMap::FindVirtual(uint64_t virt) const {
  if (!has_virtual_) return nullptr;
  auto after =
      std::upper_bound(ram_by_virt_.begin(), ram_by_virt_.end(), virt,
                       [this](uint64_t at, uint32_t index) { return at < ram_[index].virt.begin; });
  if (after != ram_by_virt_.begin()) {
    const Segment& segment = ram_[*std::prev(after)];
    if (segment.virt.Contains(virt)) return &segment;
  }
  // The kernel image first: on arm64 it lies inside the vmalloc range.
  const Segment* found = nullptr;
  for (const Segment& segment : others_) {
    if (!segment.virt.Contains(virt)) continue;
    if (segment.kind == SegmentKind::kKernelImage) return &segment;
    if (found == nullptr) found = &segment;
  }
  return found;
}

std::optional<Extent> MemoryMap::Find(Location at) const {
  const bool physical = at.space == Space::kPhysical;
  const Segment* segment = physical ? FindRam(at.address) : FindVirtual(at.address);
  if (segment == nullptr) return std::nullopt;
  const uint64_t inside = at.address - (physical ? segment->phys : segment->virt.begin);
  if (inside < segment->file_bytes) {
    return Extent{.offset = segment->offset + inside, .bytes = segment->file_bytes - inside};
  }
  return Extent{.offset = 0, .bytes = segment->virt.size() - inside, .in_file = false};
}

std::optional<PhysAddr> MemoryMap::ToPhysical(Location at) const {
  if (at.space == Space::kPhysical) return PhysAddr{at.address};
  const Segment* segment = FindVirtual(at.address);
  if (segment == nullptr) return std::nullopt;
  if (segment->kind != SegmentKind::kRam && segment->kind != SegmentKind::kKernelImage) {
    return std::nullopt;
  }
  return PhysAddr{segment->phys + (at.address - segment->virt.begin)};
}

}  // namespace kcoredump
