// SPDX-License-Identifier: MIT
//
// Each CPU has a tree of hrtimers for each clock (kernel: kernel/time/hrtimer.c) and wheels of
// buckets of timers (kernel/time/timer.c).
#include "inspect/deferred/timers.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/error.h"
#include "base/try.h"
#include "inspect/ask_again.h"
#include "inspect/deferred/actors.h"
#include "inspect/deferred/clocks.h"
#include "inspect/per_cpu.h"
#include "symbol/chain_walk.h"
#include "symbol/record.h"
#include "symbol/tree_walk.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxClocks = 64;
constexpr uint64_t kMaxWheelBuckets = 4096;
constexpr uint64_t kMaxWheels = 3;
/// Kernel: kernel/time/timer.c. BASE_LOCAL and BASE_GLOBAL since 6.9 (83a665dc99a7).
constexpr std::array<std::array<const char*, kMaxWheels>, kMaxWheels> kWheelNames = {
    {{"standard"}, {"standard", "deferrable"}, {"local", "global", "deferrable"}}};

/// later - now, as far as that is a number of 64 bits.
int64_t Until(int64_t later, int64_t now) {
  int64_t difference = 0;
  if (!__builtin_sub_overflow(later, now, &difference)) return difference;
  return later < 0 ? INT64_MIN : INT64_MAX;
}

/// A function whose timer is part of something larger, and what stands there.
struct Holder {
  std::optional<uint64_t> function;
  uint64_t timer = 0;  ///< offset of the timer in it
  Field named{};       ///< a task, or a work's function
  bool names_work = false;
};

class TimerReader {
 public:
  TimerReader(const TaskSources& sources, TimerList& out)
      : sources_(sources), out_(out), actors_(sources, out.findings.notes) {
    clock_ = ReadClock(sources, out.findings.notes);
    out.now_ns = clock_.monotonic_ns;
    out.jiffies = clock_.jiffies;
    out.tick_ns = clock_.tick_ns;
    cpus_ = CpusOf(sources, "__cpu_possible_mask");
    FindHolders();
  }

  [[nodiscard]] Status WalkHighResolution();
  [[nodiscard]] Status WalkWheels();
  void Finish();

 private:
  void FindHolders();
  void AddHolder(const char* function, const char* type, const char* timer, const char* named);
  void NameHolder(Timer& timer);
  [[nodiscard]] Status FindHighResolutionFields();
  void WalkClock(const CpuArea& cpu, uint32_t index, uint64_t base);
  void WalkBuckets(const CpuArea& cpu, uint32_t index, uint64_t base);
  void KeepHighResolution(const CpuArea& cpu, uint32_t index, uint64_t node, int64_t clock_offset);
  bool KeepWheel(const CpuArea& cpu, uint32_t index, uint64_t address);

  const TaskSources& sources_;
  TimerList& out_;
  ActorReader actors_;
  KernelClock clock_;
  std::vector<CpuArea> cpus_;
  std::vector<Holder> holders_;
  std::vector<std::string> clock_names_;
  uint64_t clocks_at_ = 0, clock_count_ = 0, clock_bytes_ = 0;
  Field active_, offset_;                           ///< of hrtimer_clock_base
  Field node_, expires_, soft_expires_, function_;  ///< of hrtimer
  uint64_t timer_bytes_ = 0;
  uint64_t wheels_ = 0, buckets_at_ = 0, buckets_ = 0;
  Field wheel_link_, wheel_expires_, wheel_function_;  ///< of timer_list
  uint64_t wheel_timer_bytes_ = 0;
};

void TimerReader::AddHolder(const char* function, const char* type, const char* timer,
                            const char* named) {
  const auto layout = Layout::Of(sources_.types, type);
  Holder holder{.function = sources_.symbol(function)};
  if (!layout.ok() || !holder.function) return;
  const auto at = layout.value().Need(timer);
  holder.named = layout.value().Find(named);
  holder.names_work = std::string_view(named) != "task";
  if (!at.ok() || !holder.named.known()) return;
  holder.timer = at.value().offset;
  holders_.push_back(holder);
}

void TimerReader::FindHolders() {
  AddHolder("hrtimer_wakeup", "struct hrtimer_sleeper", "timer", "task");
  AddHolder("process_timeout", "struct process_timer", "timer", "task");
  AddHolder("delayed_work_timer_fn", "struct delayed_work", "timer", "work.func");
}

void TimerReader::NameHolder(Timer& timer) {
  for (const Holder& holder : holders_) {
    if (timer.function.address != *holder.function) continue;
    const auto named =
        sources_.kernel.ReadValue<uint64_t>(timer.address - holder.timer + holder.named.offset);
    if (!named.ok()) continue;
    if (holder.names_work) {
      timer.work = actors_.Function(named.value());
    } else {
      timer.task = actors_.TaskAt(named.value());
    }
  }
}

