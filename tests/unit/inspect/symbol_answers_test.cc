// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "format/snapshot/format.h"
#include "kcoredump/symbols.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

constexpr char kKallsyms[] =
    "0000000000000000 A fixed_percpu_data\n"
    "0000000000001000 A cpu_tss_rw\n"
    "ffffffff81000000 T _stext\n"
    "ffffffff81000000 T _text\n"
    "ffffffff81000010 t local\n"
    "ffffffff81000030 t local\n"
    "ffffffff81000050 T tcp_v4_rcv\n"
    "ffffffff81000070 T tcp_v6_rcv\n"
    "ffffffff81000090 T evil\x1b[31m\xff\n"
    "ffffffff81002000 B _end\n"
    "ffffffffc0000010 t probe\t[virtio_blk]\n"
    "ffffffffc0201000 t bpf_prog_6deef7357e7b4530_sd_fw\t[bpf]\n";

constexpr char kVmallocinfo[] =
    "0xffffc90000000000-0xffffc90000005000   20480 irq_init_percpu_irqstack+0xcf/0x100 vmap\n"
    "0xffffffffc0000000-0xffffffffc0006000   24576 load_module+0xd97/0x1a20 pages=5 vmalloc N0=5\n";

class SymbolAnswersTest : public testing::Test {
 protected:
  /// A snapshot with these texts for its notes; empty: without.
  void Open(std::string_view kallsyms, std::string_view vmallocinfo) {
    test::ElfBuilder core;
    core.AddNote("VMCOREINFO", 0,
                 "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(_stext)=ffffffff81000000\n"
                 "SYMBOL(init_uts_ns)=ffffffff81001000\n");
    core.AddAlias(test::kImageBase, test::kImagePhys, test::kImageBytes);
    core.AddRam(test::kHighRam, test::kHighRamBytes);
    test::Bytes notes;
    const auto add = [&](NoteType type, std::string_view text) {
      if (text.empty()) return;
      const auto note = test::NoteBytes(kNoteOwner, static_cast<uint32_t>(type), text);
      notes.insert(notes.end(), note.begin(), note.end());
    };
    add(NoteType::kMeta, "{}");
    add(NoteType::kKallsyms, kallsyms);
    add(NoteType::kVmallocinfo, vmallocinfo);
    Elf64_Phdr header{};
    header.p_type = kVendorSegmentType;
    header.p_filesz = notes.size();
    core.AddLoad(header, notes);
    file_.Set(test::RawSnapshot::Of(core.Build()).Build());
    auto kernel = Kernel::Open(file_.path());
    ASSERT_TRUE(kernel.ok()) << kernel.error().message;
    kernel_.emplace(std::move(kernel.value()));
  }

  SymbolAnswers Ask(const std::vector<std::string>& queries,
                    const SymbolQueryOptions& options = {}) {
    if (!kernel_) Open(kKallsyms, kVmallocinfo);
    auto answers = FindSymbols(*kernel_, queries, options);
    EXPECT_TRUE(answers.ok()) << (answers.ok() ? "" : answers.error().message);
    return answers.ok() ? std::move(answers.value()) : SymbolAnswers{};
  }

  SymbolAnswer AskOne(const std::string& query) {
    const SymbolAnswers answers = Ask({query});
    EXPECT_EQ(answers.symbols.size(), 1U) << query;
    return answers.symbols.size() == 1 ? answers.symbols[0] : SymbolAnswer{};
  }

  test::MemoryFile file_;
  std::optional<Kernel> kernel_;
};

TEST_F(SymbolAnswersTest, AName) {
  const SymbolAnswer answer = AskOne("tcp_v4_rcv");
  EXPECT_EQ(answer.query, "tcp_v4_rcv");
  EXPECT_EQ(answer.name, "tcp_v4_rcv");
  EXPECT_EQ(answer.address, 0xffffffff81000050U);
  EXPECT_EQ(answer.offset, 0U);
  EXPECT_EQ(answer.size, 0x20U);
  EXPECT_EQ(answer.type, 'T');
  EXPECT_EQ(answer.module, "");
  EXPECT_FALSE(answer.area);
}

