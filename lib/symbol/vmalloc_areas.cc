// SPDX-License-Identifier: MIT
//
// vmalloc areas from the kernel's own lists (kernel: mm/vmalloc.c): one list, vmap_area_list, up to
// 6.8; an array of nodes, vmap_nodes, since 6.9 (72210662c5a2, d093602919ad). Areas freed but not
// yet unmapped wait on lists of their own.
#include "symbol/vmalloc_areas.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxNodes = 1 << 16;
constexpr uint64_t kMaxAreaBytes = uint64_t{1} << 56;

/// Bits of vm_struct.flags and the words of vmallocinfo for them (kernel: include/linux/vmalloc.h;
/// mm/vmalloc.c, vmalloc_info_show).
struct Kind {
  uint64_t flag;
  const char* name;
};
constexpr std::array kKinds = {Kind{0x1, "ioremap"}, Kind{0x1000, "sparse"},
                               Kind{0x2, "vmalloc"}, Kind{0x4, "vmap"},
                               Kind{0x8, "user"},    Kind{0x10, "dma-coherent"}};

/// Members of struct vmap_area and struct vm_struct.
class AreaReader {
 public:
  [[nodiscard]] static Result<AreaReader> Create(MemoryView& kernel, const TypeCatalog& types,
                                                 VmallocAreas& out);

  /// The areas of a list of struct vmap_area.
  void WalkAreas(uint64_t head, std::string_view what, bool unpurged);
  /// Up to 5.10 (before 96e2db456135) unpurged areas hang on a list with one link.
  void WalkPurgeChain(uint64_t head);
  void MarkVpages();

 private:
  AreaReader(MemoryView& kernel, VmallocAreas& out, Layout area, Layout vm)
      : kernel_(kernel), out_(out), area_(std::move(area)), vm_(std::move(vm)) {}
  void FindDetails();
  void Keep(const Record& area, bool unpurged);
  void Describe(uint64_t vm, VmallocArea& area);
  void Lost(std::string note);

  MemoryView& kernel_;
  VmallocAreas& out_;
  Layout area_;
  Layout vm_;
  Field start_;
  Field end_;
  Field next_;
  Field prev_;
  Field vm_pointer_;
  Field purge_next_;
  Field vm_start_;
  Field vm_bytes_;
  Field flags_;
  Field pages_;
  Field page_array_;
  Field phys_;
  Field caller_;
  Record vm_record_;
  struct PageArray {
    uint64_t area = 0;
    uint64_t pages = 0;
  };
  std::vector<PageArray> page_arrays_;
};

Result<AreaReader> AreaReader::Create(MemoryView& kernel, const TypeCatalog& types,
                                      VmallocAreas& out) {
  KCD_ASSIGN(Layout area, Layout::Of(types, "struct vmap_area"));
  KCD_ASSIGN(Layout vm, Layout::Of(types, "struct vm_struct"));
  AreaReader reader(kernel, out, std::move(area), std::move(vm));
  KCD_ASSIGN(reader.start_, reader.area_.Need("va_start"));
  KCD_ASSIGN(reader.end_, reader.area_.Need("va_end"));
  KCD_ASSIGN(reader.next_, reader.area_.Need("list.next"));
  KCD_ASSIGN(reader.prev_, reader.area_.Need("list.prev"));
  reader.FindDetails();
  return reader;
}

void AreaReader::FindDetails() {
  auto& notes = out_.notes;
  vm_pointer_ = area_.Find("vm", "nothing but the addresses of areas is known", notes);
  purge_next_ = area_.Find("purge_list.next");
  vm_start_ = vm_.Find("addr");
  vm_bytes_ = vm_.Find("size");
  flags_ = vm_.Find("flags", "kinds of areas are not known", notes);
  pages_ = vm_.Find("nr_pages", "pages of areas are not known", notes);
  page_array_ = vm_.Find("pages");
  phys_ = vm_.Find("phys_addr", "where ioremap areas lead is not known", notes);
  caller_ = vm_.Find("caller", "callers of areas are not known", notes);
}

void AreaReader::Lost(std::string note) {
  out_.notes.push_back(std::move(note));
  out_.incomplete = true;
}

void AreaReader::Describe(uint64_t vm, VmallocArea& area) {
  const Status read = vm_record_.Load(kernel_, vm, vm_.bytes());
  if (!read.ok()) {
    Lost("the vm_struct of the area at " + HexAddress(area.start) +
         " cannot be read: " + read.error().message);
    return;
  }
  const uint64_t start = vm_record_.Unsigned(vm_start_);
  const auto end = CheckedAdd(start, vm_record_.Unsigned(vm_bytes_));
  if (vm_start_.known() && start != area.start) {
    Lost("the vm_struct of the area at " + HexAddress(area.start) + " says that it is at " +
         HexAddress(start));
    return;
  }
  if (vm_bytes_.known() && end && *end > start && *end <= area.end) area.end = *end;
  area.pages = vm_record_.Unsigned(pages_);
  area.caller_address = vm_record_.Unsigned(caller_);
  const uint64_t flags = vm_record_.Unsigned(flags_);
  for (const Kind& kind : kKinds) {
    if ((flags & kind.flag) != 0) area.kinds.emplace_back(kind.name);
  }
  const uint64_t phys = vm_record_.Unsigned(phys_);
  if (phys != 0) area.phys = phys;
  const uint64_t page_array = vm_record_.Unsigned(page_array_);
  if (page_array != 0) page_arrays_.push_back({area.start, page_array});
}

