// SPDX-License-Identifier: MIT
//
// The struct page behind an address: what a page of memory is used for, and by whom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/page_class.h"
#include "kcoredump/slab.h"

namespace kcoredump {

/// More processes that have a page mapped are not listed, and a note says so.
inline constexpr size_t kMaxPageMappers = 256;

/// A process that has a page mapped. Strings may hold anything: escape them for a terminal.
struct PageMapper {
  uint32_t pid = 0;
  std::string comm;
  uint64_t address = 0;  ///< of the page, in the process
};

/// What page.mapping leads to.
struct PageFile {
  std::string path;  ///< from the root of init's mounts, or of the file system that none shows
  bool deleted = false;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t inode = 0;   ///< number
  uint64_t offset = 0;  ///< of the page in the file, bytes
};

/// A struct page, and the head of the compound page (folio) that it belongs to.
struct PageAnswer {
  uint64_t physical = 0;  ///< of the page's first byte
  uint64_t address = 0;   ///< of its struct page
  uint64_t head = 0;      ///< of the head's struct page; itself: it is no tail
  unsigned order = 0;     ///< of the compound page: 2^order pages; 0: a single one
  PageKind kind = PageKind::kUnknown;
  std::optional<unsigned> free_order{};  ///< of the free block that it begins
  uint64_t flags = 0;                    ///< the head's, as they are
  std::vector<std::string> flag_names{};  ///< "locked", "uptodate", …: the kernel's PG_ without PG_
  int32_t refcount = 0;                   ///< the head's
  uint64_t mapcount = 0;   ///< how often page tables map this page, as /proc/kpagecount
  uint64_t mapping = 0;    ///< the head's, as it is; 0 also where another thing stands there
  bool anonymous = false;  ///< the mapping is an anon_vma
  std::optional<PageFile> file{};
  std::vector<PageMapper> mapped_by{};
  std::optional<SlabObject> slab{};  ///< the object that was asked about
  Findings findings{};
};

/// `where`: physical, of the kernel, or of a process. A kernel address in the array of struct pages
/// stands for the page that it describes. kNotFound: nothing is mapped there, or the page has no
/// struct page; kUnsupported: this image does not tell where struct pages are.
[[nodiscard]] Result<PageAnswer> DescribePage(Kernel& kernel, const Target& where);

/// A line for each thing that is known.
[[nodiscard]] std::string ToText(const PageAnswer& answer);
[[nodiscard]] std::string ToJson(const PageAnswer& answer);

}  // namespace kcoredump
