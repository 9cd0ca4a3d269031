// SPDX-License-Identifier: MIT
#include "kernel/page_layout.h"

#include <bit>
#include <cstring>

#include "base/error.h"
#include "base/try.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMappingAnon = 1;  ///< PAGE_MAPPING_ANON, bit 0 of page.mapping
constexpr uint64_t kTailBit = 1;      ///< bit 0 of compound_head and compound_info
constexpr int32_t kNoType = -1;       ///< _mapcount of a page that is not mapped; a type is below
constexpr int32_t kTypeInTopByte = 0x00ffffff;
constexpr size_t kMaxStructBytes = 256;

template <typename T>
T ValueAt(std::span<const std::byte> bytes, size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

/// Collects what VMCOREINFO has, and the names of what it has not.
class Needs {
 public:
  explicit Needs(const VmcoreInfo& info) : info_(info) {}

  /// A member of struct page with room for `bytes` in it.
  size_t Offset(const std::string& member, size_t bytes, size_t struct_bytes) {
    const auto offset = info_.Offset("page." + member);
    if (!offset || *offset + bytes > struct_bytes) return Lacks("OFFSET(page." + member + ")");
    return *offset;
  }
  uint64_t Flag(const std::string& name) {
    const auto mask = OptionalFlag(name);
    return mask != 0 ? mask : Lacks("NUMBER(" + name + ")");
  }
  /// 0: not there.
  [[nodiscard]] uint64_t OptionalFlag(const std::string& name) const {
    const auto bit = info_.Number(name);
    return bit && *bit >= 0 && *bit < 64 ? uint64_t{1} << *bit : 0;
  }
  int64_t Number(const std::string& name) {
    const auto number = info_.Number(name);
    return number ? *number : static_cast<int64_t>(Lacks("NUMBER(" + name + ")"));
  }
  [[nodiscard]] const std::string& missing() const { return missing_; }

  size_t Lacks(const std::string& what) {
    missing_ += (missing_.empty() ? "" : ", ") + what;
    return 0;
  }

 private:
  const VmcoreInfo& info_;
  std::string missing_;
};

PageKind KindOfMapped(PageClass page_class, bool reserved) {
  if (page_class == PageClass::kUser) return PageKind::kUser;
  if (page_class != PageClass::kNone) return PageKind::kCache;
  return reserved ? PageKind::kReserved : PageKind::kKernel;
}

}  // namespace

bool PageLayout::TypeTest::in_top_byte() const { return (value & kTypeInTopByte) == 0; }

bool PageLayout::TypeTest::Holds(int32_t mapcount) const {
  return (in_top_byte() ? mapcount & ~kTypeInTopByte : mapcount) == value;
}

Result<PageLayout> PageLayout::From(const VmcoreInfo& info, uint64_t page_bytes) {
  PageLayout layout;
  Needs needs(info);
  const auto type_test = [&](const std::string& name) -> std::optional<TypeTest> {
    const auto value = info.Number("PAGE_" + name + "_MAPCOUNT_VALUE");
    // A type is a negative number below the −1 of a page without one.
    if (!value || *value >= kNoType || *value < INT32_MIN) return std::nullopt;
    return TypeTest{static_cast<int32_t>(*value)};
  };
  const auto struct_bytes = info.Size("page");
  if (!struct_bytes || *struct_bytes == 0 || *struct_bytes > kMaxStructBytes ||
      *struct_bytes > page_bytes) {
    return MakeError(ErrorCode::kUnsupported, "VMCOREINFO has no SIZE(page) that can be");
  }
  layout.struct_bytes_ = *struct_bytes;
  const auto member = [&](const std::string& name, size_t bytes) {
    return needs.Offset(name, bytes, layout.struct_bytes_);
  };
  layout.flags_at_ = member("flags", sizeof(uint64_t));
  layout.mapping_at_ = member("mapping", sizeof(uint64_t));
  layout.mapcount_at_ = member("_mapcount", sizeof(int32_t));
  layout.private_at_ = member("private", sizeof(uint64_t));
  // 7.x renamed it, for it may hold a mask in a pointer's place.
  layout.compound_at_ = member(
      info.Offset("page.compound_info") ? "compound_info" : "compound_head", sizeof(uint64_t));
  layout.lru_ = needs.Flag("PG_lru");
  layout.private_ = needs.Flag("PG_private");
  layout.head_ = static_cast<uint64_t>(needs.Number("PG_head_mask"));
  // PG_swapcache shares its bit with filesystems' flags; with PG_swapbacked it is the real one.
  layout.swapcache_ = needs.Flag("PG_swapcache") | needs.Flag("PG_swapbacked");
  const auto buddy = type_test("BUDDY");
  if (buddy) layout.buddy_ = *buddy;
  if (!buddy) needs.Lacks("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)");
  // Slabs keep other things where `mapping` is: they must be told from anonymous pages.
  layout.slab_ = needs.OptionalFlag("PG_slab");
  layout.slab_type_ = type_test("SLAB");
  if (layout.slab_ == 0 && !layout.slab_type_) {
    needs.Lacks("NUMBER(PG_slab) or NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)");
  }
  if (!needs.missing().empty()) {
    return MakeError(ErrorCode::kUnsupported, "VMCOREINFO lacks " + needs.missing());
  }
  layout.hwpoison_ = needs.OptionalFlag("PG_hwpoison");
  layout.offline_ = type_test("OFFLINE");
  layout.hugetlb_ = type_test("HUGETLB");
  layout.hugetlb_flag_ = needs.OptionalFlag("PG_hugetlb");
  const auto dtor_at = info.Offset("page.compound_dtor");
  const auto dtor = info.Number("HUGETLB_PAGE_DTOR");
  if (dtor_at && *dtor_at < layout.struct_bytes_ && dtor && *dtor > 0 && *dtor <= UINT8_MAX) {
    layout.dtor_at_ = *dtor_at;
    layout.hugetlb_dtor_ = static_cast<uint8_t>(*dtor);
  }
  if (!layout.hugetlb_ && layout.hugetlb_flag_ == 0 && !layout.dtor_at_) {
    layout.unknown_.emplace_back(
        "this kernel does not tell which pages are hugetlb's: they are kept");
  }
  return layout;
}

