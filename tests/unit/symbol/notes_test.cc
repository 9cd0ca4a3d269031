// SPDX-License-Identifier: MIT
//
// What is said of damage, of which a forged image has any amount.
#include <gtest/gtest.h>

#include "kcoredump/kernel.h"
#include "symbol/record.h"

namespace kcoredump {
namespace {

TEST(Notes, AFewAreAllTold) {
  Findings findings;
  for (size_t i = 0; i < kMaxStructureNotes; ++i) findings.Add(std::to_string(i));
  LimitNotes(findings.notes);
  EXPECT_EQ(findings.notes.size(), kMaxStructureNotes);
  EXPECT_FALSE(findings.incomplete);
}

TEST(Notes, OfManyTheirNumberIsTold) {
  Findings findings;
  for (size_t i = 0; i < 100; ++i) findings.Add(std::to_string(i));
  LimitNotes(findings.notes);
  ASSERT_EQ(findings.notes.size(), kMaxStructureNotes + 1);
  EXPECT_EQ(findings.notes.back(), "… and 68 more of the kind");
}

TEST(Notes, AMillionAreNotHeld) {
  Findings findings;
  for (size_t i = 0; i < 1'000'000; ++i) findings.Lost("one more");
  EXPECT_EQ(findings.notes.size(), kMostNotes);
  EXPECT_TRUE(findings.incomplete);
  LimitNotes(findings.notes);
  EXPECT_EQ(findings.notes.back(), "… and at least 9968 more of the kind");
}

}  // namespace
}  // namespace kcoredump
