// SPDX-License-Identifier: MIT
#include "inspect/deferred/timers.h"

#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kTimerCpu = 0xffff888000700000;  ///< what the CPU has of its own
constexpr uint64_t kHrtimerBases = 0x1000;          ///< per CPU
constexpr uint64_t kWheels = 0x2000;
constexpr uint64_t kTimerMasks = 0xffff888000710000;
constexpr uint64_t kHrtimers = 0xffff888000720000;
constexpr uint64_t kWheelTimers = 0xffff888000730000;
constexpr uint64_t kTimekeeper = 0xffffffff82600000;

/// One CPU with one clock and a wheel of two buckets.
class TimersTest : public testing::Test {
 protected:
  TimersTest() {
    kernel_.Struct("rb_node", 24, {{"__rb_parent_color", 0}, {"rb_right", 8}, {"rb_left", 16}});
    kernel_.Struct("rb_root", 8, {{"rb_node", 0}});
    kernel_.Struct("rb_root_cached", 16, {{"rb_root", 0, 8, "rb_root"}});
    kernel_.Struct("timerqueue_head", 16, {{"rb_root", 0, 16, "rb_root_cached"}});
    kernel_.Struct("timerqueue_node", 32, {{"node", 0, 24, "rb_node"}, {"expires", 24}});
    kernel_.Struct("hrtimer_clock_base", 32,
                   {{"active", 0, 16, "timerqueue_head"}, {"offset", 16}});
    kernel_.Struct("hrtimer_cpu_base", 32, {{"clock_base", 0, 32, "hrtimer_clock_base"}});
    kernel_.Struct("hrtimer", 48,
                   {{"node", 0, 32, "timerqueue_node"}, {"_softexpires", 32}, {"function", 40}});
    kernel_.Struct("hlist_node", 16, {{"next", 0}, {"pprev", 8}});
    kernel_.Struct("timer_list", 32,
                   {{"entry", 0, 16, "hlist_node"}, {"expires", 16}, {"function", 24}});
    kernel_.Struct("timer_base", 32, {{"clk", 0}, {"vectors", 16, 16}});
    kernel_.Struct("tk_read_base", 24, {{"xtime_nsec", 0}, {"base", 8}, {"shift", 16, 4}});
    kernel_.Struct("timekeeper", 32, {{"tkr_mono", 0, 24, "tk_read_base"}, {"ntp_tick", 24}});
    kernel_.Struct("cpumask", 8, {{"bits", 0}});
    kernel_.Symbol("hrtimer_bases", kHrtimerBases);
    kernel_.Symbol("timer_bases", kWheels);
    kernel_.Symbol("tk_core", kTimekeeper);
    kernel_.Symbol("jiffies_64", kTimekeeper + 0x100);
    kernel_.Symbol("__cpu_possible_mask", kTimerMasks);
    kernel_.Symbol("__per_cpu_offset", kTimerMasks + 8);
    kernel_.Zero(kTimerMasks, 16);
    kernel_.Word(kTimerMasks, 1);
    kernel_.Word(kTimerMasks + 8, kTimerCpu);
    kernel_.Zero(kTimerCpu + kHrtimerBases, 64);
    kernel_.Zero(kTimerCpu + kWheels, 64);
    kernel_.Zero(kTimekeeper, 64);
    kernel_.Word(kTimekeeper + 8 + 8, 1'000'000);
    kernel_.Word(kTimekeeper + 8 + 24, uint64_t{4'000'000} << 32);
    kernel_.Word(kTimekeeper + 0x100, 500);
    PutTree();
    PutWheel();
  }

  static uint64_t Hrtimer(uint64_t number) { return kHrtimers + number * 0x40; }
  static uint64_t WheelTimer(uint64_t number) { return kWheelTimers + number * 0x40; }
  /// A black root with a red child on its left.
  void PutTree() {
    for (uint64_t i = 0; i < 2; ++i) {
      kernel_.Zero(Hrtimer(i), 48);
      kernel_.Word(Hrtimer(i) + 24, 3'000'000 - i * 1'000'000);
    }
    kernel_.Word(kTimerCpu + kHrtimerBases, Hrtimer(0));
    kernel_.Word(Hrtimer(0), 1);
    kernel_.Word(Hrtimer(0) + 16, Hrtimer(1));
    kernel_.Word(Hrtimer(1), Hrtimer(0));
  }
  void PutWheel() {
    for (uint64_t i = 0; i < 2; ++i) {
      kernel_.Zero(WheelTimer(i), 32);
      kernel_.Word(WheelTimer(i) + 16, 499 + i * 2);
    }
    kernel_.Word(kTimerCpu + kWheels + 16, WheelTimer(0));
    kernel_.Word(WheelTimer(0), WheelTimer(1));
  }
  TimerList Walk() {
    auto walked = WalkTimers(kernel_.sources());
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : TimerList{};
  }

  test::FakeKernel kernel_;
};

TEST_F(TimersTest, TellsHowLongIsLeft) {
  const TimerList list = Walk();
  ASSERT_EQ(list.timers.size(), 4U);
  EXPECT_EQ(list.now_ns, 1'000'000);
  EXPECT_EQ(list.tick_ns, 4'000'000U);
  EXPECT_EQ(list.timers[0].address, Hrtimer(1));
  EXPECT_EQ(list.timers[0].in_ns, 1'000'000);
  EXPECT_EQ(list.timers[1].in_ns, 2'000'000);
  EXPECT_TRUE(list.timers[2].wheel);
  EXPECT_EQ(list.timers[2].in_ns, -4'000'000);
  EXPECT_EQ(list.timers[3].in_ns, 4'000'000);
}

TEST_F(TimersTest, ACircleInTheTreeEnds) {
  kernel_.Word(Hrtimer(1) + 16, Hrtimer(0));
  const TimerList list = Walk();
  EXPECT_LE(list.timers.size(), 4U);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(TimersTest, ACircleInABucketEnds) {
  kernel_.Word(WheelTimer(1), WheelTimer(0));
  const TimerList list = Walk();
  EXPECT_EQ(list.timers.size(), 4U);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(TimersTest, ForgedTimesDoNotOverflow) {
  kernel_.Word(Hrtimer(0) + 24, uint64_t{1} << 63);
  kernel_.Word(WheelTimer(0) + 16, ~uint64_t{0} >> 1);
  kernel_.Word(kTimerCpu + kHrtimerBases + 16, ~uint64_t{0} >> 1);
  const TimerList list = Walk();
  EXPECT_EQ(list.timers.size(), 4U);
}

TEST_F(TimersTest, WithoutATimekeeperNothingIsLeftToTell) {
  kernel_.Word(kTimekeeper + 8 + 24, 0);
  const TimerList list = Walk();
  ASSERT_EQ(list.timers.size(), 4U);
  EXPECT_FALSE(list.now_ns.has_value());
  EXPECT_FALSE(list.timers[0].in_ns.has_value());
}

}  // namespace
}  // namespace kcoredump
