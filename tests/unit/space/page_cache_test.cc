// SPDX-License-Identifier: MIT
#include "space/page_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <new>
#include <thread>

namespace kcoredump {
namespace {

constexpr uint64_t kBlockBytes = 64 << 10;

std::shared_ptr<const CachedBlock> Block(uint64_t number, bool zero = false) {
  auto block = std::make_shared<CachedBlock>();
  block->phys = {number * kBlockBytes, (number + 1) * kBlockBytes};
  if (!zero) block->content.assign(kBlockBytes, std::byte(number));
  return block;
}

size_t Kept(PageCache& cache, uint64_t blocks) {
  size_t kept = 0;
  for (uint64_t i = 0; i < blocks; ++i) kept += cache.Find(i * kBlockBytes) != nullptr;
  return kept;
}

TEST(PageCache, GivesBackWhatWasPutIn) {
  PageCache cache(64 << 20);
  cache.Insert(Block(7));
  const auto found = cache.Find(7 * kBlockBytes);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->content[0], std::byte(7));
  EXPECT_EQ(cache.Find(8 * kBlockBytes), nullptr);
}

TEST(PageCache, KeepsToItsLimit) {
  PageCache cache(4 << 20);
  for (uint64_t i = 0; i < 500; ++i) cache.Insert(Block(i));
  const size_t kept = Kept(cache, 500);
  EXPECT_LE(kept * kBlockBytes, 4u << 20);
  EXPECT_GT(kept, 30u);
}

TEST(PageCache, ZeroBlocksCostNextToNothing) {
  PageCache cache(1 << 20);
  for (uint64_t i = 0; i < 1000; ++i) cache.Insert(Block(i, true));
  EXPECT_EQ(Kept(cache, 1000), 1000u);
}

TEST(PageCache, TheLeastRecentlyUsedGoesFirst) {
  PageCache cache(16 << 20);
  cache.Insert(Block(1));
  for (uint64_t i = 100; i < 1000; ++i) {
    cache.Insert(Block(i));
    ASSERT_NE(cache.Find(kBlockBytes), nullptr) << i;
  }
}

TEST(PageCache, WhatGoesStaysForWhoeverHoldsIt) {
  PageCache cache(2 << 20);
  cache.Insert(Block(1));
  const auto held = cache.Find(kBlockBytes);
  ASSERT_NE(held, nullptr);
  for (uint64_t i = 100; i < 1000; ++i) cache.Insert(Block(i));
  EXPECT_EQ(cache.Find(kBlockBytes), nullptr);
  EXPECT_EQ(held->content[kBlockBytes - 1], std::byte(1));
}

TEST(PageCache, ABlockLargerThanTheCacheIsNotKept) {
  PageCache cache(kBlockBytes);
  cache.Insert(Block(1));
  EXPECT_EQ(cache.Find(kBlockBytes), nullptr);
}

TEST(PageCache, ThreadsThatWantOneBlockFillItOnce) {
  PageCache cache(16 << 20);
  std::atomic<unsigned> fills{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        const auto block = cache.Get(Block(3)->phys, [&] {
          ++fills;
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return Result(std::shared_ptr<const CachedBlock>(Block(3)));
        });
        ASSERT_TRUE(block.ok());
        EXPECT_EQ(block.value()->content[0], std::byte(3));
      });
    }
  }
  EXPECT_EQ(fills, 1u);
}

TEST(PageCache, ABlockThatCouldNotBeFilledIsTriedAgain) {
  PageCache cache(16 << 20);
  const auto failed = cache.Get(Block(3)->phys, []() -> Result<std::shared_ptr<const CachedBlock>> {
    throw std::bad_alloc();
  });
  ASSERT_FALSE(failed.ok());
  const auto filled = cache.Get(
      Block(3)->phys, [] { return Result(std::shared_ptr<const CachedBlock>(Block(3))); });
  EXPECT_TRUE(filled.ok());
}

TEST(PageCache, ALongerBlockThanTheOneKeptIsFilled) {
  PageCache cache(16 << 20);
  cache.Insert(Block(3));
  const auto longer = cache.Get({3 * kBlockBytes, 5 * kBlockBytes}, [] {
    auto block = std::make_shared<CachedBlock>();
    block->phys = {3 * kBlockBytes, 5 * kBlockBytes};
    return Result(std::shared_ptr<const CachedBlock>(std::move(block)));
  });
  ASSERT_TRUE(longer.ok());
  EXPECT_EQ(longer.value()->phys.end, 5 * kBlockBytes);
}

TEST(PageCache, ManyThreads) {
  PageCache cache(2 << 20);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (uint64_t i = 0; i < 4000; ++i) {
        const uint64_t number = (i * 7 + t) % 100;
        auto block = cache.Find(number * kBlockBytes);
        if (block == nullptr) {
          cache.Insert(Block(number));
        } else {
          ASSERT_EQ(block->content[17], std::byte(number));
        }
      }
    });
  }
}

}  // namespace
}  // namespace kcoredump
