// SPDX-License-Identifier: MIT
//
// How this kernel's struct page reads, by VMCOREINFO alone (kernel: kernel/vmcore_info.c exports
// for makedumpfile just what is needed here; the tests of classes are those of its
// Documentation/admin-guide/kdump/vmcoreinfo.rst).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kcoredump/page_class.h"
#include "kernel/vmcoreinfo.h"

namespace kcoredump {

/// What one struct page says of its page. Of a tail of a compound page nothing but where its head
/// is: what holds for the head holds for the tail.
struct PageUse {
  enum class Fault : uint8_t { kNone, kHwPoison, kOffline };
  PageClass page_class = PageClass::kNone;
  PageKind kind = PageKind::kUnknown;
  Fault fault = Fault::kNone;  ///< must not be read
  unsigned free_order = 0;     ///< of the head of a free block: 2^free_order pages are free
};

/// Immutable; any thread may read.
class PageLayout {
 public:
  /// Largest order of a free block that is believed (MAX_PAGE_ORDER of any architecture).
  static constexpr unsigned kMaxFreeOrder = 13;

  /// kUnsupported names what VMCOREINFO lacks. `page_bytes`: of memory.
  [[nodiscard]] static Result<PageLayout> From(const VmcoreInfo& info, uint64_t page_bytes);

  [[nodiscard]] size_t struct_bytes() const { return struct_bytes_; }
  /// What cannot be told on this kernel, a line each: such pages are kept.
  [[nodiscard]] const std::vector<std::string>& unknown() const { return unknown_; }

  /// PG_reserved is no part of VMCOREINFO; BTF has it among the values of enum pageflags.
  void LearnReserved(uint64_t mask) { reserved_ = mask; }
  /// Nor is PG_table: `type`, a page_type, stood with a page table. False: it is none of a table.
  [[nodiscard]] bool LearnTable(int32_t type);
  /// What stands where a page's type does.
  [[nodiscard]] int32_t TypeOf(std::span<const std::byte> page) const;

  /// The virtual address of the head, when `page` (a struct page at virtual address `address`) is
  /// a tail.
  [[nodiscard]] std::optional<uint64_t> HeadOfTail(std::span<const std::byte> page,
                                                   uint64_t address) const;
  [[nodiscard]] bool IsHead(std::span<const std::byte> page) const;
  /// Of a page that is no tail. `next`: the struct page after it, where a head keeps more; empty:
  /// not there.
  [[nodiscard]] PageUse UseOf(std::span<const std::byte> page,
                              std::span<const std::byte> next) const;

 private:
  /// A test of page_type, which shares its place with _mapcount: of a whole number until 6.11, of
  /// its top byte since (4ffca5a96678).
  struct TypeTest {
    int32_t value = 0;
    [[nodiscard]] bool in_top_byte() const;
    [[nodiscard]] bool Holds(int32_t mapcount) const;
  };

  [[nodiscard]] bool IsHugetlb(uint64_t flags, int32_t mapcount,
                               std::span<const std::byte> next) const;
  [[nodiscard]] PageClass ClassOfMapped(uint64_t flags, uint64_t mapping) const;
  [[nodiscard]] PageUse UseOfTyped(int32_t type, std::span<const std::byte> page) const;
  [[nodiscard]] bool IsTable(int32_t type) const;

  size_t struct_bytes_ = 0;
  size_t flags_at_ = 0;
  size_t mapping_at_ = 0;
  size_t mapcount_at_ = 0;
  size_t private_at_ = 0;
  size_t compound_at_ = 0;
  uint64_t lru_ = 0;  ///< masks of flags
  uint64_t private_ = 0;
  uint64_t head_ = 0;
  uint64_t swapcache_ = 0;  ///< all bits must be set
  uint64_t slab_ = 0;       ///< 0: slabs are a page type
  std::optional<TypeTest> slab_type_;
  uint64_t reserved_ = 0;  ///< 0: not learnt
  uint32_t table_ = 0;     ///< of the type: bits that are clear, or its top byte; 0: not learnt
  uint64_t hwpoison_ = 0;  ///< 0: this kernel has no such pages, or does not tell
  TypeTest buddy_;
  std::optional<TypeTest> offline_;
  std::optional<TypeTest> hugetlb_;  ///< since 6.10 (d99e3140a4d3)
  uint64_t hugetlb_flag_ = 0;        ///< of the second page's flags, 6.6 to 6.9 (9c5ccf2db04b)
  std::optional<size_t> dtor_at_;    ///< in the second page, until 6.5
  uint8_t hugetlb_dtor_ = 0;
  std::vector<std::string> unknown_;
};

}  // namespace kcoredump
