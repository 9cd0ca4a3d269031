// SPDX-License-Identifier: MIT
#include "space/kernel_space.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

Error NotMapped(uint64_t address) {
  Error error = MakeError(ErrorCode::kUnreadable, HexAddress(address) + " is not mapped");
  error.address = address;
  return error;
}

}  // namespace

PagedSpace::PagedSpace(MemoryView& physical, const Architecture& arch, Paging paging, PhysAddr root,
                       bool keep_translations)
    : physical_(physical),
      arch_(arch),
      paging_(std::move(paging)),
      root_(root),
      translations_(keep_translations ? kTranslations : 0) {}

Result<PageWalk> PagedSpace::Walk(VirtAddr address) {
  return WalkPageTables(physical_, arch_, paging_, root_, address);
}

Result<PhysAddr> PagedSpace::Translate(VirtAddr address, uint64_t* bytes_left) {
  const uint64_t page_bytes = paging_.levels.back().page_bytes();
  const uint64_t page = address.value & ~(page_bytes - 1);
  const uint64_t inside = address.value - page;
  Translation* slot =
      translations_.empty() ? nullptr : &translations_[page / page_bytes % kTranslations];
  if (slot != nullptr && slot->virt_page == page) {
    *bytes_left = page_bytes - inside;
    return PhysAddr{slot->phys_page + inside};
  }
  KCD_ASSIGN(const PageWalk walk, Walk(address));
  if (!walk.phys) return NotMapped(address.value);
  *bytes_left = walk.page_bytes - (address.value & (walk.page_bytes - 1));
  if (slot != nullptr) *slot = {.virt_page = page, .phys_page = walk.phys->value - inside};
  return *walk.phys;
}

std::unique_ptr<PagedSpace> PagedSpace::WithRoot(PhysAddr root) const {
  return std::make_unique<PagedSpace>(physical_, arch_, paging_, root, !translations_.empty());
}

std::optional<DecodedEntry> PagedSpace::EntryAhead(const Ahead& ahead, uint64_t page) const {
  const uint64_t index = (page - ahead.begin) / paging_.levels.back().page_bytes();
  if (page < ahead.begin || index >= ahead.entries.size()) return std::nullopt;
  return arch_.Decode(paging_, paging_.levels.size() - 1, ahead.entries[index]);
}

/// Without it each page would cost a walk of its own, and each step of that a read of the source.
void PagedSpace::LookAhead(const WalkStep& last, uint64_t next_page, uint64_t wanted,
                           Ahead& ahead) {
  const PagingLevel& level = paging_.levels.back();
  const uint64_t in_table = (uint64_t{1} << level.index_bits) - (last.index + 1);
  ahead.begin = next_page;
  ahead.entries.resize(std::min(in_table, (wanted + level.page_bytes() - 1) / level.page_bytes()));
  const auto entries = std::as_writable_bytes(std::span(ahead.entries));
  if (!physical_.Read(last.entry_address().value + sizeof(uint64_t), entries).ok()) {
    ahead.entries.clear();
  }
}

Result<PagedSpace::Stretch> PagedSpace::StretchAt(uint64_t address, uint64_t wanted, Ahead& ahead) {
  const uint64_t page_bytes = paging_.levels.back().page_bytes();
  const uint64_t inside = address & (page_bytes - 1);
  Stretch stretch{.phys = {}, .bytes = page_bytes - inside};
  if (const auto entry = EntryAhead(ahead, address - inside)) {
    if (entry->kind == EntryKind::kPage) stretch.phys = PhysAddr{entry->target.value + inside};
  } else {
    KCD_ASSIGN(const PageWalk walk, Walk(VirtAddr{address}));
    const size_t level = walk.steps.size() - 1;
    const uint64_t span = walk.phys ? walk.page_bytes : paging_.levels[level].page_bytes();
    stretch = {.phys = walk.phys, .bytes = span - (address & (span - 1))};
    if (level + 1 == paging_.levels.size() && wanted > stretch.bytes) {
      LookAhead(walk.steps.back(), address + stretch.bytes, wanted - stretch.bytes, ahead);
    }
  }
  while (stretch.phys && stretch.bytes < wanted) {
    const auto next = EntryAhead(ahead, address + stretch.bytes);
    if (!next || next->kind != EntryKind::kPage) break;
    if (next->target.value != stretch.phys->value + stretch.bytes) break;
    stretch.bytes += page_bytes;
  }
  return stretch;
}

Result<std::vector<MappedRange>> PagedSpace::MappedRanges(const Range& virt, uint64_t max_steps) {
  std::vector<MappedRange> found;
  Ahead ahead;
  for (uint64_t at = virt.begin; at < virt.end;) {
    if (max_steps-- == 0) return Corrupt("the page tables map more than there can be");
    auto stretch = StretchAt(at, virt.end - at, ahead);
    if (!stretch.ok()) stretch = Stretch{.phys = {}, .bytes = paging_.levels.back().page_bytes()};
    const uint64_t bytes = std::min(stretch.value().bytes, virt.end - at);
    if (const auto& phys = stretch.value().phys) found.push_back({{at, at + bytes}, *phys});
    at += bytes;
  }
  return found;
}

