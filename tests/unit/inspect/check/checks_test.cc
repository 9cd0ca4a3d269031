// SPDX-License-Identifier: MIT
#include "inspect/check/checks.h"

#include "inspect/check/operation_tables.h"
#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kTextAt = 0xffffffff81000000;
constexpr uint64_t kTextEnd = 0xffffffff81100000;
constexpr uint64_t kImageEnd = 0xffffffff82000000;
constexpr uint64_t kCheckedTable = 0xffffffff81800000;
constexpr uint64_t kGatesAt = 0xffffffff81900000;
constexpr uint64_t kCheckedHeads = 0xffffffff81a00000;
constexpr uint64_t kCheckedHeap = 0xffff888000400000;
constexpr uint64_t kCheckedNowhere = 0xffff888000999000;

/// A kernel whose text has two system calls.
class ChecksTest : public testing::Test {
 protected:
  ChecksTest() {
    kernel_.Struct("list_head", 16, {{"next", 0}, {"prev", 8}});
    kernel_.Struct("hlist_node", 16, {{"next", 0}, {"pprev", 8}});
    kernel_.Struct("notifier_block", 24, {{"notifier_call", 0}, {"next", 8}, {"priority", 16, 4}});
    kernel_.Struct("blocking_notifier_head", 16, {{"rwsem", 0}, {"head", 8}});
    kernel_.Struct("kprobe", 80,
                   {{"hlist", 0, 16, "hlist_node"},
                    {"list", 16, 16, "list_head"},
                    {"addr", 32},
                    {"pre_handler", 40},
                    {"post_handler", 48},
                    {"flags", 56, 4}});
    kernel_.Struct("ftrace_ops_hash", 16, {{"notrace_hash", 0}, {"filter_hash", 8}});
    kernel_.Struct("ftrace_hash", 16, {{"size_bits", 0}, {"buckets", 8}});
    kernel_.Struct("ftrace_func_entry", 24, {{"hlist", 0, 16, "hlist_node"}, {"ip", 16}});
    kernel_.Struct("ftrace_ops", 32, {{"func", 0}, {"next", 8}, {"flags", 16}, {"func_hash", 24}});
    kernel_.Struct("file_operations", 24,
                   {{"owner", 0}, {"read", 8, 8, "()"}, {"open", 16, 8, "()"}});
    kernel_.Symbol("_stext", kTextAt);
    kernel_.Symbol("_etext", kTextEnd);
    kernel_.Symbol("_text", kTextAt);
    kernel_.Symbol("_end", kImageEnd);
    Name(kTextAt, 't', "_stext");
    Name(kTextAt + 0x100, 'T', "__x64_sys_read");
    Name(kTextAt + 0x200, 'T', "__x64_sys_write");
    Name(kTextAt + 0x300, 'T', "kprobe_dispatcher");
    Name(kTextEnd, 'T', "_etext");
    Name(kCheckedTable, 'R', "sys_call_table");
    Name(kCheckedTable + 32, 'R', "x_fops");
    Name(kCheckedTable + 32 + 24, 'R', "after");
  }

  void Name(uint64_t address, char type, const char* name) {
    EXPECT_TRUE(builder_.Add(address, type, name, {}).ok());
    kernel_.Symbol(name, address);
  }
  template <typename Check>
  CheckLog Run(const Check& check) {
    if (!code_) {
      symbols_ = std::move(builder_).Build();
      sources_.emplace(kernel_.sources());
      std::vector<std::string> notes;
      code_.emplace(CodeMap::Create(*sources_, modules_, notes).value());
    }
    const CheckSources sources{
        .kernel = *sources_, .code = *code_, .symbols = symbols_, .modules = modules_};
    CheckLog log(sources, "one", "this with that");
    check(sources, log);
    return log;
  }

  test::FakeKernel kernel_;
  SymbolTable::Builder builder_;
  SymbolTable symbols_;
  ModuleList modules_;
  std::optional<TaskSources> sources_;
  std::optional<CodeMap> code_;
};

TEST_F(ChecksTest, SyscallsOfTheKernelAreQuiet) {
  kernel_.Zero(kCheckedTable, 32);
  kernel_.Word(kCheckedTable, kTextAt + 0x100);
  kernel_.Word(kCheckedTable + 8, kTextAt + 0x200);
  CheckLog log = Run(CheckSyscalls);
  EXPECT_TRUE(log.findings().empty());
  EXPECT_EQ(log.summary().examined, 2U);
}

