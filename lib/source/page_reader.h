// SPDX-License-Identifier: MIT
//
// The ladder for a read that fails. Every rung is bounded, and every page ends on one of them:
//
//   batch ──ok──────────────────────────────► direct
//     └─error─► each page on its own ──ok───► retried
//                 ├─EFAULT: fault the destination in, again, up to `retries` times
//                 └─still no─► bounce page ──ok, copied──► bounced
//                                ├─the copy fails──► error: the destination is bad
//                                └─the read fails──► unreadable, with its errno
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "kcoredump/memory.h"
#include "source/locked_buffer.h"
#include "source/memory_source.h"

namespace kcoredump {

/// In a watch, in an address's place: the thread is opening the source.
inline constexpr uint64_t kWatchOpening = ~uint64_t{0};

/// What a thread is reading now, for whoever watches that reads come back. Written by the reading
/// thread, read by any.
struct ReadWatch {
  std::atomic<uint64_t> address{0};
  std::atomic<int64_t> started_ns{0};  ///< steady clock; 0: not reading
};

/// Marks a call that may not return in the watch (which may be null) for as long as it lasts.
class WatchedCall {
 public:
  WatchedCall(ReadWatch* watch, uint64_t address);
  ~WatchedCall();
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;

 private:
  ReadWatch* watch_;
};

/// Not for use by two threads. Keeps pointers to the reader and the watch, which must outlive it.
class PageReader {
 public:
  [[nodiscard]] static Result<PageReader> Create(SourceReader* reader, uint64_t page_bytes,
                                                 const ReadOptions& options,
                                                 ReadWatch* watch = nullptr);

  /// Fills `out` from `at` and adds to `report`. The source's failures are holes, zero in `out`.
  /// Error: kInvalidArgument, `out` cannot be written at `address`.
  [[nodiscard]] Status Read(Location at, std::span<std::byte> out, ReadReport& report);

 private:
  PageReader(SourceReader* reader, uint64_t page_bytes, const ReadOptions& options,
             ReadWatch* watch, LockedBuffer bounce);

  [[nodiscard]] int ReadFully(Location at, std::span<std::byte> out);
  [[nodiscard]] Status ReadPage(Location at, std::span<std::byte> out, ReadReport& report);
  [[nodiscard]] int ReadFaultingIn(Location at, std::span<std::byte> out);
  [[nodiscard]] Status ReadBounced(Location at, std::span<std::byte> out, ReadReport& report);

  SourceReader* reader_;
  ReadWatch* watch_;
  uint64_t page_bytes_;
  unsigned retries_;
  LockedBuffer bounce_;
};

/// Appends `run`, joined with the last one where it continues it.
void JoinRun(std::vector<PageRun>& runs, const PageRun& run, uint64_t page_bytes);

/// Counts the pages of `run` and, unless they are direct, lists them.
void AddRun(ReadReport& report, const PageRun& run, uint64_t page_bytes);

/// Zeros a destination that may be bad. Error as PageReader::Read.
[[nodiscard]] Status ZeroFill(std::span<std::byte> out);

}  // namespace kcoredump
