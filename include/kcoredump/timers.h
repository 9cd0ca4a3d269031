// SPDX-License-Identifier: MIT
//
// What the kernel will do at a given time: hrtimers and the timers of the wheel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/actors.h"
#include "kcoredump/kernel.h"

namespace kcoredump {

/// More are not listed, and a note says so.
inline constexpr size_t kMaxTimers = 1 << 20;

/// A struct hrtimer that is armed, or a struct timer_list that is pending.
struct Timer {
  uint32_t cpu = 0;  ///< that it is armed on
  /// Of an hrtimer the clock: "monotonic", "realtime_soft"; of a timer of the wheel its base:
  /// "local", "global" (since 6.9), "standard" (before), "deferrable".
  std::string base{};
  uint32_t base_index = 0;   ///< the "clock" of /proc/timer_list
  bool wheel = false;        ///< a timer_list
  int64_t expires = 0;       ///< nanoseconds of its clock; of the wheel, jiffies
  int64_t soft_expires = 0;  ///< of an hrtimer: as soon as this; of the wheel as `expires`
  /// Nanoseconds from now to `expires`, negative when it is overdue. Nothing: now is not known.
  std::optional<int64_t> in_ns{};
  FunctionName function{};
  FunctionName work{};   ///< of delayed work: what is queued then
  TaskName task{};       ///< that it wakes
  uint64_t address = 0;  ///< of the struct
};

struct TimerList {
  std::optional<int64_t> now_ns{};  ///< CLOCK_MONOTONIC at the kernel's last tick
  std::optional<uint64_t> jiffies{};
  std::optional<uint64_t> tick_ns{};  ///< of a jiffy
  std::vector<Timer> timers{};        ///< by CPU, base and expiry
  Findings findings;
};

/// Without debuginfo. What is armed on CPUs that the machine may have, be they online or not. Now
/// is the last tick of any CPU. kNotFound: no symbol hrtimer_bases, or a member that this kernel
/// lacks.
[[nodiscard]] Result<TimerList> ListTimers(Kernel& kernel);

/// CPU, BASE, IN (seconds), FUNCTION, FOR (a task or work).
[[nodiscard]] std::string ToText(const TimerList& list, const TextStyle& style);
[[nodiscard]] std::string ToJson(const TimerList& list);

}  // namespace kcoredump
