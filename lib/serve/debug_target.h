// SPDX-License-Identifier: MIT
//
// What a debugger looks at, as the stub asks for it: threads, registers and memory, all read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "kcoredump/result.h"
#include "serve/registers.h"

namespace kcoredump {

struct DebugThread {
  uint32_t id = 0;    ///< a task's pid; never 0
  std::string name;   ///< hostile text
  std::string extra;  ///< what else is to be said of it
  std::optional<uint32_t> cpu;
  bool on_cpu = false;  ///< it runs there
};

/// Takes text that a command printed; empty text asks whether to go on. False: stop.
using MonitorOutput = std::function<bool(std::string_view text)>;

/// For one thread, but for Monitor.
class DebugTarget {
 public:
  virtual ~DebugTarget() = default;

  /// Looked up anew. Never empty.
  [[nodiscard]] virtual std::vector<DebugThread> ListThreads() = 0;
  /// What is known of a thread's registers; none at all: it runs, or is gone.
  [[nodiscard]] virtual RegisterValues ReadRegisters(uint32_t thread) = 0;
  /// The bytes before the first that cannot be read. Addresses of the user's half are those of the
  /// thread's process. An error: there are none.
  [[nodiscard]] virtual Result<size_t> ReadMemory(uint32_t thread, uint64_t address,
                                                  std::span<std::byte> out) = 0;
  /// Addresses where memory may be; the last one may end at 0, which is 2^64.
  [[nodiscard]] virtual std::vector<Range> AddressRanges() = 0;
  /// Where the kernel's text begins; nothing: not known.
  [[nodiscard]] virtual std::optional<uint64_t> TextStart() = 0;
  /// Runs a command of `monitor`. Any thread may call, also while the others are busy.
  virtual void Monitor(std::string_view command, const MonitorOutput& output) const = 0;
};

}  // namespace kcoredump
