// SPDX-License-Identifier: MIT
#include "space/physical_space.h"

#include <gtest/gtest.h>

#include "format/registry.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::kPage;

TEST(PhysicalSpace, WhatWasNotReachedIsNotLookedForInTheLastFrame) {
  test::Bytes plain = test::SmallCore().Build();
  plain.resize(plain.size() - 6 * kPage);
  test::RawSnapshot raw = test::RawSnapshot::Of(plain);
  raw.trailer.complete = false;
  raw.trailer.expected_bytes = plain.size() + 6 * kPage;
  raw.trailer.counts = {.direct = 18, .not_reached = 6};
  const test::MemoryFile file(raw.Build());
  auto source = OpenSource(file.path());
  ASSERT_TRUE(source.ok()) << source.error().message;
  auto space = PhysicalSpace::Create(*source.value(), std::make_shared<PageCache>(8 << 20));
  ASSERT_TRUE(space.ok());
  test::Bytes page(kPage);
  // The block of the first page and that of the last begin at the same place.
  ASSERT_TRUE(space.value()->Read(test::kHighRam, page).ok());
  EXPECT_EQ(page, test::SmallCoreBytes(test::kHighRam, kPage));
  const uint64_t last = test::kHighRam + test::kHighRamBytes - kPage;
  for (int i = 0; i < 2; ++i) {
    const Status read = space.value()->Read(last, page);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::kUnreadable);
    EXPECT_EQ(read.error().address, last);
  }
  ASSERT_TRUE(space.value()->Read(test::kHighRam, page).ok());
  EXPECT_EQ(page, test::SmallCoreBytes(test::kHighRam, kPage));
}

}  // namespace
}  // namespace kcoredump