TEST_F(SymbolAnswersTest, AnAddressInEverySpelling) {
  for (const char* query :
       {"0xffffffff81000054", "0XFFFFFFFF81000054", "ffffffff81000054", "18446744071578845268",
        "tcp_v4_rcv+4", "tcp_v4_rcv+0x4", "tcp_v6_rcv-0x1c", "0xffffffff81000050+4"}) {
    const SymbolAnswers answers = Ask({query});
    ASSERT_EQ(answers.symbols.size(), 1U) << query;
    EXPECT_EQ(answers.symbols[0].address, 0xffffffff81000054U) << query;
  }
  EXPECT_EQ(AskOne("ffffffff81000054").name, "tcp_v4_rcv");
  EXPECT_EQ(AskOne("ffffffff81000054").offset, 4U);
  EXPECT_EQ(AskOne("tcp_v6_rcv-0x1c").name, "tcp_v6_rcv");
  EXPECT_EQ(AskOne("0000000000001000").name, "cpu_tss_rw");  // as kallsyms spells it
  EXPECT_EQ(AskOne("4096").name, "cpu_tss_rw");
}

TEST_F(SymbolAnswersTest, AllSymbolsThatBeginAtAnAddress) {
  const SymbolAnswers answers = Ask({"0xffffffff81000000"});
  ASSERT_EQ(answers.symbols.size(), 2U);
  EXPECT_EQ(answers.symbols[0].name, "_stext");
  EXPECT_EQ(answers.symbols[1].name, "_text");
}

TEST_F(SymbolAnswersTest, AStaticNameThatStandsTwice) {
  const SymbolAnswers answers = Ask({"local+0x8"});
  ASSERT_EQ(answers.symbols.size(), 2U);
  EXPECT_EQ(answers.symbols[0].address, 0xffffffff81000018U);
  EXPECT_EQ(answers.symbols[1].address, 0xffffffff81000038U);
}

TEST_F(SymbolAnswersTest, AModulesSymbolWithItsArea) {
  const SymbolAnswer answer = AskOne("probe");
  EXPECT_EQ(answer.module, "virtio_blk");
  ASSERT_TRUE(answer.area);
  EXPECT_EQ(answer.area->start, 0xffffffffc0000000U);
  EXPECT_EQ(answer.area->end, 0xffffffffc0006000U);
  EXPECT_EQ(answer.area->pages, 5U);
  EXPECT_EQ(answer.area->caller.substr(0, 15), "load_module+0xd");
  EXPECT_EQ(AskOne("0xffffffffc0201004").module, "bpf");
}

TEST_F(SymbolAnswersTest, AnAddressInAnAreaAndInNoSymbol) {
  const SymbolAnswer answer = AskOne("0xffffc90000000008");
  EXPECT_EQ(answer.name, "");
  EXPECT_EQ(answer.address, 0xffffc90000000008U);
  EXPECT_FALSE(answer.size);
  ASSERT_TRUE(answer.area);
  EXPECT_EQ(answer.area->kinds, std::vector<std::string>{"vmap"});
}

TEST_F(SymbolAnswersTest, AnAddressOfNothing) {
  for (const char* query :
       {"0xffff888000000000", "0x0000700000000000", "0xffffffff90000000", "0xffffc90000005000"}) {
    const SymbolAnswers answers = Ask({query});
    EXPECT_TRUE(answers.symbols.empty()) << query;
    ASSERT_EQ(answers.not_found.size(), 1U) << query;
    EXPECT_EQ(answers.not_found[0].query, query);
    EXPECT_NE(answers.not_found[0].reason.find("nothing is known"), std::string::npos);
  }
}

TEST_F(SymbolAnswersTest, TheFoundAndTheNotFoundTogether) {
  const SymbolAnswers answers = Ask({"nonsense", "_end", "no*such"});
  ASSERT_EQ(answers.symbols.size(), 1U);
  EXPECT_EQ(answers.symbols[0].name, "_end");
  ASSERT_EQ(answers.not_found.size(), 2U);
  EXPECT_EQ(answers.not_found[0].query, "nonsense");
  EXPECT_EQ(answers.not_found[1].query, "no*such");
}

TEST_F(SymbolAnswersTest, Globs) {
  const SymbolAnswers answers = Ask({"tcp_v[46]_*"});
  ASSERT_EQ(answers.symbols.size(), 2U);
  EXPECT_EQ(answers.symbols[1].name, "tcp_v6_rcv");
  EXPECT_EQ(answers.symbols[1].query, "tcp_v[46]_*");
  EXPECT_TRUE(answers.findings.notes.empty());
}