TEST_F(ChecksTest, SyscallsThatLeadElsewhereAreFound) {
  kernel_.Zero(kCheckedTable, 32);
  kernel_.Word(kCheckedTable, kCheckedNowhere);
  kernel_.Word(kCheckedTable + 8, kTextAt + 0x204);   // within a function
  kernel_.Word(kCheckedTable + 16, kTextAt + 0x300);  // of no system call
  kernel_.Word(kCheckedTable + 24, kTextAt + 0x100);
  CheckLog log = Run(CheckSyscalls);
  ASSERT_EQ(log.findings().size(), 3U);
  EXPECT_EQ(log.findings()[0].object, "sys_call_table[0]");
  EXPECT_EQ(log.findings()[0].address, kCheckedTable);
  EXPECT_EQ(log.findings()[0].value, kCheckedNowhere);
  EXPECT_NE(log.findings()[0].text.find("no known code"), std::string::npos);
}

TEST_F(ChecksTest, AMissingTableIsSaid) {
  CheckLog log = Run(CheckSyscalls);
  ASSERT_EQ(log.summary().unchecked.size(), 1U);  // unreadable
  CheckLog gates = Run(CheckIdt);
  ASSERT_EQ(gates.summary().unchecked.size(), 1U);
  EXPECT_NE(gates.summary().unchecked[0].find("idt_table"), std::string::npos);
}

TEST_F(ChecksTest, AGateThatLeadsElsewhereIsFound) {
  kernel_.Symbol("idt_table", kGatesAt);
  kernel_.Zero(kGatesAt, 4096);
  for (const uint64_t gate : {3U, 14U}) {
    const uint64_t target = gate == 3 ? kTextAt + 0x100 : kCheckedNowhere;
    kernel_.memory.PutValue<uint16_t>(kGatesAt + gate * 16, static_cast<uint16_t>(target));
    kernel_.memory.PutValue<uint16_t>(kGatesAt + gate * 16 + 4, 0x8e00);
    kernel_.memory.PutValue<uint16_t>(kGatesAt + gate * 16 + 6,
                                      static_cast<uint16_t>(target >> 16));
    kernel_.memory.PutValue<uint32_t>(kGatesAt + gate * 16 + 8,
                                      static_cast<uint32_t>(target >> 32));
  }
  CheckLog log = Run(CheckIdt);
  EXPECT_EQ(log.summary().examined, 2U);
  ASSERT_EQ(log.findings().size(), 1U);
  EXPECT_EQ(log.findings()[0].object, "idt_table[14]");
  EXPECT_EQ(log.findings()[0].value, kCheckedNowhere);
}

TEST_F(ChecksTest, ANotifierThatLeadsElsewhereIsFoundAndACircleEnds) {
  kernel_.Symbol("reboot_notifier_list", kCheckedHeads);
  kernel_.Zero(kCheckedHeads, 16);
  kernel_.Word(kCheckedHeads + 8, kCheckedHeap);
  kernel_.Zero(kCheckedHeap, 64);
  kernel_.Word(kCheckedHeap, kTextAt + 0x100);
  kernel_.Word(kCheckedHeap + 8, kCheckedHeap + 32);
  kernel_.Word(kCheckedHeap + 32, kCheckedNowhere);
  kernel_.Word(kCheckedHeap + 40, kCheckedHeap);
  CheckLog log = Run(CheckNotifiers);
  ASSERT_EQ(log.findings().size(), 1U);
  EXPECT_EQ(log.findings()[0].object, "reboot_notifier_list");
  EXPECT_TRUE(log.lost());
}

TEST_F(ChecksTest, KprobesAreFoundAndACircleEnds) {
  kernel_.Symbol("kprobe_table", kCheckedHeads);
  kernel_.Zero(kCheckedHeads, 64 * 8);
  kernel_.Word(kCheckedHeads + 8, kCheckedHeap);
  kernel_.Zero(kCheckedHeap, 80);
  kernel_.Word(kCheckedHeap, kCheckedHeap);  // its own next
  kernel_.Word(kCheckedHeap + 32, kTextAt + 0x105);
  kernel_.Word(kCheckedHeap + 40, kTextAt + 0x300);
  CheckLog log = Run(CheckKprobes);
  ASSERT_EQ(log.findings().size(), 1U);
  EXPECT_EQ(log.findings()[0].kind, "hook");
  EXPECT_EQ(log.findings()[0].object, "__x64_sys_read+0x5");
  EXPECT_EQ(log.findings()[0].value_symbol, "kprobe_dispatcher");
  ASSERT_FALSE(log.summary().unchecked.empty());
  EXPECT_NE(log.summary().unchecked[0].find("circle"), std::string::npos);
}

