// SPDX-License-Identifier: MIT
#include "space/memmap.h"

#include <bit>

#include "base/error.h"
#include "base/try.h"

namespace kcoredump {

namespace {

/// section_mem_map keeps flags below the address, which is a page's (SECTION_MAP_MASK has grown
/// from 3 bits to 6; all of them are below a page).
constexpr uint64_t kSectionFlags = kSmallestPageBytes - 1;
/// SECTION_HAS_MEM_MAP; SECTION_MARKED_PRESENT is bit 0.
constexpr uint64_t kSectionHasMap = 2;
constexpr uint64_t kMaxPhysicalBits = 56;
constexpr uint64_t kMaxMemSectionBytes = 256;

}  // namespace

Result<Memmap> Memmap::Open(MemoryView& kernel, const VmcoreInfo& info, uint64_t page_bytes,
                            size_t struct_bytes) {
  const auto address = info.Symbol("mem_section");
  const auto length = info.Length("mem_section");
  const auto size = info.Size("mem_section");
  const auto map_at = info.Offset("mem_section.section_mem_map");
  const auto section_bits = info.Number("SECTION_SIZE_BITS");
  const auto physical_bits = info.Number("MAX_PHYSMEM_BITS");
  if (!address || !length || !size || !map_at || !section_bits || !physical_bits) {
    return MakeError(ErrorCode::kUnsupported,
                     "VMCOREINFO does not tell where struct pages are (it lacks mem_section or "
                     "what belongs to it)");
  }
  const auto page_bits = static_cast<int64_t>(std::countr_zero(page_bytes));
  if (*physical_bits > static_cast<int64_t>(kMaxPhysicalBits) || *section_bits <= page_bits ||
      *section_bits >= *physical_bits || *size < sizeof(uint64_t) || *size > kMaxMemSectionBytes ||
      *map_at + sizeof(uint64_t) > *size || *length == 0) {
    return MakeError(ErrorCode::kUnsupported, "VMCOREINFO's account of mem_section cannot be");
  }
  Memmap map(kernel, struct_bytes);
  map.sections_at_ = *address;
  map.section_bytes_ = *size;
  map.map_at_ = *map_at;
  map.section_pages_ = uint64_t{1} << (*section_bits - page_bits);
  map.sections_ = uint64_t{1} << (*physical_bits - *section_bits);
  // SPARSEMEM_EXTREME: an array of pointers to pages full of sections.
  const uint64_t per_root = page_bytes / *size;
  const bool extreme = *length == (map.sections_ + per_root - 1) / per_root;
  map.sections_per_root_ = extreme ? per_root : 0;
  return map;
}

Result<uint64_t> Memmap::MapOfSection(uint64_t section) {
  if (known_section_ == section) return known_map_;
  uint64_t root = sections_at_;
  uint64_t index = section;
  if (sections_per_root_ != 0) {
    index = section % sections_per_root_;
    KCD_ASSIGN(root, kernel_->ReadValue<uint64_t>(sections_at_ +
                                                  section / sections_per_root_ * sizeof(uint64_t)));
    if (root == 0) return MakeError(ErrorCode::kNotFound, "no struct pages there");
  }
  KCD_ASSIGN(const uint64_t map,
             kernel_->ReadValue<uint64_t>(root + index * section_bytes_ + map_at_));
  if ((map & kSectionHasMap) == 0) {
    return MakeError(ErrorCode::kNotFound, "no struct pages there");
  }
  known_section_ = section;
  known_map_ = map & ~kSectionFlags;
  return known_map_;
}

/// The address is kept minus the section's first pfn, so that the pfn itself is the index
/// (sparse_encode_mem_map).
Result<MemmapRun> Memmap::At(uint64_t pfn) {
  const uint64_t section = pfn / section_pages_;
  if (section >= sections_) return MakeError(ErrorCode::kNotFound, "no struct pages there");
  KCD_ASSIGN(const uint64_t map, MapOfSection(section));
  return MemmapRun{.address = map + pfn * struct_bytes_,
                   .pages = section_pages_ - pfn % section_pages_};
}

}  // namespace kcoredump
