// SPDX-License-Identifier: MIT
#include "inspect/search/search_where.h"

#include <algorithm>

#include "base/checked.h"
#include "kcoredump/text.h"

namespace kcoredump {

void HitLocator::Locate(SearchMatch& match) {
  match.phys = PhysOf(match.at);
  std::vector<uint64_t> known;
  if (match.at.space == Target::Space::kKernel) known.push_back(match.at.address);
  if (match.phys) {
    for (const uint64_t virt : Images(*match.phys)) known.push_back(virt);
    for (const uint64_t virt : VmallocAddresses(*match.phys)) known.push_back(virt);
  }
  // Only the direct map says nothing of what stands there.
  for (size_t i = 0; i < known.size() && match.symbol.empty(); ++i) {
    match.symbol = session_.Symbolize(known[i]);
    if (!match.symbol.empty()) std::swap(known[i], known.front());
  }
  if (const auto direct = match.phys ? DirectMap(*match.phys) : std::nullopt) {
    known.push_back(*direct);
  }
  for (const uint64_t virt : known) {
    if (!match.virt) {
      match.virt = virt;
    } else if (virt != *match.virt &&
               std::ranges::find(match.aliases, virt) == match.aliases.end()) {
      match.aliases.push_back(virt);
    }
  }
}

bool HitLocator::IsInRam(uint64_t address, uint64_t length) {
  const uint64_t page_bytes = session_.source().page_bytes();
  const auto first = session_.kernel().Translate(VirtAddr{address});
  if (!first.ok()) return false;
  for (uint64_t done = 0; done < length;) {
    const auto phys = session_.kernel().Translate(VirtAddr{address + done});
    const bool follows = phys.ok() && phys.value().value == first.value().value + done;
    if (!follows || session_.source().map().FindRam(phys.value().value) == nullptr) return false;
    done += page_bytes - ((address + done) & (page_bytes - 1));
  }
  return true;
}

std::optional<uint64_t> HitLocator::PhysOf(const Target& at) {
  if (at.space == Target::Space::kPhysical) return at.address;
  if (at.space == Target::Space::kKernel) {
    const auto phys = session_.kernel().Translate(VirtAddr{at.address});
    return phys.ok() ? std::optional(phys.value().value) : std::nullopt;
  }
  if (!process_root_) return std::nullopt;
  if (process_ == nullptr) {
    auto space = session_.kernel().WithRoot(*process_root_);
    if (!space.ok()) return std::nullopt;
    process_ = std::move(space.value());
  }
  uint64_t left = 0;
  const auto phys = process_->Translate(VirtAddr{at.address}, &left);
  return phys.ok() ? std::optional(phys.value().value) : std::nullopt;
}

std::optional<uint64_t> HitLocator::DirectMap(uint64_t phys) const {
  const MemoryMap& map = session_.source().map();
  const Segment* segment = map.FindRam(phys);
  if (segment == nullptr) return std::nullopt;
  const uint64_t virt = segment->virt.begin + (phys - segment->phys);
  // A dump without paging has no virtual addresses to give.
  return map.ToPhysical(VirtAddr{virt}) == PhysAddr{phys} ? std::optional(virt) : std::nullopt;
}

std::vector<uint64_t> HitLocator::Images(uint64_t phys) {
  std::vector<uint64_t> found;
  bool listed = false;
  for (const Segment& segment : session_.source().map().others()) {
    if (segment.kind != SegmentKind::kKernelImage) continue;
    listed = true;
    if (segment.PhysRange().Contains(phys)) {
      found.push_back(segment.virt.begin + (phys - segment.phys));
    }
  }
  if (!listed && !image_sought_) FindImageBySymbols();
  if (image_ && image_->first.Contains(phys)) {
    found.push_back(image_->second + (phys - image_->first.begin));
  }
  return found;
}

/// Where no program header tells, the image is what lies between these symbols, in one piece.
void HitLocator::FindImageBySymbols() {
  image_sought_ = true;
  const auto begin = session_.SymbolAddress("_stext");
  const auto end = session_.SymbolAddress("_end");
  if (!begin.ok() || !end.ok() || end.value() <= begin.value()) return;
  const auto phys = session_.kernel().Translate(VirtAddr{begin.value()});
  if (!phys.ok()) return;
  const uint64_t first = phys.value().value;
  const auto last = CheckedAdd(first, end.value() - begin.value());
  if (last) image_ = {Range{first, *last}, begin.value()};
}

std::vector<uint64_t> HitLocator::VmallocAddresses(uint64_t phys) {
  if (!vmalloc_loaded_) LoadVmalloc();
  const uint64_t inside = phys & (session_.source().page_bytes() - 1);
  std::vector<uint64_t> found;
  auto alias = std::lower_bound(vmalloc_.begin(), vmalloc_.end(), Alias{phys - inside, 0});
  for (; alias != vmalloc_.end() && alias->phys_page == phys - inside; ++alias) {
    found.push_back(alias->virt_page + inside);
  }
  return found;
}

/// Which memory stands behind vmalloc and module space: page tables only tell it that way round.
void HitLocator::LoadVmalloc() {
  vmalloc_loaded_ = true;
  const auto areas = session_.Vmalloc();
  if (!areas.ok()) {
    notes_.push_back("which matches lie in vmalloc or module space is not known: " +
                     areas.error().message);
    return;
  }
  const uint64_t page_bytes = session_.source().page_bytes();
  uint64_t looked_at = 0;
  for (const VmallocArea& area : areas.value()->areas) {
    if (area.phys) continue;  // a device's memory
    Range range{AlignDown(area.start, page_bytes), area.end};
    range.end = range.begin + std::min(range.size(), (kMaxAliasPages - looked_at) * page_bytes);
    const auto found = session_.kernel().MappedRanges(range, kMaxAliasPages);
    if (!found.ok()) continue;
    for (const MappedRange& mapped : found.value()) {
      for (uint64_t at = 0; at < mapped.virt.size(); at += page_bytes) {
        vmalloc_.push_back({mapped.phys.value + at, mapped.virt.begin + at});
      }
    }
    looked_at += (range.size() + page_bytes - 1) / page_bytes;
    if (range.end == area.end) continue;
    notes_.push_back("vmalloc space is large: which matches lie in it is told for its first " +
                     HumanBytes(kMaxAliasPages * page_bytes) + " alone");
    break;
  }
  std::sort(vmalloc_.begin(), vmalloc_.end());
}

}  // namespace kcoredump
