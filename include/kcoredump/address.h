// SPDX-License-Identifier: MIT
//
// Address types that cannot be mistaken for one another, and what can be said of a page.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

namespace kcoredump {

struct PhysAddr {
  uint64_t value = 0;
  auto operator<=>(const PhysAddr&) const = default;
};

struct VirtAddr {
  uint64_t value = 0;
  auto operator<=>(const VirtAddr&) const = default;
};

/// Physical addresses, [begin, end).
struct PhysRange {
  uint64_t begin = 0;
  uint64_t end = 0;

  bool operator==(const PhysRange&) const = default;
};

enum class Space : uint8_t { kPhysical, kVirtual };

/// An address together with the space it belongs to.
struct Location {
  Space space = Space::kPhysical;
  uint64_t address = 0;

  Location() = default;
  Location(Space in_space, uint64_t at) : space(in_space), address(at) {}
  Location(PhysAddr at) : space(Space::kPhysical), address(at.value) {}
  Location(VirtAddr at) : space(Space::kVirtual), address(at.value) {}
  auto operator<=>(const Location&) const = default;

  [[nodiscard]] Location Plus(uint64_t bytes) const { return {space, address + bytes}; }
};

/// How a page came to be what the reader holds. The numbers are those of the snapshot's outcome
/// map (lib/format/snapshot/FORMAT.md) and never change.
enum class PageOutcome : uint8_t {
  kDirect = 0,      ///< read in its batch; the normal case, never listed
  kRetried = 1,     ///< read on its own, straight into the destination
  kBounced = 2,     ///< read on its own, through the bounce buffer
  kUnreadable = 3,  ///< a hole: every attempt failed, with an errno
  kHwPoison = 4,    ///< a hole, never read: the kernel marked it as faulty (KPF_HWPOISON)
  kOffline = 5,     ///< a hole, never read: offline or ballooned (KPF_OFFLINE, sysfs)
  kAbsent = 6,      ///< a hole, never read: no memory behind it (KPF_NOPAGE)
  kNotReached = 7,  ///< a hole: the capture ended before this page
  /// A hole, but no failure: left out on purpose when the image was made (makedumpfile -d,
  /// p_filesz < p_memsz).
  kExcluded = 8,
};

/// Whether the page's bytes are not there.
[[nodiscard]] constexpr bool IsHole(PageOutcome outcome) {
  return outcome >= PageOutcome::kUnreadable;
}

/// A hole that is no fault of the capture or the memory: what such an image holds is complete.
[[nodiscard]] constexpr bool IsFailure(PageOutcome outcome) {
  return IsHole(outcome) && outcome != PageOutcome::kExcluded;
}

/// What a page is used for, as far as that decides whether a capture can do without it: one page is
/// of at most one class. As numbers they are the bits of makedumpfile's -d, and those of the
/// snapshot's outcome map.
enum class PageClass : uint8_t {
  kNone = 0,          ///< the kernel's own, or not known: always kept
  kZero = 1,          ///< all zero
  kCache = 2,         ///< page cache without private data
  kPrivateCache = 4,  ///< page cache with private data (buffer heads, …)
  kUser = 8,          ///< anonymous and hugetlb pages
  kFree = 16,         ///< the buddy allocator's
  kNotWanted = 32,    ///< of any use: outside of what was to be captured
};

/// "direct", "retried", … as the JSON reports spell it.
[[nodiscard]] std::string_view PageOutcomeName(PageOutcome outcome);

/// A run of pages that share an outcome.
struct PageRun {
  Location first;  ///< of the first page, aligned to it
  uint64_t pages = 0;
  PageOutcome outcome = PageOutcome::kDirect;
  int system_errno = 0;                     ///< for kUnreadable: the last errno
  PageClass page_class = PageClass::kNone;  ///< for kExcluded: why; kNone: nobody said

  /// Left out, but that it was all zero is known.
  [[nodiscard]] bool is_known_zero() const {
    return outcome == PageOutcome::kExcluded && page_class == PageClass::kZero;
  }
  [[nodiscard]] bool operator==(const PageRun&) const = default;
};

}  // namespace kcoredump
