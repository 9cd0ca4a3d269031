// SPDX-License-Identifier: MIT
//
// Caches hang on slab_caches; the slabs of each node that have free objects on a list. What is
// counted is what mm/slub.c's get_slabinfo counts.
#include "inspect/page/slab.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "kcoredump/text.h"
#include "kernel/page_layout.h"
#include "space/memmap.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxNodes = 1024;
constexpr size_t kMaxPartialSlabs = 1 << 20;
/// Of all caches together: forged ones may all have the same list.
constexpr size_t kMaxPartialOfAll = 8 << 20;
constexpr size_t kMaxCacheNameBytes = 256;
/// Kernel: mm/slub.c, OO_SHIFT: the order of a slab above, its objects below.
constexpr unsigned kOrderShift = 16;
constexpr unsigned kMaxSlabOrder = 13;

/// A bitfield within a word.
struct BitPlace {
  uint64_t offset = 0;  ///< of its first byte
  unsigned shift = 0;
  unsigned bits = 0;

  [[nodiscard]] uint64_t In(const Record& record) const {
    const uint64_t word = record.Unsigned(Field{.offset = offset, .bytes = 8}) >> shift;
    return word & ((uint64_t{1} << bits) - 1);
  }
};

Result<BitPlace> BitsOfMember(const TypeCatalog& types, const std::string& type,
                              const char* member) {
  KCD_ASSIGN(const MemberRef found, types.Member(type, member));
  const unsigned bits =
      found.bitfield_bits != 0 ? found.bitfield_bits : static_cast<unsigned>(found.size_bytes * 8);
  if (bits == 0 || bits > 32) return Corrupt("BTF gives " + std::string(member) + " no sane size");
  return BitPlace{
      .offset = found.offset(), .shift = static_cast<unsigned>(found.bit_offset % 8), .bits = bits};
}

/// struct slab (5.17, d122019bf061), or the struct page that it shares its place with.
Result<Layout> SlabLayout(const TypeCatalog& types) {
  auto slab = Layout::Of(types, "struct slab");
  return slab.ok() ? std::move(slab) : Layout::Of(types, "struct page");
}

class SlabReader {
 public:
  [[nodiscard]] static Result<SlabReader> Create(const TaskSources& sources, Findings& findings);

  void Walk(uint64_t head, SlabCaches& out);

 private:
  SlabReader(const TaskSources& sources, Findings& findings, Layout cache)
      : sources_(sources), findings_(findings), cache_(std::move(cache)) {}
  [[nodiscard]] Status FindFields();
  [[nodiscard]] Status FindCounts();
  [[nodiscard]] Status FindNodes();
  [[nodiscard]] SlabCache Describe(const Record& record);
  void AddNode(uint64_t node, SlabCache& cache, uint64_t& free);
  [[nodiscard]] uint64_t FreeOfPartial(uint64_t head, const std::string& name);

  const TaskSources& sources_;
  Findings& findings_;
  Layout cache_;
  bool counts_known_ = false;                               ///< what follows `order_`
  Field next_, prev_, name_, object_bytes_, size_, order_;  ///< of kmem_cache
  uint64_t nodes_at_ = 0;                                   ///< pointers to nodes, in a kmem_cache
  uint64_t node_stride_ = 8;
  uint64_t node_count_ = 1;
  Field slab_count_, object_count_, partial_;  ///< of kmem_cache_node
  uint64_t slab_bytes_ = 0;
  Field link_next_, link_prev_;  ///< of slab
  BitPlace in_use_, objects_;    ///< of slab
  size_t partial_left_ = kMaxPartialOfAll;
};

Result<SlabReader> SlabReader::Create(const TaskSources& sources, Findings& findings) {
  KCD_ASSIGN(Layout cache, Layout::Of(sources.types, "struct kmem_cache"));
  SlabReader reader(sources, findings, std::move(cache));
  KCD_TRY(reader.FindFields());
  return reader;
}

Status SlabReader::FindFields() {
  KCD_ASSIGN(next_, cache_.Need("list.next"));
  KCD_ASSIGN(prev_, cache_.Need("list.prev"));
  auto& notes = findings_.notes;
  name_ = cache_.Find("name", "names are not known", notes);
  object_bytes_ = cache_.Find("object_size", "sizes of objects are not known", notes);
  size_ = cache_.Find("size", "what objects take is not known", notes);
  order_ = cache_.Find("oo", "sizes of slabs are not known", notes);
  Status counts = FindNodes();
  if (counts.ok()) counts = FindCounts();
  counts_known_ = counts.ok();
  if (!counts_known_) {
    findings_.Add(counts.error().message + ": how many objects and slabs there are is not known");
  }
  return {};
}