Status TimerReader::FindHighResolutionFields() {
  KCD_ASSIGN(const Layout cpu, Layout::Of(sources_.types, "struct hrtimer_cpu_base"));
  KCD_ASSIGN(const Field clocks, cpu.Need("clock_base"));
  KCD_ASSIGN(const Layout clock, Layout::Of(sources_.types, "struct hrtimer_clock_base"));
  clocks_at_ = clocks.offset;
  clock_bytes_ = clock.bytes();
  clock_count_ = std::min(clocks.bytes / clock_bytes_, kMaxClocks);
  // A tree with a pointer to its first (rb_root_cached), or with links too (7.x).
  KCD_ASSIGN(active_, clock.Need("active.rb_root.rb_root"));
  offset_ = clock.Find("offset");
  KCD_ASSIGN(const Layout timer, Layout::Of(sources_.types, "struct hrtimer"));
  timer_bytes_ = timer.bytes();
  node_ = timer.Find("node.node.node");
  if (!node_.known()) {
    KCD_ASSIGN(node_, timer.Need("node.node"));
  }
  KCD_ASSIGN(expires_, timer.Need("node.expires"));
  KCD_ASSIGN(function_, timer.Need("function"));
  soft_expires_ = timer.Find("_softexpires");
  if (!soft_expires_.known()) soft_expires_ = expires_;
  clock_names_.resize(clock_count_);
  const auto names = sources_.types.Find("enum hrtimer_base_type");
  if (!names.ok()) return {};
  for (const EnumeratorEntry& each : sources_.types.EnumeratorsOf(names.value())) {
    constexpr std::string_view kPrefix = "HRTIMER_BASE_";
    if (!each.name.starts_with(kPrefix) || each.value < 0) continue;
    if (static_cast<uint64_t>(each.value) >= clock_count_) continue;
    std::string& name = clock_names_[static_cast<size_t>(each.value)];
    name = each.name.substr(kPrefix.size());
    for (char& letter : name) {
      if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    }
  }
  return {};
}

void TimerReader::KeepHighResolution(const CpuArea& cpu, uint32_t index, uint64_t node,
                                     int64_t clock_offset) {
  Timer timer{.cpu = cpu.cpu,
              .base = clock_names_[index],
              .base_index = index,
              .address = node - node_.offset};
  Record record;
  const Status read = record.Load(sources_.kernel, timer.address, timer_bytes_);
  if (!read.ok()) return out_.findings.Lost("an hrtimer: " + read.error().message);
  timer.expires = static_cast<int64_t>(record.Unsigned(expires_));
  timer.soft_expires = static_cast<int64_t>(record.Unsigned(soft_expires_));
  timer.function = actors_.Function(record.Unsigned(function_));
  int64_t now = 0;
  if (clock_.monotonic_ns && !__builtin_add_overflow(*clock_.monotonic_ns, clock_offset, &now)) {
    timer.in_ns = Until(timer.expires, now);
  }
  NameHolder(timer);
  out_.timers.push_back(std::move(timer));
}

void TimerReader::WalkClock(const CpuArea& cpu, uint32_t index, uint64_t base) {
  const auto offset = offset_.known() ? sources_.kernel.ReadValue<int64_t>(base + offset_.offset)
                                      : Result<int64_t>(0);
  const std::string what =
      "the hrtimers of clock " + std::to_string(index) + " of CPU " + std::to_string(cpu.cpu);
  if (!offset.ok()) return out_.findings.Lost(what + ": " + offset.error().message);
  const size_t room = kMaxTimers - std::min(kMaxTimers, out_.timers.size());
  const ListOutcome walk =
      WalkTree(sources_.kernel, base + active_.offset, room, what, [&](uint64_t node) {
        KeepHighResolution(cpu, index, node, offset.value());
        return true;
      });
  if (walk.lost) out_.findings.Lost(walk.note);
}

Status TimerReader::WalkHighResolution() {
  const auto bases = sources_.symbol("hrtimer_bases");
  if (!bases) return MakeError(ErrorCode::kNotFound, "no symbol hrtimer_bases: no hrtimers");
  if (cpus_.empty()) {
    return MakeError(ErrorCode::kNotFound,
                     "no __per_cpu_offset or __cpu_possible_mask: CPUs have no timers");
  }
  KCD_TRY(FindHighResolutionFields());
  for (const CpuArea& cpu : cpus_) {
    for (uint32_t index = 0; index < clock_count_; ++index) {
      WalkClock(cpu, index, *bases + cpu.offset + clocks_at_ + index * clock_bytes_);
    }
  }
  return {};
}

