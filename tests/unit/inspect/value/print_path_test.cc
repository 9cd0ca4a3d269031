// SPDX-License-Identifier: MIT
#include "inspect/value/print_path.h"

#include <gtest/gtest.h>

namespace kcoredump {
namespace {

using Kind = PathStep::Kind;
using Ways = std::vector<std::pair<std::string_view, std::string_view>>;

TEST(ParsePath, MembersArrowsAndIndexes) {
  const auto path = ParsePath(".mm->pgd[3].x_1[0x10..0x1f]");
  ASSERT_TRUE(path.ok()) << path.error().message;
  const std::vector<PathStep>& steps = path.value();
  ASSERT_EQ(steps.size(), 5U);
  EXPECT_EQ(steps[0].kind, Kind::kMember);
  EXPECT_EQ(steps[0].name, "mm");
  EXPECT_EQ(steps[1].kind, Kind::kArrow);
  EXPECT_EQ(steps[1].name, "pgd");
  EXPECT_EQ(steps[2].kind, Kind::kIndex);
  EXPECT_EQ(steps[2].first, 3U);
  EXPECT_EQ(steps[3].name, "x_1");
  EXPECT_EQ(steps[4].kind, Kind::kRange);
  EXPECT_EQ(steps[4].first, 16U);
  EXPECT_EQ(steps[4].last, 31U);
  EXPECT_TRUE(ParsePath("").value().empty());
}

TEST(ParsePath, WhatIsNoPathIsQuoted) {
  for (const char* path :
       {"mm", ".", "->", ".a.", ".a->", ".a-b", "..a", ".a[", ".a[]", ".a[x]", ".a[-1]", ".a[1..]",
        ".a[..1]", ".a[2..1]", ".a[1..2].b", ".a[99999999999999999999]", ".a b", ".a[1.5]", "]"}) {
    const auto parsed = ParsePath(path);
    ASSERT_FALSE(parsed.ok()) << path;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument) << path;
  }
}

TEST(SplitPlace, TheLongestSymbolFirst) {
  EXPECT_EQ(SplitPlace("init_task.comm"), (Ways{{"init_task.comm", ""}, {"init_task", ".comm"}}));
  EXPECT_EQ(SplitPlace("key.3.a.b->c.d"), (Ways{{"key.3.a.b", "->c.d"},
                                                {"key.3.a", ".b->c.d"},
                                                {"key.3", ".a.b->c.d"},
                                                {"key", ".3.a.b->c.d"}}));
  EXPECT_EQ(SplitPlace("a-0x10->b"), (Ways{{"a-0x10", "->b"}}));
  EXPECT_EQ(SplitPlace("table[1..2]"), (Ways{{"table", "[1..2]"}}));
  EXPECT_EQ(SplitPlace(""), (Ways{{"", ""}}));
  EXPECT_EQ(SplitPlace(".x"), (Ways{{".x", ""}, {"", ".x"}}));
}

TEST(SplitPlace, NumbersEndAtTheFirstDot) {
  EXPECT_EQ(SplitPlace("0xffff888000001000.a.b"), (Ways{{"0xffff888000001000", ".a.b"}}));
  EXPECT_EQ(SplitPlace("phys:0x1000.a.b[1]"), (Ways{{"phys:0x1000", ".a.b[1]"}}));
  EXPECT_EQ(SplitPlace("pid:1:0x7ffe->a.b"), (Ways{{"pid:1:0x7ffe", "->a.b"}}));
}

TEST(SplitType, UpToThePath) {
  EXPECT_EQ(SplitType("struct task_struct.mm->pgd").first, "struct task_struct");
  EXPECT_EQ(SplitType("struct task_struct.mm->pgd").second, ".mm->pgd");
  EXPECT_EQ(SplitType("char [16]").first, "char [16]");
  EXPECT_EQ(SplitType("struct page *->flags").second, "->flags");
}

}  // namespace
}  // namespace kcoredump
