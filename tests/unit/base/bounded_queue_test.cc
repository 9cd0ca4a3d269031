// SPDX-License-Identifier: MIT
#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

namespace kcoredump {
namespace {

using std::chrono::milliseconds;

TEST(BoundedQueue, FirstInFirstOut) {
  BoundedQueue<int> queue(3);
  for (const int value : {1, 2, 3}) EXPECT_TRUE(queue.Push(value));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 3);
}

TEST(BoundedQueue, PushWaitsForRoom) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.Push(1));
  std::atomic<bool> pushed{false};
  std::thread pusher([&] {
    EXPECT_TRUE(queue.Push(2));
    pushed = true;
  });
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_FALSE(pushed);
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);
  pusher.join();
  EXPECT_TRUE(pushed);
}

TEST(BoundedQueue, CloseWakesAPusherWhoseItemIsDropped) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.Push(1));
  std::thread pusher([&] { EXPECT_FALSE(queue.Push(2)); });
  std::this_thread::sleep_for(milliseconds(10));
  queue.Close();
  pusher.join();
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, CloseWakesAPopper) {
  BoundedQueue<int> queue(1);
  std::thread popper([&] { EXPECT_EQ(queue.Pop(), std::nullopt); });
  std::this_thread::sleep_for(milliseconds(10));
  queue.Close();
  popper.join();
}

TEST(BoundedQueue, PopForGivesUp) {
  BoundedQueue<int> queue(1);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(queue.PopFor(milliseconds(15)), std::nullopt);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(15));
  ASSERT_TRUE(queue.Push(7));
  EXPECT_EQ(queue.PopFor(milliseconds(0)), 7);
}

TEST(BoundedQueue, MovesItemsThatCannotBeCopied) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  ASSERT_TRUE(queue.Push(std::make_unique<int>(5)));
  EXPECT_EQ(**queue.Pop(), 5);
}

TEST(BoundedQueue, ManyThreadsLoseAndDoubleNothing) {
  static constexpr int kThreads = 4;
  static constexpr int kEach = 2000;
  BoundedQueue<int> queue(3);
  std::vector<std::atomic<int>> seen(kThreads * kEach);
  std::vector<std::thread> pushers;
  std::vector<std::thread> poppers;
  for (int thread = 0; thread < kThreads; ++thread) {
    pushers.emplace_back([&queue, thread] {
      for (int i = 0; i < kEach; ++i) ASSERT_TRUE(queue.Push(thread * kEach + i));
    });
    poppers.emplace_back([&] {
      while (const auto item = queue.Pop()) ++seen[static_cast<size_t>(*item)];
    });
  }
  for (std::thread& thread : pushers) thread.join();
  queue.Close();
  for (std::thread& thread : poppers) thread.join();
  for (const auto& count : seen) ASSERT_EQ(count, 1);
}

}  // namespace
}  // namespace kcoredump
