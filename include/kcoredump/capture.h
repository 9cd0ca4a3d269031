// SPDX-License-Identifier: MIT
//
// Capturing memory into a file: by default a snapshot, a seekable zstd stream of a plain ELF core.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/memory.h"
#include "kcoredump/page_class.h"
#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr int kDefaultLevel = 1;
inline constexpr int kFastLevel = -3;
inline constexpr uint32_t kDefaultFrameBytes = 256 * 1024;
inline constexpr uint32_t kMinFrameBytes = 4 * 1024;
inline constexpr uint32_t kMaxFrameBytes = 1024 * 1024;
inline constexpr double kDefaultStallTimeoutSeconds = 30;

inline constexpr char kDefaultFormat[] = "snapshot";

/// The formats that Capture writes: "snapshot", "elf", …
[[nodiscard]] std::vector<std::string> WritableFormats();

/// What may compress the pages of a kdump: "zstd", "zlib", "lzo", "snappy", "none".
[[nodiscard]] std::vector<std::string> Codecs();

/// The format that a file's name ends like; empty: none does.
[[nodiscard]] std::string FormatOfFileName(std::string_view name);

/// The compression levels that Capture takes.
[[nodiscard]] int MinLevel();
[[nodiscard]] int MaxLevel();

/// kComparing: pages of the smear's sample are read again; done and total count them.
enum class CapturePhase : uint8_t { kPreparing, kReading, kComparing, kFinishing };

struct CaptureProgress {
  CapturePhase phase = CapturePhase::kPreparing;
  uint64_t done_bytes = 0;  ///< of the uncompressed image
  uint64_t total_bytes = 0;
  uint64_t compressed_bytes = 0;
  uint64_t hole_pages = 0;
  double seconds = 0;  ///< since the start
};

struct CaptureReport;

/// Something that happened in a capture, as it happens.
struct CaptureEvent {
  enum class Kind : uint8_t {
    kStart,     ///< the output is open and the image planned
    kProgress,  ///< some ten times a second
    kHole,      ///< pages that cannot be read, or must not be; those that follow come as others
    kWarning,   ///< what the report's warnings will say
    kFinish,    ///< the last one of every capture
  };
  Kind kind = Kind::kProgress;
  CaptureProgress progress = {};  ///< of all kinds, as it stands
  uint64_t utc_ns = 0;            ///< when
  PageRun hole = {};              ///< of kHole; physical
  std::string text = {};          ///< of kWarning; of kFinish: why there is no report
  /// Of kStart: source, output and format are set. Of kFinish: all of it, or nullptr when nothing
  /// was published. Ends with the call.
  const CaptureReport* report = nullptr;
};

/// What alone is captured: the union of what is said here. All other pages are excluded.
struct CaptureOnly {
  bool kernel = false;            ///< what is neither free, nor cache, nor a process's
  std::vector<PhysRange> ranges;  ///< widened to whole pages
};

/// Of CaptureOptions::smear_pages, each of which takes so much memory.
inline constexpr uint64_t kMostSmearPages = 100'000;
inline constexpr uint64_t kSmearPageBytes = 40;

/// Which memory is read first.
enum class CaptureOrder : uint8_t {
  kPhysical,  ///< by address
  /// Of a live kernel: page tables, `first`, slab, then the rest. What is read early waits on the
  /// disk beside the output, which must be a file; when the capture ends early, it is in it all the
  /// same, and memory that lies before it and was not read is unreadable (ECANCELED).
  kVolatile,
};

struct CaptureOptions {
  std::string source = DefaultSource();  ///< any image that Memory::Open takes
  std::string output;  ///< a path; "-": standard output; empty: HOST-UTCTIME and the suffix
  std::string format = kDefaultFormat;  ///< one of WritableFormats()
  std::string codec;                    ///< of "kdump": see Codecs(); empty: zstd
  int level = kDefaultLevel;
  unsigned threads = 0;  ///< 0: every CPU this process may use
  unsigned retries = kDefaultRetries;
  double stall_timeout_seconds = kDefaultStallTimeoutSeconds;
  /// A power of two; 0: the base's, or kDefaultFrameBytes.
  uint32_t frame_bytes = 0;
  bool force = false;  ///< replace an existing output, but no partial one
  /// A snapshot in the output's folder, with frames of that size: what is the same there becomes a
  /// reference, and the output, a snapshot, opens only beside it. It is not verified: a frame with
  /// a hash is taken for whole, and if it is not, what refers to it is lost. Empty: all is written.
  std::string base;
  /// Each frame's SHA-256 goes into the snapshot, so that one that is made from it need not read
  /// it; an incremental one has them anyway.
  bool hashes = false;
  /// Pages to leave out. A live kernel tells by /proc/kpageflags what it uses them for, a dump by
  /// its struct pages; what cannot be told is kept, and a warning says so.
  PageClasses exclude;
  std::optional<CaptureOnly> only;  ///< nothing: all RAM
  CaptureOrder order = CaptureOrder::kPhysical;
  std::vector<PhysRange> first;  ///< with kVolatile: read after the page tables: TaskMemory
  /// Of a live kernel: so many pages, by chance, are read again at the end; 0: none.
  uint64_t smear_pages = 0;
  uint64_t max_bytes_per_second = 0;   ///< read; 0: no limit
  std::vector<std::string> arguments;  ///< of the program, for the snapshot's metadata
  /// Called by the capturing thread, some ten times a second. May be empty.
  std::function<void(const CaptureProgress&)> on_progress;
  /// Called by the same thread. May be empty.
  std::function<void(const CaptureEvent&)> on_event;
  /// Set by anyone, a signal handler included, to end the capture as partial. May be null; must
  /// outlive the call.
  const std::atomic<bool>* cancel = nullptr;
};

