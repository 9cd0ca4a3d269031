// SPDX-License-Identifier: MIT
//
// The kernel's log, read from memory: what dmesg would say. VMCOREINFO is enough, no symbols and no
// types are needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// At most so many records are kept, the newest.
inline constexpr size_t kMaxLogRecords = 4 << 20;

/// One message as printk stored it (kernel: kernel/printk/printk_ringbuffer.h, struct printk_info).
/// Strings are as the image has them: they may hold anything.
struct LogRecord {
  uint64_t sequence = 0;  ///< counts up from 0 at boot
  uint64_t time_ns = 0;   ///< since boot, by the kernel's local_clock()
  std::optional<uint8_t> level =
      std::nullopt;  ///< 0 "emerg" to 7 "debug"; nothing: stored in an unknown way
  std::optional<uint8_t> facility = std::nullopt;  ///< as syslog(3) numbers them, 0 "kern"
  bool continuation = false;   ///< a piece that belongs to the record before it (LOG_CONT)
  bool newline = false;        ///< the text was ended with a newline (LOG_NEWLINE)
  bool finished = true;        ///< false: stored, but the writer may yet append to it
  uint32_t caller_id = 0;      ///< a thread's id, or with the top bit set a CPU's number
  std::string text = {};       ///< without its last newline; may have several lines
  std::string subsystem = {};  ///< of the device that the message is about; empty: none
  std::string device = {};

  /// "T1" or "C0".
  [[nodiscard]] std::string Caller() const;
};

struct LogOptions {
  uint8_t levels = 0xff;      ///< bit N: records of level N
  uint32_t facilities = ~0U;  ///< bit N: records of facility N; all ones: those past 31, too
  std::optional<size_t> tail = std::nullopt;  ///< only so many of those that match, the newest
  std::optional<uint64_t> after_sequence = std::nullopt;  ///< only records past this one
  /// End before the first record that is not finished, so that it comes whole the next time.
  bool finished_only = false;
};

struct KernelLog {
  std::vector<LogRecord> records = {};  ///< in the order of their sequence
  /// The last record looked at, whether the options let it through or not: `after_sequence` of the
  /// next call. Nothing: there was none.
  std::optional<uint64_t> last_sequence = std::nullopt;
  Findings findings = {};
};

/// Reads the ring buffer of Linux 5.10 and later (896fbe20b4e2). A descriptor that is forged, being
/// written or overwritten costs its record, and a note says how many. kUnsupported: an older
/// kernel, or VMCOREINFO does not describe the ring; kCorrupt: the ring's own description is
/// nonsense; kUnreadable: it is missing.
[[nodiscard]] Result<KernelLog> ReadLog(Kernel& kernel, const LogOptions& options = {});

/// "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"; others: the number.
[[nodiscard]] std::string LogLevelName(unsigned level);
/// "kern", "user", …, "local7"; others: the number.
[[nodiscard]] std::string LogFacilityName(unsigned facility);
/// "err,warn", "notice+" (that and all graver ones): LogOptions::levels.
[[nodiscard]] Result<uint8_t> ParseLogLevels(std::string_view text);
/// "kern,daemon": LogOptions::facilities.
[[nodiscard]] Result<uint32_t> ParseLogFacilities(std::string_view text);

struct LogTextOptions {
  bool colour = false;
  bool decode = false;  ///< facility, level and caller in front of each line
};

/// Lines as dmesg prints them, each line of a message with its time; control characters other than
/// tabs are escaped.
[[nodiscard]] std::string ToText(const KernelLog& log, const LogTextOptions& options = {});
[[nodiscard]] std::string ToJson(const KernelLog& log);
/// One JSON object a line, without findings: for a log that goes on.
[[nodiscard]] std::string ToJsonLines(const KernelLog& log);

}  // namespace kcoredump
