// SPDX-License-Identifier: MIT
//
// What a page is used for, as far as that decides whether a capture can do without it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kcoredump/address.h"
#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr std::array kPageClasses = {PageClass::kZero, PageClass::kCache,
                                            PageClass::kPrivateCache, PageClass::kUser,
                                            PageClass::kFree};

/// What a page is used for, finer than a capture needs it.
enum class PageKind : uint8_t {
  kUnknown,
  kFree,
  kUser,   ///< anonymous and hugetlb
  kCache,  ///< page cache, with private data or without
  kSlab,
  kPageTable,  ///< as the kernel marks them: processes' tables, not all of the kernel's own
  kReserved,   ///< by firmware, or at boot (PG_reserved)
  kKernel,     ///< in use, and none of these
};

inline constexpr size_t kPageKinds = 8;
/// "unknown", "free", "user", "cache", "slab", "page-tables", "reserved", "kernel".
[[nodiscard]] std::string_view PageKindName(PageKind kind);

/// "zero", "cache", "private-cache", "user", "free"; "not-wanted", "none".
[[nodiscard]] std::string_view PageClassName(PageClass page_class);

/// A set of classes: bits of PageClass. As with makedumpfile, kPrivateCache takes kCache along.
class PageClasses {
 public:
  constexpr PageClasses() = default;
  constexpr explicit PageClasses(unsigned bits) : bits_(static_cast<uint8_t>(bits)) {}

  [[nodiscard]] constexpr bool Has(PageClass page_class) const {
    const unsigned taken_along = (bits_ & kPrivateBit) != 0 ? kCacheBit : 0;
    return ((bits_ | taken_along) & static_cast<unsigned>(page_class)) != 0;
  }
  /// Whether a class is in it that only the kernel's own account tells, which zeros do not need.
  [[nodiscard]] constexpr bool NeedsKernel() const { return (bits_ & ~1U) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  /// makedumpfile's -d.
  [[nodiscard]] constexpr unsigned bits() const { return bits_; }
  constexpr void Add(PageClasses others) { *this = PageClasses(bits_ | others.bits_); }
  friend constexpr bool operator==(const PageClasses&, const PageClasses&) = default;

 private:
  static constexpr unsigned kCacheBit = 2;
  static constexpr unsigned kPrivateBit = 4;
  uint8_t bits_ = 0;
};

inline constexpr unsigned kMaxDumpLevel = 31;

/// "free,cache,…". kInvalidArgument names the word that is none.
[[nodiscard]] Result<PageClasses> ParsePageClasses(std::string_view text);

/// Pages left out, by the reason.
struct ExcludedCounts {
  uint64_t zero = 0;
  uint64_t cache = 0;
  uint64_t private_cache = 0;
  uint64_t user = 0;
  uint64_t free = 0;
  uint64_t not_wanted = 0;  ///< outside of what was asked for
  uint64_t not_told = 0;    ///< by a dump's maker, who did not record why

  [[nodiscard]] uint64_t& Of(PageClass page_class);
  /// All of them, as the JSON reports spell them.
  [[nodiscard]] std::array<std::pair<std::string_view, uint64_t>, 7> Named() const;
};

[[nodiscard]] ExcludedCounts CountExcluded(const std::vector<PageRun>& runs);

/// "3 free, 12 private cache": those that are not 0; empty: no reason is told.
[[nodiscard]] std::string DescribeExcluded(const ExcludedCounts& counts);

}  // namespace kcoredump