Status PagedSpace::Read(uint64_t address, std::span<std::byte> out) {
  Ahead ahead;
  while (!out.empty()) {
    Stretch stretch;
    if (translations_.empty()) {
      KCD_ASSIGN(stretch, StretchAt(address, out.size(), ahead));
      if (!stretch.phys) return NotMapped(address);
    } else {
      KCD_ASSIGN(stretch.phys, Translate(VirtAddr{address}, &stretch.bytes));
    }
    const size_t step = std::min<uint64_t>(out.size(), stretch.bytes);
    if (Status status = physical_.Read(stretch.phys->value, out.first(step)); !status.ok()) {
      return std::move(status.error()).WithContext(HexAddress(address));
    }
    address += step;
    out = out.subspan(step);
  }
  return {};
}

KernelSpace::KernelSpace(const MemorySource& source, const KernelFacts& facts,
                         PhysicalSpace& physical)
    : source_(source), facts_(facts), physical_(physical) {
  FindPageTables();
}

/// Taken only when they map the kernel image where VMCOREINFO says it is.
void KernelSpace::FindPageTables() {
  if (facts_.arch == nullptr) {
    paging_missing_ = "page tables of this machine are not known";
    return;
  }
  const VmcoreInfo& info = facts_.vmcoreinfo;
  const auto root = facts_.arch->RootTable(info);
  auto paging = facts_.arch->PagingOf(info);
  if (!root || !paging.ok()) {
    paging_missing_ = info.empty() ? "the image has no VMCOREINFO, which says where page tables are"
                                   : "VMCOREINFO does not say where the page tables are";
    return;
  }
  const auto image_phys = [&](VirtAddr at) {
    const auto phys = facts_.arch->ImageToPhysical(info, at);
    return phys ? phys : source_.map().ToPhysical(at);
  };
  const auto root_phys = image_phys(*root);
  if (!root_phys) {
    paging_missing_ = "VMCOREINFO does not say where the kernel image is in physical memory";
    return;
  }
  auto paged = std::make_unique<PagedSpace>(physical_, *facts_.arch, std::move(paging.value()),
                                            *root_phys, source_.kind() != SourceKind::kLive);
  uint64_t left = 0;
  const auto seen = paged->Translate(*root, &left);
  if (!seen.ok() || seen.value() != *root_phys) {
    paging_missing_ = "the page tables at physical " + HexAddress(root_phys->value) +
                      " do not map the kernel image where VMCOREINFO says it is" +
                      (seen.ok() ? "" : " (" + seen.error().message + ")");
    return;
  }
  paged_ = std::move(paged);
}

Status KernelSpace::Read(uint64_t address, std::span<std::byte> out) {
  while (!out.empty()) {
    const Location at = VirtAddr{address};
    const auto phys = source_.map().ToPhysical(at);
    size_t step = out.size();
    if (phys) {
      const auto extent = source_.map().Find(at);
      if (extent) step = std::min<uint64_t>(step, extent->bytes);
      KCD_TRY(physical_.Read(phys->value, out.first(step)));
    } else if (paged_ != nullptr) {
      return paged_->Read(address, out);  // the rest of `out` is mapped space, too
    } else {
      return ReadThroughSource(address, out);
    }
    address += step;
    out = out.subspan(step);
  }
  return {};
}

/// The image's own virtual segments. On a live kernel a hole there reads as zeros: a page of zeros
/// is no answer.
Status KernelSpace::ReadThroughSource(uint64_t address, std::span<std::byte> out) {
  if (virtual_reader_ == nullptr) {
    KCD_ASSIGN(virtual_reader_, RangeReader::Create(source_, {}));
  }
  ReadReport report;
  KCD_TRY(virtual_reader_->Read(VirtAddr{address}, out, report));
  const PageRun* hole = report.FirstHole();
  if (hole == nullptr && report.doubtful_pages == 0) return {};
  Error error =
      hole != nullptr
          ? HoleError(*hole)
          : MakeError(ErrorCode::kUnreadable,
                      HexAddress(address) + " reads as zeros, as a hole in vmalloc space does");
  return std::move(error).WithContext(paging_missing_);
}

Result<PhysAddr> KernelSpace::Translate(VirtAddr address) {
  if (const auto phys = source_.map().ToPhysical(address)) return *phys;
  if (paged_ == nullptr) return MakeError(ErrorCode::kUnsupported, paging_missing_);
  uint64_t left = 0;
  return paged_->Translate(address, &left);
}

Result<PageWalk> KernelSpace::Walk(VirtAddr address) {
  if (paged_ == nullptr) return MakeError(ErrorCode::kUnsupported, paging_missing_);
  return paged_->Walk(address);
}

Result<std::vector<MappedRange>> KernelSpace::MappedRanges(const Range& virt, uint64_t max_steps) {
  return paged_ == nullptr ? std::vector<MappedRange>() : paged_->MappedRanges(virt, max_steps);
}

Result<std::unique_ptr<PagedSpace>> KernelSpace::WithRoot(PhysAddr root) {
  if (paged_ == nullptr) return MakeError(ErrorCode::kUnsupported, paging_missing_);
  return paged_->WithRoot(root);
}

}  // namespace kcoredump
