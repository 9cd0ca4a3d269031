// SPDX-License-Identifier: MIT
//
// Text in physical memory, each with whose it is.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/page_class.h"
#include "kcoredump/pages.h"

namespace kcoredump {

inline constexpr uint64_t kDefaultLeastCharacters = 6;
inline constexpr uint64_t kMostLeastCharacters = 2048;

/// Printable ASCII characters and tabs in a row, within one page: what follows in the next one need
/// not be the same owner's.
struct FoundString {
  uint64_t physical = 0;
  bool wide = false;  ///< UTF-16LE of ASCII characters
  std::string text;
  PageKind kind = PageKind::kUnknown;
  std::optional<PageFile> file{};  ///< of page cache, with the string's own offset
  /// Processes that have it mapped, each with the string's own address.
  std::vector<PageMapper> mapped_by{};
  std::string slab_cache{};        ///< of slab memory; empty: not known
  std::optional<uint64_t> virt{};  ///< in the kernel image, modules or vmalloc space
  std::string symbol{};            ///< that it lies in; empty: none
};

struct StringsOptions {
  uint64_t least_characters = kDefaultLeastCharacters;
  /// RE2 syntax; only strings in which it is found. Empty: all.
  std::string pattern{};
  /// Called with each string, by physical address; false: enough.
  std::function<bool(const FoundString&)> on_string;
  /// Some ten times a second; may be empty.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> on_progress{};
  /// Set by anyone to end with what was found. May be null.
  const std::atomic<bool>* cancel = nullptr;
};

struct StringsReport {
  uint64_t strings = 0;
  uint64_t total_bytes = 0;
  uint64_t searched_bytes = 0;
  uint64_t hole_bytes = 0;  ///< memory that cannot be read
  bool complete = false;    ///< all was searched
  Findings findings{};
};

/// Looks through all RAM, in order. Keeps what was learnt of owners, not the strings. Owners are
/// those of a moment of their own on a live kernel. kInvalidArgument: a pattern that is none.
[[nodiscard]] Result<StringsReport> FindStrings(Kernel& kernel, const StringsOptions& options);

/// "PHYSICAL  OWNER  TEXT", escaped.
[[nodiscard]] std::string ToText(const FoundString& found);
[[nodiscard]] std::string ToJson(const FoundString& found);
/// Without the strings.
[[nodiscard]] std::string ToJson(const StringsReport& report);

}  // namespace kcoredump