bool TimerReader::KeepWheel(const CpuArea& cpu, uint32_t index, uint64_t address) {
  Timer timer{.cpu = cpu.cpu,
              .base = kWheelNames[wheels_ - 1][index],
              .base_index = index,
              .wheel = true,
              .address = address - wheel_link_.offset};
  Record record;
  const Status read = record.Load(sources_.kernel, timer.address, wheel_timer_bytes_);
  if (!read.ok()) {
    out_.findings.Lost("a timer: " + read.error().message);
    return false;
  }
  timer.expires = timer.soft_expires = static_cast<int64_t>(record.Unsigned(wheel_expires_));
  timer.function = actors_.Function(record.Unsigned(wheel_function_));
  if (clock_.jiffies && clock_.tick_ns) {
    const auto left = static_cast<int64_t>(record.Unsigned(wheel_expires_) - *clock_.jiffies);
    int64_t in_ns = 0;
    const bool fits = !__builtin_mul_overflow(left, static_cast<int64_t>(*clock_.tick_ns), &in_ns);
    timer.in_ns = fits ? in_ns : Until(left, 0) < 0 ? INT64_MIN : INT64_MAX;
  }
  NameHolder(timer);
  out_.timers.push_back(std::move(timer));
  return out_.timers.size() < kMaxTimers;
}

void TimerReader::WalkBuckets(const CpuArea& cpu, uint32_t index, uint64_t base) {
  const std::string what = "the timers of CPU " + std::to_string(cpu.cpu);
  Record heads;
  const Status read = heads.Load(sources_.kernel, base + buckets_at_, buckets_ * 8);
  if (!read.ok()) return out_.findings.Lost(what + ": " + read.error().message);
  for (uint64_t i = 0; i < buckets_ && out_.timers.size() < kMaxTimers; ++i) {
    const uint64_t first = heads.Unsigned(Field{.offset = i * 8, .bytes = 8});
    const ListOutcome walk =
        WalkChain(sources_.kernel, first, 0, kMaxTimers, what,
                  [&](uint64_t address) { return KeepWheel(cpu, index, address); });
    if (walk.lost) out_.findings.Lost(walk.note);
  }
}

Status TimerReader::WalkWheels() {
  const auto bases = sources_.symbol("timer_bases");
  if (!bases) return MakeError(ErrorCode::kNotFound, "no symbol timer_bases: no timer wheel");
  KCD_ASSIGN(const Layout base, Layout::Of(sources_.types, "struct timer_base"));
  KCD_ASSIGN(const Field vectors, base.Need("vectors"));
  buckets_at_ = vectors.offset;
  buckets_ = std::min(vectors.bytes / 8, kMaxWheelBuckets);
  KCD_ASSIGN(const Layout timer, Layout::Of(sources_.types, "struct timer_list"));
  wheel_timer_bytes_ = timer.bytes();
  KCD_ASSIGN(wheel_link_, timer.Need("entry"));
  KCD_ASSIGN(wheel_expires_, timer.Need("expires"));
  KCD_ASSIGN(wheel_function_, timer.Need("function"));
  const auto all = sources_.types.Variable("timer_bases");
  wheels_ = all.ok() ? sources_.types.Count(all.value().type) : 1;
  wheels_ = std::clamp<uint64_t>(wheels_, 1, kMaxWheels);
  if (!all.ok()) {
    out_.findings.Lost("of the timer wheels of each CPU only the first is known: " +
                       all.error().message);
  }
  for (const CpuArea& cpu : cpus_) {
    for (uint32_t index = 0; index < wheels_; ++index) {
      WalkBuckets(cpu, index, *bases + cpu.offset + index * base.bytes());
    }
  }
  return {};
}

void TimerReader::Finish() {
  if (out_.timers.size() >= kMaxTimers) {
    out_.findings.Lost("only the first " + std::to_string(kMaxTimers) + " timers are listed");
  }
  std::stable_sort(out_.timers.begin(), out_.timers.end(), [](const Timer& a, const Timer& b) {
    return std::tie(a.cpu, a.wheel, a.base_index, a.expires) <
           std::tie(b.cpu, b.wheel, b.base_index, b.expires);
  });
  LimitNotes(out_.findings.notes);
}

}  // namespace

Result<TimerList> WalkTimers(const TaskSources& sources) {
  TimerList list;
  TimerReader reader(sources, list);
  KCD_TRY(reader.WalkHighResolution());
  const Status wheels = reader.WalkWheels();
  if (!wheels.ok()) {
    list.findings.Lost("timers of the wheel are missing: " + wheels.error().message);
  }
  reader.Finish();
  return list;
}

Result<TimerList> WalkWheel(const TaskSources& sources) {
  TimerList list;
  TimerReader reader(sources, list);
  KCD_TRY(reader.WalkWheels());
  reader.Finish();
  return list;
}

Result<TimerList> ListTimers(Kernel& kernel) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TaskSources sources, TaskSourcesOf(session));
  return AskAgainWhileLive(session, [&] { return WalkTimers(sources); });
}

}  // namespace kcoredump