Status SlabReader::FindNodes() {
  const Field nodes = cache_.Find("node");
  if (nodes.known()) {
    nodes_at_ = nodes.offset;
  } else {
    KCD_ASSIGN(const Field per_node, cache_.Need("per_node"));
    KCD_ASSIGN(const Layout each, Layout::Of(sources_.types, "struct kmem_cache_per_node_ptrs"));
    KCD_ASSIGN(const Field node, each.Need("node"));
    nodes_at_ = per_node.offset + node.offset;
    node_stride_ = each.bytes();
  }
  // A kmem_cache ends behind the nodes that this machine may have.
  if (const auto count_at = sources_.symbol("nr_node_ids")) {
    const auto count = sources_.kernel.ReadValue<uint32_t>(*count_at);
    if (count.ok()) node_count_ = std::clamp<uint64_t>(count.value(), 1, kMaxNodes);
  }
  return {};
}

/// Kernels without CONFIG_SLUB_DEBUG do not count.
Status SlabReader::FindCounts() {
  KCD_ASSIGN(const Layout node, Layout::Of(sources_.types, "struct kmem_cache_node"));
  KCD_ASSIGN(slab_count_, node.Need("nr_slabs.counter"));
  KCD_ASSIGN(object_count_, node.Need("total_objects.counter"));
  KCD_ASSIGN(partial_, node.Need("partial"));
  KCD_ASSIGN(const Layout slab, SlabLayout(sources_.types));
  slab_bytes_ = slab.bytes();
  KCD_ASSIGN(link_next_, slab.Need("slab_list.next"));
  KCD_ASSIGN(link_prev_, slab.Need("slab_list.prev"));
  KCD_ASSIGN(in_use_, BitsOfMember(sources_.types, slab.type(), "inuse"));
  KCD_ASSIGN(objects_, BitsOfMember(sources_.types, slab.type(), "objects"));
  return {};
}

uint64_t SlabReader::FreeOfPartial(uint64_t head, const std::string& name) {
  uint64_t free = 0;
  Record slab;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(slab.Load(sources_.kernel, node - link_next_.offset, slab_bytes_));
    return ListLinks{slab.Unsigned(link_next_), slab.Unsigned(link_prev_)};
  };
  visitor.keep = [&](uint64_t, bool) {
    --partial_left_;
    const uint64_t objects = objects_.In(slab);
    free += objects - std::min(objects, in_use_.In(slab));
    return true;
  };
  const ListOutcome walk =
      WalkList(sources_.kernel, head, std::min(kMaxPartialSlabs, partial_left_),
               "the list of partial slabs of " + name, visitor);
  if (walk.lost) findings_.Lost(walk.note);
  return free;
}

void SlabReader::AddNode(uint64_t node, SlabCache& cache, uint64_t& free) {
  const auto slabs = sources_.kernel.ReadValue<uint64_t>(node + slab_count_.offset);
  const auto objects = sources_.kernel.ReadValue<uint64_t>(node + object_count_.offset);
  if (!slabs.ok() || !objects.ok()) {
    findings_.Lost("a node of cache " + cache.name +
                   " cannot be read: " + (slabs.ok() ? objects.error() : slabs.error()).message);
    return;
  }
  cache.slabs += slabs.value();
  cache.objects += objects.value();
  free += FreeOfPartial(node + partial_.offset, cache.name);
}

SlabCache SlabReader::Describe(const Record& record) {
  SlabCache cache;
  cache.address = record.address();
  auto name = name_.known() ? sources_.kernel.ReadString(record.Unsigned(name_), kMaxCacheNameBytes)
                            : Result<std::string>(std::string());
  if (name.ok()) {
    cache.name = std::move(name.value());
  } else {
    findings_.Lost("the name of the cache at " + HexAddress(cache.address) +
                   " cannot be read: " + name.error().message);
  }
  cache.object_bytes = record.Unsigned(object_bytes_);
  cache.size_bytes = record.Unsigned(size_);
  const uint64_t order_and_objects = record.Unsigned(order_);
  cache.objects_a_slab = order_and_objects & ((uint64_t{1} << kOrderShift) - 1);
  cache.pages_a_slab = uint64_t{1}
                       << std::min<uint64_t>(order_and_objects >> kOrderShift, kMaxSlabOrder);
  uint64_t free = 0;
  for (uint64_t i = 0; i < node_count_ && counts_known_; ++i) {
    const auto node =
        sources_.kernel.ReadValue<uint64_t>(cache.address + nodes_at_ + i * node_stride_);
    if (!node.ok()) {
      findings_.Lost("a node of cache " + cache.name + " cannot be read: " + node.error().message);
    }
    if (node.ok() && node.value() != 0) AddNode(node.value(), cache, free);
  }
  cache.active = cache.objects - std::min(cache.objects, free);
  return cache;
}

