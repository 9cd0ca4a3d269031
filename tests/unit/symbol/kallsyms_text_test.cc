// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "symbol/kallsyms.h"

namespace kcoredump {
namespace {

constexpr char kInfo[] = "SYMBOL(_stext)=ffffffff81000000\n";
constexpr char kText[] =
    "0000000000000000 A fixed_percpu_data\n"
    "0000000000001000 A cpu_tss_rw\n"
    "ffffffff81000000 T _stext\n"
    "ffffffff81000010 t local\n"
    "ffffffff81000030 t local\n"
    "ffffffff82000000 B _end\n"
    "ffffffffc0000010 t probe\t[virtio_blk]\n"
    "ffffffffc0000000 T entry\t[virtio_blk]\n"
    "ffffffffc0201000 t bpf_prog_6deef7357e7b4530_sd_fw\t[bpf]\n"
    "ffffffffc0300000 t ftrace_trampoline\t[__builtin__ftrace]\n"
    "ffffffffc0301000 t kprobe_insn_page\t[__builtin__kprobes]\n";

Result<SymbolTable> Parsed(std::string_view text, std::string_view info = kInfo) {
  return ParseKallsyms(text, VmcoreInfo::Parse(info).value());
}

ErrorCode CodeOf(std::string_view text, std::string_view info = kInfo) {
  const auto table = Parsed(text, info);
  EXPECT_FALSE(table.ok());
  return table.ok() ? ErrorCode::kIo : table.error().code;
}

TEST(KallsymsText, KernelModulesAndPseudoModules) {
  const auto table = Parsed(kText);
  ASSERT_TRUE(table.ok()) << table.error().message;
  EXPECT_EQ(table.value().size(), 11U);
  const Symbol probe = table.value().Named("probe").at(0);
  EXPECT_EQ(probe.address, 0xffffffffc0000010U);
  EXPECT_EQ(probe.type, 't');
  EXPECT_EQ(probe.module, "virtio_blk");
  EXPECT_EQ(table.value().Named("local").size(), 2U);
  EXPECT_EQ(table.value().Named("bpf_prog_6deef7357e7b4530_sd_fw").at(0).module, "bpf");
  EXPECT_EQ(table.value().Named("ftrace_trampoline").at(0).module, "__builtin__ftrace");
  EXPECT_EQ(table.value().Named("kprobe_insn_page").at(0).module, "__builtin__kprobes");
  EXPECT_EQ(table.value().Named("_stext").at(0).module, "");
}

TEST(KallsymsText, ZeroesInFrontAreNoSecret) {
  const auto table = Parsed("0000000000000000 A __per_cpu_start\nffffffff81000000 T _stext\n");
  ASSERT_TRUE(table.ok()) << table.error().message;
  EXPECT_EQ(table.value().At(0).name, "__per_cpu_start");
}

TEST(KallsymsText, HiddenAddresses) {
  for (const char* text : {"0000000000000000 A x\n0000000000000000 T _stext\n",
                           "0000000000000000 A x\n0000000000000000 t y\t[z]\n",
                           "ffffffffc0000000 t y\t[z]\n0000000000000000 T _stext\n"}) {
    const auto table = Parsed(text);
    ASSERT_FALSE(table.ok());
    EXPECT_EQ(table.error().code, ErrorCode::kPermission);
    EXPECT_NE(table.error().message.find("kptr_restrict"), std::string::npos);
    EXPECT_NE(table.error().message.find("CAP_SYSLOG"), std::string::npos);
  }
}

TEST(KallsymsText, HashedAddresses) {
  EXPECT_EQ(CodeOf("00000000a1b2c3d4 T _stext\n000000005e5e5e5e T _text\n"),
            ErrorCode::kPermission);
  EXPECT_EQ(CodeOf("00000000a1b2c3d4 T _stext\n", ""), ErrorCode::kPermission);
  EXPECT_EQ(CodeOf("00000000a1b2c3d4 T start\n", ""), ErrorCode::kPermission);
}

TEST(KallsymsText, StextElsewhereThanVmcoreinfoHasIt) {
  const auto table = Parsed(kText, "SYMBOL(_stext)=ffffffff9e400000\n");
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(table.error().code, ErrorCode::kPermission);
  EXPECT_NE(table.error().message.find("0xffffffff9e400000"), std::string::npos);
}

TEST(KallsymsText, WithoutVmcoreinfo) { EXPECT_TRUE(Parsed(kText, "").ok()); }

TEST(KallsymsText, TornLastLineIsLeftOut) {
  const std::string text = kText;
  for (size_t cut = 1; cut < 56; ++cut) {
    const auto table = Parsed(std::string_view(text).substr(0, text.size() - cut));
    ASSERT_TRUE(table.ok()) << cut;
    EXPECT_EQ(table.value().size(), 10U) << cut;
  }
}

TEST(KallsymsText, NoNewlineAtAll) {
  EXPECT_EQ(CodeOf("ffffffff81000000 T _stext"), ErrorCode::kCorrupt);
  EXPECT_EQ(CodeOf(""), ErrorCode::kCorrupt);
}

TEST(KallsymsText, LinesThatAreNone) {
  for (const std::string line :
       {"", " ", "\n", "ffffffff8100000g T name", "ffffffff81000000", "ffffffff81000000 T",
        "ffffffff81000000 T ", "ffffffff81000000 TT name", "ffffffff81000000\tT\tname",
        "0ffffffff81000000 T name", "T name", "(____ptrval____) T name",
        "ffffffff81000000 T name\t", "ffffffff81000000 T name\tmodule",
        "ffffffff81000000 T name\t[module", "ffffffff81000000 T name\tmodule]",
        "ffffffff81000000 T name\t[]", "ffffffff81000000 T \t[module]"}) {
    const auto table = Parsed(std::string(kText) + line + "\n");
    ASSERT_FALSE(table.ok()) << line;
    EXPECT_EQ(table.error().code, ErrorCode::kCorrupt) << line;
    EXPECT_NE(table.error().message.find("line 12"), std::string::npos) << table.error().message;
  }
}

TEST(KallsymsText, NulWithinALine) {
  const std::string text = std::string(kText) + std::string("ffffffff81000000 T na\0me\n", 25);
  EXPECT_EQ(CodeOf(text), ErrorCode::kCorrupt);
}

TEST(KallsymsText, PaddingBehindTheTextIsNoLine) {
  EXPECT_TRUE(Parsed(std::string(kText) + std::string(7, '\0')).ok());
}

TEST(KallsymsText, NamesTooLong) {
  const std::string longest(kMaxSymbolNameBytes, 'x');
  std::string begin = kText;
  begin += "ffffffff81000040 T ";
  const auto table = Parsed(begin + longest + "\n");
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table.value().Named(longest).size(), 1U);
  EXPECT_EQ(CodeOf(begin + longest + "x\n"), ErrorCode::kCorrupt);
  EXPECT_EQ(CodeOf(begin + "a\t[" + longest + "x]\n"), ErrorCode::kCorrupt);
}

TEST(KallsymsText, MoreSymbolsThanAnyKernelHas) {
  std::string text = kText;
  const std::string line = "1 T a\n";
  text.reserve(text.size() + kMaxSymbols * line.size());
  for (size_t i = 0; i < kMaxSymbols; ++i) text += line;
  EXPECT_EQ(CodeOf(text), ErrorCode::kLimitExceeded);
}

TEST(KallsymsText, MoreModulesThanAnyKernelHas) {
  std::string text = kText;
  for (size_t i = 0; i <= kMaxSymbolModules; ++i) {
    text += "ffffffffc0000000 T a\t[m" + std::to_string(i) + "]\n";
  }
  EXPECT_EQ(CodeOf(text), ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace kcoredump
