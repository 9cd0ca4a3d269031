// SPDX-License-Identifier: MIT
#include "space/page_uses.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// Prove looks at so many places, each so many pages long.
constexpr uint64_t kProofPlaces = 64;
constexpr uint64_t kProofPages = 512;
/// A kernel that died may have died within a change: this share of contradictions is no proof
/// against the layout. A wrong layout contradicts itself nearly everywhere.
constexpr uint64_t kContradictionShare = 16;

}  // namespace

Result<std::unique_ptr<PageUses>> PageUses::Create(const MemorySource& source,
                                                   const KernelFacts& facts) {
  // Every struct page is read once: a cache would only be filled.
  KCD_ASSIGN(auto physical, PhysicalSpace::Create(source, nullptr));
  auto kernel = std::make_unique<KernelSpace>(source, facts, *physical);
  if (!kernel->paging_missing().empty()) {
    return MakeError(ErrorCode::kUnsupported, kernel->paging_missing());
  }
  KCD_ASSIGN(auto uses,
             OfView(*kernel, facts.vmcoreinfo, source.page_bytes(), source.map().RamRanges()));
  uses->own_physical_ = std::move(physical);
  uses->own_kernel_ = std::move(kernel);
  return uses;
}

Result<std::unique_ptr<PageUses>> PageUses::OfView(MemoryView& kernel, const VmcoreInfo& info,
                                                   uint64_t page_bytes, std::vector<Range> ram) {
  KCD_ASSIGN(PageLayout layout, PageLayout::From(info, page_bytes));
  KCD_ASSIGN(const Memmap memmap, Memmap::Open(kernel, info, page_bytes, layout.struct_bytes()));
  return std::unique_ptr<PageUses>(
      new PageUses(kernel, page_bytes, std::move(ram), std::move(layout), memmap));
}

PageUses::PageUses(MemoryView& kernel, uint64_t page_bytes, std::vector<Range> ram,
                   PageLayout layout, Memmap memmap)
    : kernel_(kernel),
      page_bytes_(page_bytes),
      ram_(std::move(ram)),
      layout_(std::move(layout)),
      memmap_(memmap) {}

std::span<const std::byte> PageUses::InWindow(const Window& window, uint64_t page) const {
  if (page >= window.pages) return {};
  return std::span(buffer_).subspan(page * layout_.struct_bytes(), layout_.struct_bytes());
}

/// A head and what follows it, from the window or from memory.
PageUse PageUses::OfHead(const Window& window, uint64_t address) {
  if (address == last_head_) return last_use_;
  const size_t bytes = layout_.struct_bytes();
  std::vector<std::byte> pair(2 * bytes);
  std::span<const std::byte> head;
  const uint64_t inside = (address - window.address) / bytes;
  if (address >= window.address && inside + 1 < window.pages &&
      (address - window.address) % bytes == 0) {
    head = std::span(buffer_).subspan(inside * bytes, 2 * bytes);
  } else if (kernel_.Read(address, pair).ok()) {
    head = pair;
  }
  ++checked_;
  last_head_ = address;
  last_use_ = {};
  if (head.empty() || !layout_.IsHead(head.first(bytes))) {
    ++contradictions_;
    return last_use_;
  }
  last_use_ = layout_.UseOf(head.first(bytes), head.subspan(bytes));
  return last_use_;
}

/// Of a free block only the first page says so: how many pages from `pfn` on belong to one that
/// begins before it.
uint64_t PageUses::FreeFromBefore(uint64_t pfn) {
  std::vector<std::byte> page(layout_.struct_bytes());
  for (unsigned order = 1; order <= PageLayout::kMaxFreeOrder; ++order) {
    const uint64_t head = AlignDown(pfn, uint64_t{1} << order);
    if (head == pfn || (order > 1 && head == AlignDown(pfn, uint64_t{1} << (order - 1)))) continue;
    const auto run = memmap_.At(head);
    if (!run.ok() || !kernel_.Read(run.value().address, page).ok()) continue;
    const PageUse use = layout_.UseOf(page, {});
    const uint64_t end = head + (uint64_t{1} << use.free_order);
    if (use.page_class == PageClass::kFree && use.free_order >= order && end > pfn) {
      return end - pfn;
    }
  }
  return 0;
}

