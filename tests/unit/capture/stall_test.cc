// SPDX-License-Identifier: MIT
#include "capture/stall.h"

#include <gtest/gtest.h>

#include "support/elf_builder.h"
#include "support/files.h"

namespace kcoredump {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

class StallWatchTest : public ::testing::Test {
 protected:
  void Begin() {
    watch_.started_ns = std::chrono::duration_cast<nanoseconds>(now_.time_since_epoch()).count();
  }
  void End() { watch_.started_ns = 0; }
  nanoseconds LookAfter(nanoseconds pause) {
    now_ += pause;
    return stall_.Look(watch_, now_);
  }

  ReadWatch watch_;
  StallWatch stall_;
  StallWatch::Clock::time_point now_{seconds(1000)};
};

TEST_F(StallWatchTest, ACallIsAsOldAsItWasSeenToBecome) {
  EXPECT_EQ(LookAfter(milliseconds(100)), nanoseconds(0));
  Begin();
  EXPECT_EQ(LookAfter(milliseconds(200)), milliseconds(200));
  EXPECT_EQ(LookAfter(milliseconds(300)), milliseconds(500));
  EXPECT_EQ(LookAfter(milliseconds(900)), milliseconds(1400));
}

TEST_F(StallWatchTest, TheNextCallStartsAnew) {
  Begin();
  EXPECT_EQ(LookAfter(milliseconds(800)), milliseconds(800));
  Begin();
  EXPECT_EQ(LookAfter(milliseconds(50)), milliseconds(50));
  End();
  EXPECT_EQ(LookAfter(milliseconds(50)), nanoseconds(0));
  EXPECT_EQ(LookAfter(seconds(50)), nanoseconds(0));
  Begin();
  EXPECT_EQ(LookAfter(milliseconds(50)), milliseconds(50));
}

/// Ctrl-Z and fg an hour later: neither the first look after it nor the next ones are a stall.
TEST_F(StallWatchTest, APauseOfOurOwnIsASecond) {
  Begin();
  EXPECT_EQ(LookAfter(milliseconds(100)), milliseconds(100));
  EXPECT_EQ(LookAfter(std::chrono::hours(1)), milliseconds(1100));
  EXPECT_EQ(LookAfter(milliseconds(100)), milliseconds(1200));
  Begin();
  EXPECT_EQ(LookAfter(std::chrono::hours(1)), seconds(1));
}

TEST(OpenWatched, GivesWhatOpeningGives) {
  const test::MemoryFile file(test::SmallCore().Build());
  const auto source = OpenWatched(file.path(), 30, nullptr);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ(source.value()->map().ram_bytes(), test::kSmallCorePages * test::kPage);
  const auto missing = OpenWatched("/no/such/file", 30, nullptr);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace kcoredump
