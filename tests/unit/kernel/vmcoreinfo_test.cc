// SPDX-License-Identifier: MIT
#include "kernel/vmcoreinfo.h"

#include <gtest/gtest.h>

namespace kcoredump {
namespace {

using namespace std::string_literals;

VmcoreInfo Parse(std::string_view text) {
  auto info = VmcoreInfo::Parse(text);
  EXPECT_TRUE(info.ok());
  return std::move(info.value());
}

TEST(VmcoreInfo, SymbolsAreBareHex) {
  const VmcoreInfo info = Parse("SYMBOL(_stext)=ffffffff81000000\nSYMBOL(bad)=0xyz\nSYMBOL(e)=\n");
  EXPECT_EQ(info.Symbol("_stext"), 0xffffffff81000000);
  EXPECT_EQ(info.Symbol("bad"), std::nullopt);
  EXPECT_EQ(info.Symbol("e"), std::nullopt);
  EXPECT_EQ(info.Symbol("none"), std::nullopt);
}

TEST(VmcoreInfo, NumbersAreSignedDecimalOrHex) {
  const VmcoreInfo info = Parse(
      "NUMBER(phys_base)=-702545920\nNUMBER(VA_BITS)=48\nNUMBER(mask)=0xffffffffffffffff\n"
      "NUMBER(trailing)=12x\nNUMBER(big)=99999999999999999999\nNUMBER(half)=0x\n");
  EXPECT_EQ(info.Number("phys_base"), -702545920);
  EXPECT_EQ(info.Number("VA_BITS"), 48);
  EXPECT_EQ(info.Number("mask"), -1);
  for (const char* name : {"trailing", "big", "half", "none"}) {
    EXPECT_EQ(info.Number(name), std::nullopt) << name;
  }
}

TEST(VmcoreInfo, SizesOffsetsAndLengthsAreDecimal) {
  const VmcoreInfo info = Parse(
      "SIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\nLENGTH(printk_info_device)=48\n"
      "OFFSET(negative)=-8\nSIZE(hex)=0x10\nLENGTH(empty)=\n");
  EXPECT_EQ(info.Size("prb_desc"), 24U);
  EXPECT_EQ(info.Offset("prb_desc.state_var"), 0U);
  EXPECT_EQ(info.Length("printk_info_device"), 48U);
  EXPECT_EQ(info.Offset("prb_desc"), std::nullopt);
  EXPECT_EQ(info.Offset("negative"), std::nullopt);
  EXPECT_EQ(info.Size("hex"), std::nullopt);
  EXPECT_EQ(info.Length("empty"), std::nullopt);
}

TEST(VmcoreInfo, TheKaslrOffsetIsBareHex) {
  EXPECT_EQ(Parse("KERNELOFFSET=1e00000\n").KaslrOffset(), 0x1e00000U);
  EXPECT_EQ(Parse("KERNELOFFSET=0\n").KaslrOffset(), 0U);
  EXPECT_EQ(Parse("OSRELEASE=6.1\n").KaslrOffset(), std::nullopt);
}

TEST(VmcoreInfo, TheFirstOfTwoCountsAndNoiseIsPassedOver) {
  const VmcoreInfo info = Parse("noise\n\nA=1\nA=2\nB=x=y\n=odd");
  EXPECT_EQ(info.Text("A"), "1");
  EXPECT_EQ(info.Text("B"), "x=y");
  EXPECT_EQ(info.Text(""), "odd");
  EXPECT_EQ(info.Text("noise"), std::nullopt);
}

TEST(VmcoreInfo, EndsAtTheFirstNul) {
  const VmcoreInfo info = Parse("A=1\nB=2\0\0\0C=3\n"s);
  EXPECT_EQ(info.Text("B"), "2");
  EXPECT_EQ(info.Text("C"), std::nullopt);
}

TEST(VmcoreInfo, NothingIsEmpty) {
  EXPECT_TRUE(Parse("").empty());
  EXPECT_FALSE(Parse("A=").empty());
}

TEST(VmcoreInfo, TooManyLinesAreALimit) {
  std::string text;
  for (size_t i = 0; i <= VmcoreInfo::kMaxLines; ++i) {
    text.append("K").append(std::to_string(i)).append("=1\n");
  }
  const auto info = VmcoreInfo::Parse(text);
  ASSERT_FALSE(info.ok());
  EXPECT_EQ(info.error().code, ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace kcoredump
