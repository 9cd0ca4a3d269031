// SPDX-License-Identifier: MIT
//
// A struct page and its head, read by BTF and VMCOREINFO.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inspect/session.h"
#include "inspect/task/tasks.h"
#include "kcoredump/pages.h"
#include "kernel/page_layout.h"
#include "space/memmap.h"
#include "symbol/record.h"

namespace kcoredump {

/// What page.mapping is, by its lowest bits (kernel: include/linux/page-flags.h).
enum class MappingKind : uint8_t { kNone, kFile, kAnonymous, kMovable, kKsm };

struct PageWords {
  PageAnswer answer;  ///< without its owners
  MappingKind mapping_kind = MappingKind::kNone;
  uint64_t mapping = 0;  ///< without those bits
  uint64_t index = 0;    ///< of the page in its mapping
  uint64_t pages_above_head = 0;
};

/// For one thread. What it is made of must outlive it.
class PageWordsReader {
 public:
  /// kUnsupported: VMCOREINFO does not tell where struct pages are.
  [[nodiscard]] static Result<PageWordsReader> Create(const TaskSources& sources,
                                                      const VmcoreInfo& info, Findings& findings);

  /// kNotFound: the kernel has no struct page for `pfn`; kUnreadable.
  [[nodiscard]] Result<PageWords> At(uint64_t pfn);
  /// The page that a struct page at or around `address` describes; `known_pfn`: any that has one.
  [[nodiscard]] std::optional<uint64_t> PfnOfStruct(uint64_t address, uint64_t known_pfn);

 private:
  PageWordsReader(const TaskSources& sources, PageLayout layout, Memmap memmap)
      : sources_(sources), layout_(std::move(layout)), memmap_(memmap) {}
  void FindFields(Findings& findings);
  void FindFlagNames(Findings& findings);
  void ReadMapping(const Record& head, PageWords& words);
  void ReadCompound(uint64_t head, const Record& page, PageWords& words);

  const TaskSources& sources_;
  PageLayout layout_;
  Memmap memmap_;
  Field flags_, mapping_, index_, refcount_, mapcount_;  ///< of page
  Field order_;                  ///< from the head's struct page on, in the next
  bool order_in_flags_ = false;  ///< its lowest byte is meant
  Field whole_mapcount_;  ///< from the head's struct page on: of the whole compound page, less 1
  std::optional<uint64_t> double_mapped_;  ///< a flag of the next struct page
  std::vector<std::pair<std::string, unsigned>> flag_names_;
  uint64_t plain_flags_ = ~uint64_t{0};  ///< bits that are flags, not node and zone
};

}  // namespace kcoredump