TEST_F(ChecksTest, ATracerOfNoKnownCodeIsMoreThanAHook) {
  kernel_.Symbol("ftrace_ops_list", kCheckedHeads);
  kernel_.Symbol("ftrace_list_end", kCheckedHeads + 64);
  kernel_.Zero(kCheckedHeads, 128);
  kernel_.Word(kCheckedHeads, kCheckedHeap);
  kernel_.Zero(kCheckedHeap, 256);
  kernel_.Word(kCheckedHeap, kCheckedNowhere);
  kernel_.Word(kCheckedHeap + 8, kCheckedHeap);  // for ever
  kernel_.Word(kCheckedHeap + 24, kCheckedHeap + 64);
  kernel_.Word(kCheckedHeap + 64 + 8, kCheckedHeap + 96);
  kernel_.Word(kCheckedHeap + 96, 1);
  kernel_.Word(kCheckedHeap + 96 + 8, kCheckedHeap + 128);
  kernel_.Word(kCheckedHeap + 136, kCheckedHeap + 160);
  kernel_.Word(kCheckedHeap + 160, kCheckedHeap + 160);
  kernel_.Word(kCheckedHeap + 160 + 16, kTextAt + 0x204);
  CheckLog log = Run(CheckFtrace);
  ASSERT_EQ(log.findings().size(), 1U);
  EXPECT_EQ(log.findings()[0].kind, "pointer");
  EXPECT_EQ(log.findings()[0].object, "__x64_sys_write");
  EXPECT_TRUE(log.lost());
}

TEST_F(ChecksTest, AForgedFilterIsNotWalked) {
  kernel_.Symbol("ftrace_ops_list", kCheckedHeads);
  kernel_.Symbol("ftrace_list_end", kCheckedHeads + 64);
  kernel_.Zero(kCheckedHeads, 128);
  kernel_.Word(kCheckedHeads, kCheckedHeap);
  kernel_.Zero(kCheckedHeap, 256);
  kernel_.Word(kCheckedHeap + 8, kCheckedHeads + 64);
  kernel_.Word(kCheckedHeap + 24, kCheckedHeap + 64);
  kernel_.Word(kCheckedHeap + 64 + 8, kCheckedHeap + 96);
  kernel_.Word(kCheckedHeap + 96, 63);
  kernel_.Word(kCheckedHeap + 96 + 8, kCheckedHeap + 128);
  const size_t reads = kernel_.memory.reads;
  CheckLog log = Run(CheckFtrace);
  EXPECT_LT(kernel_.memory.reads - reads, 100U);
  EXPECT_FALSE(log.summary().unchecked.empty());
}

TEST_F(ChecksTest, OperationsOfACertainTypeMustBeCode) {
  kernel_.Zero(kCheckedTable + 32, 24);
  kernel_.Word(kCheckedTable + 40, kTextAt + 0x100);
  kernel_.Word(kCheckedTable + 48, kCheckedTable);  // the kernel's data
  CheckLog certain = Run([](const CheckSources& sources, CheckLog& log) {
    OperationTables(sources, log).Check(kCheckedTable + 32, "struct file_operations", "x_fops");
  });
  ASSERT_EQ(certain.findings().size(), 1U);
  EXPECT_EQ(certain.findings()[0].object, "x_fops.open");
  CheckLog named = Run([](const CheckSources& sources, CheckLog& log) {
    OperationTables(sources, log)
        .CheckNamed(kCheckedTable + 32, 24, "struct file_operations", "x_fops");
  });
  EXPECT_TRUE(named.findings().empty());
  kernel_.Word(kCheckedTable + 48, kCheckedNowhere);
  CheckLog again = Run([](const CheckSources& sources, CheckLog& log) {
    OperationTables tables(sources, log);
    tables.CheckNamed(kCheckedTable + 32, 16, "struct file_operations",
                      "x_fops");  // ends before it
    tables.Check(kCheckedTable + 64, "struct none", "x_fops");
  });
  EXPECT_TRUE(again.findings().empty());
}

TEST_F(ChecksTest, ManyFindingsAreCounted) {
  CheckLog log = Run([](const CheckSources&, CheckLog& out) {
    for (size_t i = 0; i < kMaxFindingsOfCheck + 5; ++i)
      out.Find({.kind = "hidden", .object = "x"});
  });
  EXPECT_EQ(log.findings().size(), kMaxFindingsOfCheck);
  EXPECT_EQ(log.summary().findings, kMaxFindingsOfCheck + 5);
}

}  // namespace
}  // namespace kcoredump
