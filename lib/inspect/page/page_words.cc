// SPDX-License-Identifier: MIT
#include "inspect/page/page_words.h"

#include <algorithm>

#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMappingBits = 3;
constexpr uint64_t kAnonymousBit = 1;
constexpr uint64_t kMovableBit = 2;
constexpr unsigned kMaxCompoundOrder = 18;  ///< a hugetlb page of 1 GiB
/// Below this, _mapcount is a type of page and not a count (kernel: page_mapcount_is_type; the
/// least that was ever a type, PAGE_MAPCOUNT_RESERVE).
constexpr int32_t kTypesBelow = -128;

MappingKind KindOfMapping(uint64_t mapping) {
  if (mapping == 0) return MappingKind::kNone;
  switch (mapping & kMappingBits) {
    case kAnonymousBit:
      return MappingKind::kAnonymous;
    case kMovableBit:
      return MappingKind::kMovable;
    case kMappingBits:
      return MappingKind::kKsm;
    default:
      return MappingKind::kFile;
  }
}

}  // namespace

Result<PageWordsReader> PageWordsReader::Create(const TaskSources& sources, const VmcoreInfo& info,
                                                Findings& findings) {
  KCD_ASSIGN(PageLayout layout, PageLayout::From(info, sources.page_bytes));
  KCD_ASSIGN(Memmap memmap,
             Memmap::Open(sources.kernel, info, sources.page_bytes, layout.struct_bytes()));
  const auto reserved = sources.types.Enumerator("PG_reserved");
  if (reserved.ok() && reserved.value() >= 0 && reserved.value() < 64) {
    layout.LearnReserved(uint64_t{1} << reserved.value());
  }
  PageWordsReader reader(sources, std::move(layout), memmap);
  reader.FindFields(findings);
  reader.FindFlagNames(findings);
  return reader;
}

void PageWordsReader::FindFields(Findings& findings) {
  const auto page = Layout::Of(sources_.types, "struct page");
  if (!page.ok()) {
    return findings.Add(page.error().message + ": counts and mappings of pages are not known");
  }
  auto& notes = findings.notes;
  const uint64_t next = page.value().bytes();
  flags_ = page.value().Find("flags", "flags are not known", notes);
  mapping_ = page.value().Find("mapping", "mappings are not known", notes);
  index_ = page.value().Find("index");
  if (!index_.known()) {  // since 6.16 (acc53a0b4c15)
    index_ = page.value().Find("__folio_index", "places in mappings are not known", notes);
  }
  refcount_ = page.value().Find("_refcount", "reference counts are not known", notes);
  mapcount_ = page.value().Find("_mapcount", "mapcounts are not known", notes);
  // The second struct page of a compound page: part of struct page, then of struct folio.
  order_ = page.value().Find("compound_order");
  whole_mapcount_ = page.value().Find("compound_mapcount");
  order_.offset += order_.known() ? next : 0;
  whole_mapcount_.offset += whole_mapcount_.known() ? next : 0;
  const auto folio = Layout::Of(sources_.types, "struct folio");
  if (folio.ok() && !order_.known()) order_ = folio.value().Find("_folio_order");
  if (folio.ok() && !order_.known()) {
    order_ = folio.value().Find("_flags_1");  // since 6.6 (ebc1baf5c9b4)
    order_in_flags_ = order_.known();
  }
  if (folio.ok() && !whole_mapcount_.known()) {
    whole_mapcount_ = folio.value().Find("_entire_mapcount");
  }
  if (!order_.known()) findings.Add("sizes of compound pages are not known");
  const auto twice = sources_.types.Enumerator("PG_double_map");  // until 6.2 (eec20426d48b)
  if (twice.ok() && twice.value() >= 0 && twice.value() < 64) {
    double_mapped_ = uint64_t{1} << twice.value();
  }
}

/// The first name of each bit: behind __NR_PAGEFLAGS stand others for the same ones.
void PageWordsReader::FindFlagNames(Findings& findings) {
  const auto flags = sources_.types.Find("enum pageflags");
  if (!flags.ok()) return findings.Add(flags.error().message + ": flags have no names");
  for (const EnumeratorEntry& each : sources_.types.EnumeratorsOf(flags.value())) {
    if (each.name == "__NR_PAGEFLAGS") {
      if (each.value > 0 && each.value < 64) plain_flags_ = (uint64_t{1} << each.value) - 1;
      break;
    }
    if (!each.name.starts_with("PG_") || each.value < 0 || each.value >= 64) continue;
    flag_names_.emplace_back(each.name.substr(3), static_cast<unsigned>(each.value));
  }
}

