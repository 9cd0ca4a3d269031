// SPDX-License-Identifier: MIT
#include "base/near_names.h"

#include <gtest/gtest.h>

namespace kcoredump {
namespace {

std::string Near(std::string_view wanted, std::initializer_list<std::string_view> names) {
  NearNames near(wanted);
  for (const std::string_view name : names) near.Offer(name);
  return near.Text();
}

TEST(NearNames, TwoEditsAndNoMore) {
  EXPECT_EQ(Near("task_strct", {"task_struct", "task_stat", "task_group", "mask_struct"}),
            "; near: task_struct, mask_struct, task_stat");
  EXPECT_EQ(Near("pid", {"tgid", "ppid", "uid", "gid", "mm", "pids"}),
            "; near: gid, pids, ppid, uid");
  EXPECT_EQ(Near("mm", {"mn", "m", "xx"}), "");
}

TEST(NearNames, ContainedEitherWay) {
  EXPECT_EQ(Near("state", {"__state", "exit_state", "flags"}), "; near: __state, exit_state");
  EXPECT_EQ(Near("__state", {"state"}), "; near: state");
  EXPECT_EQ(Near("st", {"first", "state"}), "");
}

TEST(NearNames, TheNearestFewOnce) {
  EXPECT_EQ(Near("flags", {"gflags", "flag", "flags2", "flog", "lags", "gflags", "flagsxyz"}),
            "; near: flag, flags2, gflags, lags");
}

TEST(NearNames, NothingAndFarTooMuch) {
  EXPECT_EQ(Near("", {"a", ""}), "");
  const std::string longest(5000, 'a');
  EXPECT_EQ(Near(longest, {"a", longest}), "");
  EXPECT_EQ(Near("aaaa", {longest}), "");
}

}  // namespace
}  // namespace kcoredump
