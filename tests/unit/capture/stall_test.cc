// SPDX-License-Identifier: MIT
#include "capture/stall.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <new>
#include <thread>

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

/// A call that shows a read and does not return before it is let go.
struct HungCall {
  std::atomic<bool> let_go{false};
  std::atomic<bool> gone{false};
  static std::function<Status(ReadWatch*)> Of(const std::shared_ptr<HungCall>& hung) {
    return [hung](ReadWatch* watch) -> Status {
      const WatchedCall call(watch, 0x5000);
      while (!hung->let_go.load()) std::this_thread::sleep_for(milliseconds(5));
      hung->gone = true;
      return {};
    };
  }
  ~HungCall() { EXPECT_TRUE(gone); }
};

TEST(RunWatched, ACallThatDoesNotReturnIsNamedAndLeftBehind) {
  const auto hung = std::make_shared<HungCall>();
  const Status done = RunWatched(HungCall::Of(hung), "kcore", 0.2, [] { return true; });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message,
            "the read at physical 0x0000000000005000 did not return within 0.2 s");
  hung->let_go = true;
  while (!hung->gone.load()) std::this_thread::sleep_for(milliseconds(5));
}

TEST(RunWatched, EndsWhenItIsNotToGoOn) {
  const auto hung = std::make_shared<HungCall>();
  unsigned asked = 0;
  const Status done = RunWatched(HungCall::Of(hung), "kcore", 30, [&] { return ++asked < 3; });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(asked, 3U);
  hung->let_go = true;
  while (!hung->gone.load()) std::this_thread::sleep_for(milliseconds(5));
}

TEST(RunWatched, GivesTheCallsOwnErrors) {
  const auto go_on = [] { return true; };
  EXPECT_TRUE(RunWatched([](ReadWatch*) { return Status(); }, "", 1, go_on).ok());
  const auto fails = [](ReadWatch*) -> Status { throw std::bad_alloc(); };
  EXPECT_EQ(RunWatched(fails, "", 1, go_on).error().system_errno, ENOMEM);
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