void SlabReader::Walk(uint64_t head, SlabCaches& out) {
  // Not all of the struct is there: see nr_node_ids.
  const uint64_t bytes = nodes_at_ == 0 ? cache_.bytes() : std::min(cache_.bytes(), nodes_at_);
  Record record;
  ListVisitor visitor;
  visitor.load = [&](uint64_t node) -> Result<ListLinks> {
    KCD_TRY(record.Load(sources_.kernel, node - next_.offset, bytes));
    return ListLinks{record.Unsigned(next_), record.Unsigned(prev_)};
  };
  visitor.keep = [&](uint64_t, bool) {
    out.caches.push_back(Describe(record));
    return true;
  };
  const ListOutcome walk =
      WalkList(sources_.kernel, head, kMaxSlabCaches, "the list of slab caches", visitor);
  if (walk.lost) findings_.Lost(walk.note);
}

/// The struct page of an address, and of the page that a slab begins with.
struct PagePlace {
  uint64_t head = 0;         ///< address of the head's struct page
  uint64_t pages_above = 0;  ///< from the head's page to the address's
};

Result<PagePlace> FindPage(Session& session, uint64_t address, uint64_t page_bytes) {
  const VmcoreInfo& info = session.facts().vmcoreinfo;
  KCD_ASSIGN(const PageLayout layout, PageLayout::From(info, page_bytes));
  KCD_ASSIGN(Memmap memmap,
             Memmap::Open(session.kernel(), info, page_bytes, layout.struct_bytes()));
  KCD_ASSIGN(const PhysAddr physical, session.kernel().Translate(VirtAddr{address}));
  KCD_ASSIGN(const MemmapRun run, memmap.At(physical.value / page_bytes));
  Record page;
  KCD_TRY(page.Load(session.kernel(), run.address, layout.struct_bytes()));
  const auto head = layout.HeadOfTail(page.bytes(), run.address);
  if (!head || *head > run.address) return PagePlace{.head = run.address};
  return PagePlace{.head = *head, .pages_above = (run.address - *head) / layout.struct_bytes()};
}

}  // namespace

Result<SlabCaches> WalkSlabCaches(const TaskSources& sources) {
  const auto head = sources.symbol("slab_caches");
  if (!head)
    return MakeError(ErrorCode::kNotFound, "no symbol slab_caches: no list of slab caches");
  SlabCaches found;
  KCD_ASSIGN(SlabReader reader, SlabReader::Create(sources, found.findings));
  reader.Walk(*head, found);
  std::sort(found.caches.begin(), found.caches.end(), [](const SlabCache& a, const SlabCache& b) {
    return std::tie(a.name, a.address) < std::tie(b.name, b.address);
  });
  LimitNotes(found.findings.notes);
  return found;
}

Result<SlabCaches> ListSlabCaches(Kernel& kernel) {
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(kernel.session()));
  return AskAgainWhileLive(kernel.session(), [&] { return WalkSlabCaches(sources); });
}

Result<SlabObject> FindSlabObject(Kernel& kernel, uint64_t address) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  KCD_ASSIGN(const SlabCaches all, WalkSlabCaches(sources));
  KCD_ASSIGN(const PagePlace place, FindPage(session, address, sources.page_bytes));
  KCD_ASSIGN(const Layout layout, SlabLayout(sources.types));
  KCD_ASSIGN(const Field cache_at, layout.Need("slab_cache"));
  KCD_ASSIGN(const BitPlace objects, BitsOfMember(sources.types, layout.type(), "objects"));
  Record slab;
  KCD_TRY(slab.Load(session.kernel(), place.head, layout.bytes()));
  const uint64_t cache = slab.Unsigned(cache_at);
  const auto found = std::find_if(all.caches.begin(), all.caches.end(),
                                  [&](const SlabCache& each) { return each.address == cache; });
  if (found == all.caches.end() || found->size_bytes == 0) {
    return MakeError(ErrorCode::kNotFound, HexAddress(address) + " is in no slab");
  }
  SlabObject object{.cache = *found};
  const uint64_t page = address & ~(sources.page_bytes - 1);
  object.slab = page - place.pages_above * sources.page_bytes;
  object.index = (address - object.slab) / found->size_bytes;
  if (object.index >= objects.In(slab)) {
    return MakeError(
        ErrorCode::kNotFound,
        HexAddress(address) + " is behind the last object of a slab of cache " + found->name);
  }
  object.object = object.slab + object.index * found->size_bytes;
  object.offset = address - object.object;
  return object;
}

}  // namespace kcoredump