void AreaReader::Keep(const Record& record, bool unpurged) {
  VmallocArea area;
  area.start = record.Unsigned(start_);
  area.end = record.Unsigned(end_);
  if (area.end <= area.start || area.end - area.start > kMaxAreaBytes) {
    Lost("the vmap_area at " + HexAddress(record.address()) + " claims " + HexAddress(area.start) +
         " to " + HexAddress(area.end));
    return;
  }
  const uint64_t vm = unpurged ? 0 : record.Unsigned(vm_pointer_);
  if (unpurged) {
    area.kinds.emplace_back("unpurged");
  } else if (vm != 0) {
    Describe(vm, area);
  } else if (vm_pointer_.known()) {
    area.kinds.emplace_back("vm_map_ram");
  }
  out_.areas.push_back(std::move(area));
}

void AreaReader::WalkAreas(uint64_t head, std::string_view what, bool unpurged) {
  Record record;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(record.Load(kernel_, node - next_.offset, area_.bytes()));
    return ListLinks{record.Unsigned(next_), record.Unsigned(prev_)};
  };
  visitor.keep = [&](uint64_t, bool) {
    Keep(record, unpurged);
    return true;
  };
  const size_t room = kMaxVmallocAreas - std::min(out_.areas.size(), kMaxVmallocAreas);
  const ListOutcome walk = WalkList(kernel_, head, room, what, visitor);
  if (!walk.note.empty()) out_.notes.push_back(walk.note);
  out_.incomplete |= walk.lost;
}

void AreaReader::WalkPurgeChain(uint64_t head) {
  if (!purge_next_.known()) return;
  std::unordered_set<uint64_t> met;
  Record record;
  auto node = kernel_.ReadValue<uint64_t>(head);
  while (node.ok() && node.value() != 0) {
    if (!met.insert(node.value()).second || out_.areas.size() >= kMaxVmallocAreas) {
      return Lost("the list of unpurged areas has no end");
    }
    const Status read = record.Load(kernel_, node.value() - purge_next_.offset, area_.bytes());
    if (!read.ok()) return Lost("the list of unpurged areas breaks off: " + read.error().message);
    Keep(record, true);
    node = record.Unsigned(purge_next_);
  }
  if (!node.ok()) Lost("the list of unpurged areas cannot be read: " + node.error().message);
}

/// "vpages" as vmallocinfo has it: the array of an area's pages is in vmalloc space itself.
void AreaReader::MarkVpages() {
  std::sort(out_.areas.begin(), out_.areas.end(),
            [](const auto& a, const auto& b) { return a.start < b.start; });
  for (const PageArray& array : page_arrays_) {
    if (out_.Containing(array.pages) == nullptr) continue;
    auto area = std::lower_bound(out_.areas.begin(), out_.areas.end(), array.area,
                                 [](const auto& each, uint64_t at) { return each.start < at; });
    area->kinds.emplace_back("vpages");
  }
}

/// Each node of vmap_nodes has a list of areas in use and one of those to be purged.
Status WalkNodes(MemoryView& kernel, const TypeCatalog& types, const SymbolLookup& symbol,
                 uint64_t nodes_symbol, AreaReader& reader, VmallocAreas& out) {
  KCD_ASSIGN(const Layout node, Layout::Of(types, "struct vmap_node"));
  KCD_ASSIGN(const Field busy, node.Need("busy.head"));
  const Field lazy = node.Find("lazy.head", "areas not yet unmapped are not listed", out.notes);
  KCD_ASSIGN(const uint64_t nodes, kernel.ReadValue<uint64_t>(nodes_symbol));
  const auto count_symbol = symbol("nr_vmap_nodes");
  uint64_t count = 1;
  if (count_symbol) {
    KCD_ASSIGN(count, kernel.ReadValue<uint32_t>(*count_symbol));
  } else {
    out.notes.emplace_back("no symbol nr_vmap_nodes: only the first node of vmap_nodes is read");
    out.incomplete = true;
  }
  if (count > kMaxNodes) {
    return MakeError(ErrorCode::kLimitExceeded, "nr_vmap_nodes is " + Grouped(count));
  }
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = nodes + i * node.bytes();
    const std::string name = "vmap_nodes[" + std::to_string(i) + "]";
    reader.WalkAreas(at + busy.offset, "the list of areas of " + name, false);
    if (lazy.known()) {
      reader.WalkAreas(at + lazy.offset, "the list of unpurged areas of " + name, true);
    }
  }
  return {};
}

}  // namespace

Result<VmallocAreas> WalkVmallocAreas(MemoryView& kernel, const TypeCatalog& types,
                                      const SymbolLookup& symbol) {
  VmallocAreas out;
  KCD_ASSIGN(AreaReader reader, AreaReader::Create(kernel, types, out));
  const auto nodes = symbol("vmap_nodes");
  const auto list = symbol("vmap_area_list");
  if (nodes) {
    KCD_TRY(WalkNodes(kernel, types, symbol, *nodes, reader, out));
  } else if (list) {
    reader.WalkAreas(*list, "the list of vmalloc areas", false);
    if (const auto purge = symbol("purge_vmap_area_list")) {
      reader.WalkAreas(*purge, "the list of unpurged areas", true);
    } else if (const auto chain = symbol("vmap_purge_list")) {
      reader.WalkPurgeChain(*chain);
    }
  } else {
    return MakeError(ErrorCode::kNotFound,
                     "this kernel has neither a symbol vmap_nodes nor vmap_area_list");
  }
  reader.MarkVpages();
  LimitNotes(out.notes);
  return out;
}

}  // namespace kcoredump