bool PageUses::LearnTable(PhysAddr table) {
  std::vector<std::byte> page(layout_.struct_bytes());
  const auto run = memmap_.At(table.value / page_bytes_);
  return run.ok() && kernel_.Read(run.value().address, page).ok() &&
         layout_.LearnTable(layout_.TypeOf(page));
}

void PageUses::TellRun(uint64_t pfn, const MemmapRun& run, std::span<PageUse> uses) {
  const size_t bytes = layout_.struct_bytes();
  // One more, where a head keeps what it has no room for.
  const uint64_t wanted = std::min(run.pages, uses.size() + 1);
  buffer_.resize(wanted * bytes);
  last_head_ = 0;
  Window window{.address = run.address, .pages = wanted};
  if (!kernel_.Read(run.address, buffer_).ok()) {
    // A part of a section may have no struct pages (its subsections, 2 MiB each): page by page.
    for (uint64_t i = 0; i < uses.size() && uses.size() > 1; ++i) {
      TellRun(pfn + i, {.address = run.address + i * bytes, .pages = 1}, uses.subspan(i, 1));
    }
    return;
  }
  uint64_t free_left = FreeFromBefore(pfn);
  for (uint64_t i = 0; i < uses.size(); ++i) {
    const auto page = InWindow(window, i);
    if (free_left != 0) {
      --free_left;
      uses[i].page_class = PageClass::kFree;
      uses[i].kind = PageKind::kFree;
      continue;
    }
    const uint64_t address = run.address + i * bytes;
    if (const auto head = layout_.HeadOfTail(page, address)) {
      uses[i] = OfHead(window, *head);
      continue;
    }
    uses[i] = layout_.UseOf(page, InWindow(window, i + 1));
    if (uses[i].page_class != PageClass::kFree) continue;
    ++checked_;
    const uint64_t block = uint64_t{1} << uses[i].free_order;
    if ((pfn + i) % block != 0) {
      ++contradictions_;
      uses[i] = {};
      continue;
    }
    free_left = block - 1;
  }
}

void PageUses::Tell(PhysAddr first, std::span<PageUse> uses) {
  std::fill(uses.begin(), uses.end(), PageUse{});
  uint64_t pfn = first.value / page_bytes_;
  while (!uses.empty()) {
    const auto run = memmap_.At(pfn);
    // Without a struct page, page by page: where the section ends is not known either.
    const size_t pages = run.ok() ? std::min<uint64_t>(run.value().pages, uses.size()) : 1;
    if (run.ok()) TellRun(pfn, run.value(), uses.first(pages));
    pfn += pages;
    uses = uses.subspan(pages);
  }
}

Status PageUses::Prove() {
  checked_ = contradictions_ = 0;
  uint64_t pages = 0;
  for (const Range& range : ram_) pages += range.size() / page_bytes_;
  std::vector<PageUse> uses(kProofPages);
  const uint64_t step = std::max(pages / kProofPlaces, kProofPages);
  uint64_t known = 0;
  uint64_t next = 0;
  uint64_t before = 0;
  for (const Range& range : ram_) {
    const uint64_t here = range.size() / page_bytes_;
    for (; next < before + here; next += step) {
      const uint64_t inside = next - before;
      const uint64_t count = std::min(kProofPages, here - inside);
      Tell(PhysAddr{range.begin + inside * page_bytes_}, std::span(uses).first(count));
      known += static_cast<uint64_t>(
          std::count_if(uses.begin(), uses.begin() + static_cast<ptrdiff_t>(count),
                        [](const PageUse& use) { return use.page_class != PageClass::kNone; }));
    }
    before += here;
  }
  if (checked_ == 0 || known == 0) {
    return MakeError(ErrorCode::kUnsupported,
                     "no struct page that was looked at speaks of a free block or a compound page");
  }
  if (contradictions_ * kContradictionShare > checked_) {
    return MakeError(ErrorCode::kUnsupported,
                     "struct pages contradict each other (" + Grouped(contradictions_) + " of " +
                         Grouped(checked_) + "): their layout is not what VMCOREINFO says");
  }
  return {};
}

}  // namespace kcoredump
