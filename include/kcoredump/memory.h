// SPDX-License-Identifier: MIT
//
// Reading memory: of the live kernel, or of a dump of any format, all alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kcoredump/address.h"
#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr char kKcorePath[] = "/proc/kcore";
inline constexpr char kVmcorePath[] = "/proc/vmcore";
/// What to read when nobody says: in a crash kernel the memory of the kernel that died, which its
/// /proc/vmcore shows; else the live kernel's.
[[nodiscard]] const char* DefaultSource();

inline constexpr unsigned kDefaultRetries = 3;
inline constexpr unsigned kMaxRetries = 1000;

enum class SegmentKind : uint8_t {
  kRam,          ///< the direct map
  kKernelImage,  ///< kernel text and data; the same memory as some RAM
  kVmalloc,
  kModules,
  kVmemmap,
  kGate,  ///< the vsyscall page
};

[[nodiscard]] std::string_view SegmentKindName(SegmentKind kind);

/// Pages by the rung of the ladder that delivered them, or why none did.
struct PageCounts {
  uint64_t direct = 0;
  uint64_t retried = 0;
  uint64_t bounced = 0;
  uint64_t unreadable = 0;
  uint64_t hwpoison = 0;
  uint64_t offline = 0;
  uint64_t absent = 0;
  uint64_t not_reached = 0;
  uint64_t excluded = 0;

  [[nodiscard]] uint64_t& Of(PageOutcome outcome);
  [[nodiscard]] uint64_t read() const { return direct + retried + bounced; }
  /// Without not_reached and excluded, which say something of the capture and nothing of the
  /// memory.
  [[nodiscard]] uint64_t holes() const { return unreadable + hwpoison + offline + absent; }
  [[nodiscard]] uint64_t total() const { return read() + holes() + not_reached + excluded; }
  void Add(const PageCounts& other);
};

/// What a read did. Bytes of holes are zero in the destination; `runs` says which they are.
struct ReadReport {
  PageCounts counts;
  /// All that was not direct, in address order.
  std::vector<PageRun> runs;
  /// Pages counted as read that are all zero and come from a live kernel's vmalloc, module or
  /// vmemmap space, where kcore shows a hole just so.
  uint64_t doubtful_pages = 0;

  /// The first hole; nullptr: everything was read.
  [[nodiscard]] const PageRun* FirstHole() const;
  void Clear();
};

/// "the page at physical 0x… is offline (…)": a hole as an error message.
[[nodiscard]] std::string DescribeHole(const PageRun& hole);

struct ReadOptions {
  /// Attempts to fault a bad destination in before the bounce buffer, at most kMaxRetries.
  unsigned retries = kDefaultRetries;
};

class MemoryImpl;
class MemoryReaderImpl;

/// Reads for one thread. Each reading thread takes its own, for the kernel's bounce page belongs to
/// the open file: two threads on one /proc/kcore descriptor get each other's pages.
class MemoryReader {
 public:
  explicit MemoryReader(std::unique_ptr<MemoryReaderImpl> impl);
  MemoryReader(MemoryReader&&) noexcept;
  MemoryReader& operator=(MemoryReader&&) noexcept;
  ~MemoryReader();

  /// Fills `out` from `at`: any address, any length, across pages and segments. Memory that cannot
  /// be read is no error: it is zero in `out` and listed in the report. Errors: kInvalidArgument
  /// with the `address` of a destination that cannot be written (never a signal), or a range that
  /// wraps around.
  [[nodiscard]] Result<ReadReport> Read(Location at, std::span<std::byte> out);

 private:
  std::unique_ptr<MemoryReaderImpl> impl_;
};

/// An open memory image. Immutable after Open; any thread may call any method.
class Memory {
 public:
  /// `path`: /proc/kcore, or a file of any format: a snapshot, an ELF core, kdump (flattened and
  /// split too), LiME, AVML, raw with its ranges beside it. kPermission names the cause and the
  /// cure.
  [[nodiscard]] static Result<Memory> Open(const std::string& path);
  Memory(Memory&&) noexcept;
  Memory& operator=(Memory&&) noexcept;
  ~Memory();

  [[nodiscard]] Result<MemoryReader> NewReader(const ReadOptions& options = {}) const;

  /// What weakens every answer of this image, a line each: a snapshot without trailer cannot tell
  /// holes from zeros, a live kernel without kpageflags cannot either. Usually empty.
  [[nodiscard]] std::vector<std::string> Caveats() const;

 private:
  explicit Memory(std::shared_ptr<const MemoryImpl> impl);
  std::shared_ptr<const MemoryImpl> impl_;
};

}  // namespace kcoredump
