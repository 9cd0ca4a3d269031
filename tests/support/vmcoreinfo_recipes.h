// SPDX-License-Identifier: MIT
//
// What VMCOREINFO of Debian's kernels says of struct page and of where struct pages are, as
// observed.
#pragma once

#include <string>

namespace kcoredump::test {

inline constexpr char kStructPage61[] =
    "SIZE(page)=64\nOFFSET(page.flags)=0\nOFFSET(page._refcount)=52\nOFFSET(page.mapping)=24\n"
    "OFFSET(page._mapcount)=48\nOFFSET(page.private)=40\nOFFSET(page.compound_dtor)=16\n"
    "OFFSET(page.compound_head)=8\nNUMBER(PG_lru)=4\nNUMBER(PG_private)=13\n"
    "NUMBER(PG_swapcache)=10\nNUMBER(PG_swapbacked)=19\nNUMBER(PG_slab)=9\n"
    "NUMBER(PG_head_mask)=65536\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n"
    "NUMBER(HUGETLB_PAGE_DTOR)=2\nNUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-257\n";

/// 7.2; 6.12 has compound_head in compound_info's place.
inline constexpr char kStructPage72[] =
    "SIZE(page)=64\nOFFSET(page.flags)=0\nOFFSET(page._refcount)=52\nOFFSET(page.mapping)=24\n"
    "OFFSET(page._mapcount)=48\nOFFSET(page.private)=40\nOFFSET(page.compound_info)=8\n"
    "NUMBER(PG_lru)=5\nNUMBER(PG_private)=14\nNUMBER(PG_swapcache)=10\nNUMBER(PG_swapbacked)=17\n"
    "NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-184549376\nNUMBER(PG_hwpoison)=21\n"
    "NUMBER(PG_head_mask)=64\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-268435456\n"
    "NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-201326592\n"
    "NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-251658240\n";

/// Sections of 128 MiB, SPARSEMEM_EXTREME.
[[nodiscard]] inline std::string MemSection(const std::string& address) {
  return "SYMBOL(mem_section)=" + address +
         "\nLENGTH(mem_section)=2048\nSIZE(mem_section)=16\n"
         "OFFSET(mem_section.section_mem_map)=0\nNUMBER(SECTION_SIZE_BITS)=27\n"
         "NUMBER(MAX_PHYSMEM_BITS)=46\n";
}

}  // namespace kcoredump::test
