// SPDX-License-Identifier: MIT
#include "inspect/deferred/clocks.h"

#include "base/error.h"
#include "base/try.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxClockShift = 40;
/// Kernel: NTP_SCALE_SHIFT: ntp_tick counts nanoseconds in units of 2^-32.
constexpr unsigned kTickShift = 32;
/// A jiffy is between 1/10000 and 1/10 of a second.
constexpr uint64_t kLeastTickNs = 100'000;
constexpr uint64_t kMostTickNs = 100'000'000;

/// A struct timekeeper behind a sequence counter. The struct of both has no name up to 6.12; since
/// 6.13 (a5f9e4e4ef0a) it is tk_data, and since 6.17 (22c62b9a84b8) there is an array of them.
Result<uint64_t> TimekeeperAddress(const TaskSources& sources) {
  uint64_t offset = 8;
  const auto data = Layout::Of(sources.types, "struct tk_data");
  if (data.ok()) {
    KCD_ASSIGN(const Field keeper, data.value().Need("timekeeper"));
    offset = keeper.offset;
  }
  for (const char* name : {"tk_core", "timekeeper_data"}) {
    if (const auto address = sources.symbol(name)) return *address + offset;
  }
  return MakeError(ErrorCode::kNotFound, "no symbol tk_core or timekeeper_data");
}

Status ReadTimekeeper(const TaskSources& sources, KernelClock& clock) {
  KCD_ASSIGN(const Layout layout, Layout::Of(sources.types, "struct timekeeper"));
  KCD_ASSIGN(const Field base, layout.Need("tkr_mono.base"));
  KCD_ASSIGN(const Field nsec, layout.Need("tkr_mono.xtime_nsec"));
  KCD_ASSIGN(const Field shift, layout.Need("tkr_mono.shift"));
  KCD_ASSIGN(const Field tick, layout.Need("ntp_tick"));
  KCD_ASSIGN(const uint64_t address, TimekeeperAddress(sources));
  Record record;
  KCD_TRY(record.Load(sources.kernel, address, layout.bytes()));
  const uint64_t tick_ns = record.Unsigned(tick) >> kTickShift;
  if (record.Unsigned(shift) > kMaxClockShift || tick_ns < kLeastTickNs || tick_ns > kMostTickNs) {
    return Corrupt("what should be the timekeeper is none");
  }
  clock.monotonic_ns = static_cast<int64_t>(record.Unsigned(base) +
                                            (record.Unsigned(nsec) >> record.Unsigned(shift)));
  // NTP bends it by a few parts in a million; HZ divides a second.
  constexpr uint64_t kSecondNs = 1'000'000'000;
  clock.tick_ns = kSecondNs / ((kSecondNs + tick_ns / 2) / tick_ns);
  return {};
}

}  // namespace

KernelClock ReadClock(const TaskSources& sources, std::vector<std::string>& notes) {
  KernelClock clock;
  const Status read = ReadTimekeeper(sources, clock);
  if (!read.ok()) notes.push_back("what time it is cannot be told: " + read.error().message);
  for (const char* name : {"jiffies_64", "jiffies"}) {
    const auto at = sources.symbol(name);
    const auto jiffies =
        at ? sources.kernel.ReadValue<uint64_t>(*at)
           : Result<uint64_t>(MakeError(ErrorCode::kNotFound, "no symbol jiffies"));
    if (!jiffies.ok()) continue;
    clock.jiffies = jiffies.value();
    break;
  }
  if (!clock.jiffies) notes.emplace_back("jiffies cannot be read: when timers expire is not known");
  return clock;
}

}  // namespace kcoredump
