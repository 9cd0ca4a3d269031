// SPDX-License-Identifier: MIT
#include "capture/rate_limit.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace kcoredump {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = RateLimit::Clock;

const Clock::time_point kNow{seconds(1000)};

TEST(RateLimit, TurnsFollowOneAnother) {
  RateLimit limit(1000);
  EXPECT_EQ(limit.Take(500, kNow), kNow);
  EXPECT_EQ(limit.Take(2000, kNow), kNow + milliseconds(500));
  EXPECT_EQ(limit.Take(1, kNow), kNow + milliseconds(2500));
}

TEST(RateLimit, WhatWasNotUsedIsNotSavedUp) {
  RateLimit limit(1000);
  EXPECT_EQ(limit.Take(1000, kNow), kNow);
  EXPECT_EQ(limit.Take(1000, kNow + seconds(60)), kNow + seconds(60));
  EXPECT_EQ(limit.Take(1000, kNow + seconds(60)), kNow + seconds(61));
}

TEST(RateLimit, ZeroIsNone) {
  RateLimit limit(0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.Take(uint64_t{1} << 40, kNow), kNow);
}

TEST(RateLimit, AnyRateAndAnySizeIsATime) {
  RateLimit slowest(1);
  EXPECT_EQ(slowest.Take(1 << 20, kNow), kNow);
  EXPECT_EQ(slowest.Take(1 << 20, kNow), kNow + seconds(1 << 20));
  RateLimit fastest(~uint64_t{0});
  EXPECT_EQ(fastest.Take(1 << 20, kNow), kNow);
  EXPECT_LT(fastest.Take(1 << 20, kNow), kNow + milliseconds(1));
}

/// Four threads together get what one would.
TEST(RateLimit, HoldsForAllThreadsTogether) {
  constexpr int kTurns = 100;
  RateLimit limit(1'000'000);
  const std::atomic<bool> stop{false};
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < kTurns / 4; ++turn) limit.Wait(5000, stop);
    });
  }
  for (std::thread& thread : threads) thread.join();
  // The last turn begins when those before it are over.
  EXPECT_GE(Clock::now() - start, milliseconds(5 * (kTurns - 1)));
  EXPECT_LT(Clock::now() - start, seconds(20));
}

TEST(RateLimit, AStopEndsTheWait) {
  RateLimit limit(1);
  std::atomic<bool> stop{false};
  limit.Wait(1'000'000, stop);
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stop = true;
  });
  limit.Wait(1, stop);
  stopper.join();
}

}  // namespace
}  // namespace kcoredump