/// Where slabs and pages with a type keep other things, there is no mapping.
void PageWordsReader::ReadMapping(const Record& head, PageWords& words) {
  const auto type = static_cast<int32_t>(head.Unsigned(mapcount_));
  if (words.answer.kind == PageKind::kSlab || words.answer.kind == PageKind::kFree) return;
  if (mapcount_.known() && type < kTypesBelow && words.answer.kind != PageKind::kUser) return;
  words.answer.mapping = head.Unsigned(mapping_);
  words.mapping_kind = KindOfMapping(words.answer.mapping);
  // Pages of the kernel's own may keep anything there.
  if (words.answer.kind == PageKind::kKernel && words.mapping_kind == MappingKind::kFile &&
      words.answer.mapping >> 63 == 0) {
    words.mapping_kind = MappingKind::kNone;
  }
  words.mapping = words.answer.mapping & ~kMappingBits;
  words.answer.anonymous =
      words.mapping_kind == MappingKind::kAnonymous || words.mapping_kind == MappingKind::kKsm;
  words.index = head.Unsigned(index_) + words.pages_above_head;
}

/// As /proc/kpagecount (kernel: page_mapcount, since 6.13 folio_precise_page_mapcount).
void PageWordsReader::ReadCompound(uint64_t head, const Record& page, PageWords& words) {
  const auto own = static_cast<int32_t>(page.Unsigned(mapcount_));
  int64_t count = own < kTypesBelow ? 0 : int64_t{own} + 1;
  const auto number = [&](const Field& field) -> std::optional<uint64_t> {
    Record record;
    if (!field.known() || !record.Load(sources_.kernel, head + field.offset, field.bytes).ok()) {
      return std::nullopt;
    }
    return record.Unsigned(Field{.offset = 0, .bytes = field.bytes});
  };
  if (layout_.IsHead(page.bytes()) || words.answer.head != words.answer.address) {
    auto order = number(order_);
    if (order && order_in_flags_) *order &= 0xff;
    if (order && *order <= kMaxCompoundOrder) words.answer.order = static_cast<unsigned>(*order);
    if (words.answer.kind != PageKind::kSlab) {
      const auto whole = number(whole_mapcount_);
      if (whole) count += int64_t{static_cast<int32_t>(*whole)} + 1;
      const Field next{.offset = layout_.struct_bytes() + flags_.offset, .bytes = flags_.bytes};
      if (double_mapped_ && (number(next).value_or(0) & *double_mapped_) != 0) --count;
    }
  }
  words.answer.mapcount = static_cast<uint64_t>(std::max<int64_t>(count, 0));
}

Result<PageWords> PageWordsReader::At(uint64_t pfn) {
  PageWords words;
  PageAnswer& answer = words.answer;
  answer.physical = pfn * sources_.page_bytes;
  KCD_ASSIGN(const MemmapRun run, memmap_.At(pfn));
  answer.address = answer.head = run.address;
  Record page;
  KCD_TRY(page.Load(sources_.kernel, run.address, layout_.struct_bytes()));
  Record head = page;
  const auto found = layout_.HeadOfTail(page.bytes(), run.address);
  if (found && *found < run.address &&
      head.Load(sources_.kernel, *found, layout_.struct_bytes()).ok()) {
    answer.head = *found;
    words.pages_above_head = (run.address - *found) / layout_.struct_bytes();
  } else if (found) {
    head = page;
  }
  Record next;
  const bool has_next =
      next.Load(sources_.kernel, answer.head + layout_.struct_bytes(), layout_.struct_bytes()).ok();
  const PageUse use =
      layout_.UseOf(head.bytes(), has_next ? next.bytes() : std::span<const std::byte>());
  answer.kind = use.kind;
  if (use.kind == PageKind::kFree) answer.free_order = use.free_order;
  answer.flags = head.Unsigned(flags_);
  for (const auto& [name, bit] : flag_names_) {
    if ((answer.flags >> bit & 1) != 0) answer.flag_names.push_back(name);
  }
  answer.refcount = static_cast<int32_t>(head.Unsigned(refcount_));
  ReadMapping(head, words);
  ReadCompound(answer.head, page, words);
  return words;
}

std::optional<uint64_t> PageWordsReader::PfnOfStruct(uint64_t address, uint64_t known_pfn) {
  const auto known = memmap_.At(known_pfn);
  if (!known.ok()) return std::nullopt;
  const uint64_t base = known.value().address - known_pfn * layout_.struct_bytes();
  if (address < base) return std::nullopt;
  const uint64_t pfn = (address - base) / layout_.struct_bytes();
  const auto run = memmap_.At(pfn);
  if (!run.ok() || run.value().address > address ||
      address - run.value().address >= layout_.struct_bytes()) {
    return std::nullopt;
  }
  return pfn;
}

}  // namespace kcoredump
