// SPDX-License-Identifier: MIT
//
// Searching memory for bytes, text, words or a regular expression.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr uint64_t kDefaultMaxMatches = 1000;
inline constexpr uint64_t kMostMatches = 1'000'000;
inline constexpr size_t kMaxPatternBytes = 4096;
inline constexpr uint64_t kMaxContextBytes = 64 << 10;
inline constexpr unsigned kMaxSearchThreads = 1024;
/// Of a match, and of what follows it, a SearchMatch keeps no more than this.
inline constexpr size_t kKeptMatchBytes = 256;
inline constexpr size_t kPreviewBytes = 64;

enum class PatternKind : uint8_t {
  kText,   ///< the bytes of the pattern as it stands
  kBytes,  ///< hexadecimal, "48 8b ?? 05"; "?" is any digit; white space is passed over
  kWord,   ///< a little-endian number of `word_bytes`, as Kernel::Resolve takes it: a symbol's
           ///< address, too
  kRegex,  ///< RE2 syntax on bytes (Latin-1), ^ and $ at line ends, time linear in the memory
};

struct SearchMatch {
  /// Where it was found, in the space that was searched: physical for all of RAM and for ranges of
  /// the direct map.
  Target at;
  std::optional<uint64_t> phys;  ///< nothing: not known
  /// The kernel virtual address that tells most: in the kernel image, in a module or else in
  /// vmalloc space, in the direct map. Nothing: none is known.
  std::optional<uint64_t> virt;
  std::vector<uint64_t> aliases;  ///< other kernel virtual addresses of it
  std::string symbol;             ///< "name+0x1c [module]"; empty: none
  uint64_t length = 0;            ///< of the match, in bytes
  /// The match, and at least kPreviewBytes from its beginning unless memory ends before; cut to
  /// kKeptMatchBytes.
  std::vector<std::byte> bytes;
  uint64_t context_address = 0;    ///< in the space of `at`
  std::vector<std::byte> context;  ///< read anew: a live kernel may have changed it
};

struct SearchProgress {
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
  uint64_t hole_bytes = 0;
  uint64_t matches = 0;
  double seconds = 0;
};

struct SearchRange {
  Target at;
  uint64_t bytes = 0;
};

struct SearchOptions {
  PatternKind kind = PatternKind::kText;
  std::string pattern;
  bool ignore_case = false;  ///< ASCII letters of kText; kRegex as RE2 has it
  unsigned word_bytes = 8;   ///< 1, 2, 4 or 8
  /// kPhysical: all RAM. kKernel: the direct map (all RAM, too), then the areas of vmalloc and
  /// module space for the matches whose pages do not follow each other in RAM.
  Target::Space space = Target::Space::kPhysical;
  std::optional<SearchRange> range;  ///< this, instead of all of `space`
  /// Matches begin at multiples of this, a power of two; 0: 1, or word_bytes for kWord.
  uint64_t alignment = 0;
  uint64_t max_matches = kDefaultMaxMatches;  ///< at most kMostMatches
  uint64_t context_bytes = 0;                 ///< around each match, at most kMaxContextBytes
  unsigned threads = 0;                       ///< 0: every CPU
  /// Called by the calling thread with each match, in the order of the report; false: enough. May
  /// be empty.
  std::function<bool(const SearchMatch&)> on_match;
  /// Called by the calling thread, some ten times a second. May be empty.
  std::function<void(const SearchProgress&)> on_progress;
  /// Set by anyone, a signal handler included, to end the search with what was found. May be null.
  const std::atomic<bool>* cancel = nullptr;
};

struct SearchReport {
  /// In address order, whatever the number of threads. Bytes, text and words: each position that
  /// matches, overlapping ones too. Regular expressions: leftmost, none overlaps another, empty
  /// ones left out; one longer than 4 KiB may be cut.
  std::vector<SearchMatch> matches;
  uint64_t total_bytes = 0;     ///< to be searched
  uint64_t searched_bytes = 0;  ///< without holes and unmapped memory
  uint64_t hole_bytes = 0;      ///< memory that cannot be read; no match reaches across one
  uint64_t unmapped_bytes = 0;  ///< virtual addresses without memory
  bool complete = false;        ///< all was searched: neither cancelled nor stopped at the maximum
  bool stopped_at_max = false;  ///< there is at least one match more
  bool cancelled = false;
  double seconds = 0;
  unsigned threads = 0;
  Findings findings;
};

/// Searches memory, each byte once. Blocks; starts threads of its own. `kernel` must not be used by
/// others meanwhile, but on_match may use it. Errors: kInvalidArgument for a pattern or a range
/// that is none, kNotFound for an unknown symbol as a word and a range without memory, those of
/// opening the source again for each thread.
///
/// A search of the live kernel finds its own pattern, in its arguments and buffers.
[[nodiscard]] Result<SearchReport> Search(Kernel& kernel, const SearchOptions& options);

/// The title of the rows that follow.
[[nodiscard]] std::string SearchTitle(const TextStyle& style);
/// One row, or a row and a hex dump of the context.
[[nodiscard]] std::string ToText(const SearchMatch& match, const SearchOptions& options,
                                 const TextStyle& style);
/// "3 matches in 4.0 GiB …"
[[nodiscard]] std::string Summary(const SearchReport& report);
[[nodiscard]] std::string ToJson(const SearchReport& report, const SearchOptions& options);

}  // namespace kcoredump