TEST_F(SymbolAnswersTest, AGlobThatMatchesTooMuchSaysSo) {
  const SymbolAnswers cut = Ask({"*"}, {.max_matches = 3});
  EXPECT_EQ(cut.symbols.size(), 3U);
  ASSERT_EQ(cut.findings.notes.size(), 1U);
  EXPECT_FALSE(cut.findings.incomplete);
  EXPECT_EQ(Ask({"*"}, {.max_matches = 0}).symbols.size(), 12U);
  EXPECT_TRUE(Ask({"_*"}, {.max_matches = 3}).findings.notes.empty());
}

TEST_F(SymbolAnswersTest, QueriesThatAreNone) {
  Open(kKallsyms, kVmallocinfo);
  for (const char* query : {"", "0x", "0xzz", "0x12345678123456789", "99999999999999999999", "12ab",
                            "name+", "name+zz", "name+0xzz"}) {
    const auto answers = FindSymbols(*kernel_, {"_stext", query});
    ASSERT_FALSE(answers.ok()) << query;
    EXPECT_EQ(answers.error().code, ErrorCode::kInvalidArgument) << query;
    EXPECT_NE(answers.error().message.find(query), std::string::npos) << query;
  }
}

TEST_F(SymbolAnswersTest, HiddenKallsymsLeaveVmcoreinfosSymbols) {
  Open("0000000000000000 T _stext\n0000000000000000 T schedule\n", kVmallocinfo);
  EXPECT_EQ(AskOne("init_uts_ns").address, 0xffffffff81001000U);
  EXPECT_EQ(Ask({"schedule"}).not_found.size(), 1U);
  EXPECT_TRUE(AskOne("0xffffc90000000008").area);
}

TEST_F(SymbolAnswersTest, Text) {
  const std::string text = ToText(Ask({"tcp_v4_rcv", "probe", "_end", "ffffffff81000054"}), {});
  EXPECT_NE(text.find("ADDRESS"), std::string::npos);
  EXPECT_NE(text.find("0xffffffff81000050  T       32  tcp_v4_rcv\n"), std::string::npos) << text;
  EXPECT_NE(text.find("tcp_v4_rcv+0x4"), std::string::npos);
  EXPECT_NE(text.find("virtio_blk"), std::string::npos);
  EXPECT_NE(text.find("0xffffffffc0000000-0xffffffffc0006000 5 pages vmalloc load_module+0xd97"),
            std::string::npos)
      << text;
  EXPECT_EQ(ToText(SymbolAnswers{}, {}), "");
  EXPECT_EQ(ToText(Ask({"_end"}), {}).find("MODULE"), std::string::npos);
}

TEST_F(SymbolAnswersTest, HostileNamesAreEscaped) {
  const SymbolAnswers answers = Ask({"evil*", "e\xffvil"});
  const std::string text = ToText(answers, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("evil\\x1b[31m\\xff"), std::string::npos) << text;
  EXPECT_EQ(nlohmann::json::parse(ToJson(answers))["symbols"].size(), 1U);
}

TEST_F(SymbolAnswersTest, Json) {
  const auto parsed = nlohmann::json::parse(
      ToJson(Ask({"probe", "tcp_v6_rcv-1", "0xffffc90000000008", "nonsense", "_end"})));
  const auto& symbols = parsed["symbols"];
  ASSERT_EQ(symbols.size(), 4U);
  EXPECT_EQ(symbols[0]["query"], "probe");
  EXPECT_EQ(symbols[0]["address"], "0xffffffffc0000010");
  EXPECT_EQ(symbols[0]["type"], "t");
  EXPECT_EQ(symbols[0]["module"], "virtio_blk");
  EXPECT_EQ(symbols[0]["area"]["start"], "0xffffffffc0000000");
  EXPECT_EQ(symbols[0]["area"]["pages"], 5);
  EXPECT_EQ(symbols[1]["offset"], -1);
  EXPECT_EQ(symbols[1]["address"], "0xffffffff8100006f");
  EXPECT_EQ(symbols[1]["size"], 32);
  EXPECT_TRUE(symbols[1]["module"].is_null());
  EXPECT_TRUE(symbols[1]["area"].is_null());
  EXPECT_TRUE(symbols[2]["name"].is_null());
  EXPECT_TRUE(symbols[2]["type"].is_null());
  EXPECT_TRUE(symbols[2]["offset"].is_null());
  EXPECT_TRUE(symbols[3]["size"].is_null());
  EXPECT_EQ(parsed["not_found"], nlohmann::json::array({"nonsense"}));
  EXPECT_EQ(parsed["incomplete"], false);
}

}  // namespace
}  // namespace kcoredump