std::optional<uint64_t> PageLayout::HeadOfTail(std::span<const std::byte> page,
                                               uint64_t address) const {
  const auto word = ValueAt<uint64_t>(page, compound_at_);
  if ((word & kTailBit) == 0) return std::nullopt;
  const uint64_t value = word & ~kTailBit;
  // Where struct page is a power of two, 7.x keeps a mask that takes a tail's address to its
  // head's: ones, then zeros. No address of an array in the kernel's half looks like that.
  const bool is_mask = value != 0 && std::popcount(~value + 1) == 1;
  return is_mask ? address & value : value;
}

bool PageLayout::IsHead(std::span<const std::byte> page) const {
  return (ValueAt<uint64_t>(page, flags_at_) & head_) != 0;
}

int32_t PageLayout::TypeOf(std::span<const std::byte> page) const {
  return ValueAt<int32_t>(page, mapcount_at_);
}

/// Since 6.12 the top byte is a number (4ffca5a96678); before, each type clears a bit of its own,
/// and a page can be of two (5.10 also marks those that a memory cgroup pays for).
bool PageLayout::LearnTable(int32_t type) {
  const bool other = buddy_.Holds(type) || (offline_ && offline_->Holds(type)) ||
                     (hugetlb_ && hugetlb_->Holds(type)) || (slab_type_ && slab_type_->Holds(type));
  if (type >= kNoType || other) return false;
  const auto seen = static_cast<uint32_t>(type);
  if (buddy_.in_top_byte()) {
    table_ = seen & ~static_cast<uint32_t>(kTypeInTopByte);
  } else if (table_ == 0) {
    table_ = ~seen;
  } else if ((table_ & ~seen) != 0) {
    table_ &= ~seen;
  }
  return true;
}

bool PageLayout::IsTable(int32_t type) const {
  if (table_ == 0) return false;
  const auto seen = static_cast<uint32_t>(type);
  if (buddy_.in_top_byte()) return (seen & ~static_cast<uint32_t>(kTypeInTopByte)) == table_;
  return (table_ & ~seen) == table_;
}

bool PageLayout::IsHugetlb(uint64_t flags, int32_t mapcount,
                           std::span<const std::byte> next) const {
  if (hugetlb_) return hugetlb_->Holds(mapcount);
  if ((flags & head_) == 0 || next.empty()) return false;
  if (hugetlb_flag_ != 0) return (ValueAt<uint64_t>(next, flags_at_) & hugetlb_flag_) != 0;
  return dtor_at_ && ValueAt<uint8_t>(next, *dtor_at_) == hugetlb_dtor_;
}

/// A page with a type is never mapped, so neither anonymous nor cache.
PageUse PageLayout::UseOfTyped(int32_t type, std::span<const std::byte> page) const {
  PageUse use;
  if (offline_ && offline_->Holds(type)) use.fault = PageUse::Fault::kOffline;
  use.kind = IsTable(type) ? PageKind::kPageTable : PageKind::kKernel;
  if (slab_type_ && slab_type_->Holds(type)) use.kind = PageKind::kSlab;
  if (!buddy_.Holds(type)) return use;
  const auto order = ValueAt<uint64_t>(page, private_at_);
  if (order > kMaxFreeOrder) return use;  // forged, or not what we take it for: kept
  use.page_class = PageClass::kFree;
  use.kind = PageKind::kFree;
  use.free_order = static_cast<unsigned>(order);
  return use;
}

PageClass PageLayout::ClassOfMapped(uint64_t flags, uint64_t mapping) const {
  if ((mapping & kMappingAnon) != 0) return PageClass::kUser;
  const bool cache = (flags & lru_) != 0 || (flags & swapcache_) == swapcache_;
  if (!cache) return PageClass::kNone;
  return (flags & private_) != 0 ? PageClass::kPrivateCache : PageClass::kCache;
}

PageUse PageLayout::UseOf(std::span<const std::byte> page, std::span<const std::byte> next) const {
  const auto flags = ValueAt<uint64_t>(page, flags_at_);
  const auto mapcount = ValueAt<int32_t>(page, mapcount_at_);
  PageUse use;
  if ((flags & hwpoison_) != 0) {
    use.fault = PageUse::Fault::kHwPoison;
  } else if (IsHugetlb(flags, mapcount, next)) {
    use.page_class = PageClass::kUser;
    use.kind = PageKind::kUser;
  } else if (mapcount < kNoType) {
    use = UseOfTyped(mapcount, page);
  } else if ((flags & slab_) != 0) {
    use.kind = PageKind::kSlab;
  } else {
    use.page_class = ClassOfMapped(flags, ValueAt<uint64_t>(page, mapping_at_));
    use.kind = KindOfMapped(use.page_class, (flags & reserved_) != 0);
  }
  return use;
}

}  // namespace kcoredump