enum class CaptureStatus : uint8_t {
  kComplete,
  kCompleteWithHoles,
  kPartial,  ///< ended early; what was read is a valid snapshot
};

enum class IomemState : uint8_t { kAgrees, kDiffers, kHidden, kUnavailable };

/// /proc/iomem held against the program headers.
struct IomemCheck {
  IomemState state = IomemState::kUnavailable;
  std::vector<std::string> differences;  ///< a line each
};

enum class KallsymsState : uint8_t { kIncluded, kHidden, kUnavailable };

/// Whether /proc/kpageflags told which pages must not be read.
enum class PageFlagsState : uint8_t { kUsed, kUnavailable, kNotApplicable };

/// A share, 0 to 1, with its 95 % confidence interval.
struct SmearShare {
  double share = 0;
  double low = 0;
  double high = 0;
};

struct SmearClass {
  PageKind kind = PageKind::kUnknown;  ///< when the capture began
  uint64_t sampled_pages = 0;
  uint64_t changed_pages = 0;
  SmearShare changed;
};

/// Of a sample of captured pages, how many held something else when all had been read.
struct SmearReport {
  uint64_t sampled_pages = 0;
  uint64_t changed_pages = 0;
  SmearShare changed;
  double seconds_between = 0;  ///< the two reads of a page, on average
  std::vector<SmearClass> classes;
};

/// What the capture itself took of the machine.
struct CaptureFootprint {
  double cpu_seconds = 0;         ///< user and system, of all its threads
  uint64_t peak_rss_bytes = 0;    ///< of the process, since it began
  uint64_t dirtied_pages = 0;     ///< that the kernel gave it meanwhile, for its own memory
  uint64_t page_cache_bytes = 0;  ///< of the output, left in the page cache
};

struct CaptureReport {
  CaptureStatus status = CaptureStatus::kPartial;
  std::string reason;  ///< why it is partial; empty otherwise
  std::string source;
  std::string output;  ///< where the result is: the path, PATH.partial, or "-"
  std::string format;
  std::string sidecar;          ///< what the format cannot hold is there; empty: nothing is
  uint64_t plain_bytes = 0;     ///< of the ELF image inside
  uint64_t expected_bytes = 0;  ///< of it when complete
  uint64_t compressed_bytes = 0;
  double seconds = 0;
  uint64_t page_bytes = 0;
  PageCounts pages;
  uint64_t zero_pages = 0;         ///< read, and all zero
  std::string base;                ///< the file's name; empty: this is no incremental snapshot
  uint64_t referenced_frames = 0;  ///< that the base has
  uint64_t referenced_bytes = 0;   ///< of memory in them
  ExcludedCounts excluded;         ///< pages.excluded, by the reason
  std::vector<PageRun> runs;       ///< physical; retried, bounced and holes
  IomemCheck iomem;
  KallsymsState kallsyms = KallsymsState::kUnavailable;
  PageFlagsState page_flags = PageFlagsState::kNotApplicable;
  std::string lockdown;
  uint64_t layout_moves = 0;       ///< batches read again because kcore's headers changed
  bool around_page_cache = false;  ///< written with O_DIRECT
  unsigned threads = 0;
  int level = 0;
  uint32_t frame_bytes = 0;
  CaptureOrder order = CaptureOrder::kPhysical;
  uint64_t early_bytes = 0;  ///< read before their turn
  std::optional<SmearReport> smear;
  CaptureFootprint footprint;
  std::vector<std::string> warnings;
};

/// Captures and publishes. Blocks; starts threads of its own. A partial capture is a report with
/// kPartial. Errors: nothing was published (kPermission: the source refused; kInvalidArgument;
/// kCancelled before anything was read; kIo: the source did not answer; the output could not be
/// given its end or its name, in which case the message tells what it is called instead).
///
/// When a read never comes back, its thread is left behind, and frees what it holds if it ever
/// does.
[[nodiscard]] Result<CaptureReport> Capture(const CaptureOptions& options);

/// The program's exit status for a report: 0 complete, 3 complete with holes, 5 partial.
[[nodiscard]] int ExitStatus(const CaptureReport& report);

/// One JSON object; 64-bit addresses are "0x…" strings.
[[nodiscard]] std::string ToJson(const CaptureReport& report);
/// What stands in a report's place when there is none: {"status": "failed", "exit_status",
/// "error"}.
[[nodiscard]] std::string FailureToJson(const std::string& message, int exit_status);
/// {"message": …}: a message among JSON lines.
[[nodiscard]] std::string MessageToJson(const std::string& message);
/// One JSON object without line breaks.
[[nodiscard]] std::string ToJson(const CaptureProgress& progress);
/// The same: {"event", "utc_us", "seconds", …}, microseconds, for many readers of JSON round
/// numbers past 2^53.
[[nodiscard]] std::string ToJson(const CaptureEvent& event);

}  // namespace kcoredump
