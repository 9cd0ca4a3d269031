// SPDX-License-Identifier: MIT
#include "base/json_depth.h"

#include <gtest/gtest.h>

#include <string>

namespace kcoredump {
namespace {

TEST(JsonDepth, OfObjectsAndArraysInOneAnother) {
  EXPECT_TRUE(IsShallowJson(""));
  EXPECT_TRUE(IsShallowJson(R"({"a":[1,{"b":[]}],"c":{}})"));
  EXPECT_TRUE(IsShallowJson(std::string(kMostJsonLevels, '[')));
  EXPECT_FALSE(IsShallowJson(std::string(kMostJsonLevels + 1, '[')));
  EXPECT_FALSE(IsShallowJson("{\"a\":" + std::string(1 << 20, '[')));
}

TEST(JsonDepth, WhatStandsSideBySideIsNotDeep) {
  std::string wide;
  for (int i = 0; i < 10'000; ++i) wide += "[{}],";
  EXPECT_TRUE(IsShallowJson(wide));
}

TEST(JsonDepth, BracketsInTextsDoNotCountAndQuotesMayBeEscaped) {
  EXPECT_TRUE(IsShallowJson("\"" + std::string(1000, '[') + "\""));
  EXPECT_FALSE(IsShallowJson(R"("\\")" + std::string(1000, '[')));
  EXPECT_TRUE(IsShallowJson(R"("\")" + std::string(1000, '[') + "\""));
}

}  // namespace
}  // namespace kcoredump
