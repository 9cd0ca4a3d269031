// SPDX-License-Identifier: MIT
#include "kcoredump/dis.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "format/snapshot/format.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::kImageBase;

constexpr uint64_t kPhys = 0x100000;
constexpr size_t kBytes = 4 * test::kPage;
constexpr uint64_t kJumpTable = kImageBase + 0x1000;
constexpr uint64_t kFtracePage = kImageBase + 0x1100;
constexpr uint64_t kFtraceRecords = kImageBase + 0x1200;
constexpr uint64_t kFtraceStart = kImageBase + 0x1300;
constexpr uint64_t kKey = kImageBase + 0x1400;

constexpr char kKallsyms[] =
    "0000000000000000 A fixed_percpu_data\n"
    "0000000000020000 A cpu_info\n"
    "0000000000020100 A __per_cpu_end\n"
    "ffffffff81000000 T _stext\n"
    "ffffffff81000010 T traced\n"
    "ffffffff81000050 t callee\n"
    "ffffffff81000060 t evil\x1b[31m\xff\n"
    "ffffffff81000080 t sealed\n"
    "ffffffff81000090 t behind\n"
    "ffffffff810000a0 t in_module\t[fake_mod]\n"
    "ffffffff810000b0 t friend_of\t[fake_mod]\n"
    "ffffffff81001000 D __start___jump_table\n"
    "ffffffff81001020 D __stop___jump_table\n"
    "ffffffff81001300 d ftrace_pages_start\n"
    "ffffffff81001400 d a_key\n"
    "ffffffff81001500 D banner\n"
    "ffffffff81001600 D _end\n";

/// traced: a tracer's nop, a key's nop and its jump, a call, memory, padding.
constexpr std::string_view kTraced =
    "f30f1efa"          // +0x00 endbr64
    "0f1f440000"        // +0x04 the tracer's nop
    "0f1f440000"        // +0x09 the key's nop; else to +0x28
    "488d3ddb140000"    // +0x0e lea banner(%rip), %rdi
    "7405"              // +0x15 je +0x1c
    "e824000000"        // +0x17 call callee
    "65488b052000027f"  // +0x1c mov %gs:…(%rip)
    "c3"                // +0x24 ret
    "cccccc"            // +0x25 and what stands between
    "48c7c700150081"    // +0x28 mov $banner, %rdi
    "ebf3"              // +0x2f jmp +0x24
    "0f1f8000000000"    // +0x31 padding
    "90cccccccccccccc";

class DisTest : public testing::Test {
 protected:
  DisTest() : memory_(kBytes) {
    Put(kImageBase + 0x10, kTraced);
    Put(kImageBase + 0x50,
        "e8bbffffff"
        "e806000000"
        "c3");  // the second one goes to evil+1
    Put(kImageBase + 0x60,
        "0f0b"
        "ff25f6feffff"
        "0674fd");
    Put(kImageBase + 0x80,
        "0f1f40d6"
        "c3");
    Put(kImageBase + 0xa0,
        "e80b000000"
        "e9a6ffffff");
    Put(kImageBase + kBytes - 4,
        "90"
        "e80000");
    PutJumpEntry(0, kImageBase + 0x19, kImageBase + 0x38, kKey + 2);
    PutJumpEntry(1, kImageBase + 0x3f, kImageBase + 0x34, kKey + 1);
    PutValue<uint64_t>(kFtraceStart, kFtracePage);
    PutFtracePage(0, kFtraceRecords, 2);
    PutValue<uint64_t>(kFtraceRecords, kImageBase + 0x14);
    PutValue<uint64_t>(kFtraceRecords + 16, kImageBase + 0x55);
  }

  void Put(uint64_t address, std::string_view digits) {
    for (size_t i = 0; i + 1 < digits.size(); i += 2) {
      const auto value = std::stoul(std::string(digits.substr(i, 2)), nullptr, 16);
      memory_[address - kImageBase + i / 2] = static_cast<std::byte>(value);
    }
  }
  template <typename T>
  void PutValue(uint64_t address, T value) {
    test::Poke(memory_, address - kImageBase, value);
  }
  /// Relative to its own fields.
  void PutJumpEntry(uint64_t index, uint64_t code, uint64_t target, uint64_t key) {
    const uint64_t at = kJumpTable + 16 * index;
    PutValue(at, static_cast<int32_t>(code - at));
    PutValue(at + 4, static_cast<int32_t>(target - at - 4));
    PutValue(at + 8, static_cast<int64_t>(key - at - 8));
  }
  void PutFtracePage(uint64_t next, uint64_t records, int32_t count) {
    PutValue(kFtracePage, next);
    PutValue(kFtracePage + 8, records);
    PutValue(kFtracePage + 16, count);
  }

  /// The types that the two tables have.
  static std::string Btf() {
    btf* types = btf__new_empty();
    const int s32 = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
    const int word = btf__add_int(types, "long unsigned int", 8, 0);
    btf__add_struct(types, "jump_entry", 16);
    btf__add_field(types, "code", s32, 0, 0);
    btf__add_field(types, "target", s32, 32, 0);
    btf__add_field(types, "key", word, 64, 0);
    const int page = btf__add_struct(types, "ftrace_page", 24);
    btf__add_field(types, "next", page + 1, 0, 0);
    btf__add_field(types, "records", word, 64, 0);
    btf__add_field(types, "index", s32, 128, 0);
    btf__add_ptr(types, page);
    btf__add_struct(types, "dyn_ftrace", 16);
    btf__add_field(types, "ip", word, 0, 0);
    btf__add_field(types, "flags", word, 64, 0);
    uint32_t bytes = 0;
    const void* raw = btf__raw_data(types, &bytes);
    std::string blob("vmlinux\0", 8);
    blob.append(static_cast<const char*>(raw), bytes);
    btf__free(types);
    return blob;
  }

  Kernel& Open() {
    if (kernel_) return *kernel_;
    test::ElfBuilder core;
    core.header.e_machine = machine_;
    core.AddNote("VMCOREINFO", 0,
                 "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(_stext)=ffffffff81000000\n"
                 "SYMBOL(init_uts_ns)=ffffffff81001000\n");
    core.AddAlias(kImageBase, kPhys, kBytes);
    core.AddLoad(test::LoadHeader(test::kDirectMap + kPhys, kPhys, kBytes), memory_);
    Bytes notes;
    const auto add = [&](NoteType type, std::string_view text) {
      const auto note = test::NoteBytes(kNoteOwner, static_cast<uint32_t>(type), text);
      notes.insert(notes.end(), note.begin(), note.end());
    };
    add(NoteType::kMeta, "{}");
    if (!kallsyms_.empty()) add(NoteType::kKallsyms, kallsyms_);
    if (with_types_) add(NoteType::kBtf, Btf());
    Elf64_Phdr header{};
    header.p_type = kVendorSegmentType;
    header.p_filesz = notes.size();
    core.AddLoad(header, notes);
    file_.Set(test::RawSnapshot::Of(core.Build()).Build());
    auto kernel = Kernel::Open(file_.path());
    EXPECT_TRUE(kernel.ok()) << (kernel.ok() ? "" : kernel.error().message);
    kernel_.emplace(std::move(kernel.value()));
    return *kernel_;
  }

  Result<DisassembleAnswer> Try(uint64_t address, const DisassembleOptions& options,
                                Target::Space space = Target::Space::kKernel) {
    Target at;
    at.space = space;
    at.address = address;
    return Disassemble(Open(), at, options);
  }
  DisassembleAnswer Ask(uint64_t address, size_t count) {
    auto answer = Try(address, {.count = count});
    EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
    return answer.ok() ? std::move(answer.value()) : DisassembleAnswer{};
  }
  DisassembleAnswer AskFunction(uint64_t address) {
    auto answer = Try(address, {.function = true});
    EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
    return answer.ok() ? std::move(answer.value()) : DisassembleAnswer{};
  }

  Bytes memory_;
  uint16_t machine_ = EM_X86_64;
  std::string kallsyms_ = kKallsyms;
  bool with_types_ = true;
  test::MemoryFile file_;
  std::optional<Kernel> kernel_;
};

TEST_F(DisTest, AFunctionWithItsNames) {
  const DisassembleAnswer answer = AskFunction(kImageBase + 0x10);
  EXPECT_EQ(answer.failure, "");
  EXPECT_TRUE(answer.findings.notes.empty()) << answer.findings.notes[0];
  EXPECT_EQ(ToText(answer, {}),
            "ffffffff81000010 <traced>:\n"
            "   +0x0  endbr64\n"
            "   +0x4  nopl   (%rax, %rax)                 # ftrace: off\n"
            "   +0x9  nopl   (%rax, %rax)                 # static key a_key off, else jump to "
            "traced+0x28\n"
            "   +0xe  leaq   0x14db(%rip), %rdi           # banner\n"
            "  +0x15  je     traced+0x1c\n"
            "  +0x17  callq  callee\n"
            "  +0x1c  movq   %gs:0x7f020020(%rip), %rax   # per-CPU cpu_info+0x54\n"
            "  +0x24  retq\n"
            "  +0x25  int3\n"
            "  +0x26  int3\n"
            "  +0x27  int3\n"
            "  +0x28  movq   $0xffffffff81001500, %rdi    # banner\n"
            "  +0x2f  jmp    traced+0x24                  # static key a_key off, else nop\n"
            "  (15 bytes of padding follow)\n");
}

TEST_F(DisTest, AFunctionFromItsMiddle) {
  const DisassembleAnswer answer = AskFunction(kImageBase + 0x27);
  EXPECT_EQ(answer.start.address, kImageBase + 0x10);
  EXPECT_EQ(answer.instructions.size(), 13U);
  EXPECT_EQ(answer.padding_bytes, 15U);
}

TEST_F(DisTest, WhatIsPatchedInIsShownAsItIs) {
  Put(kImageBase + 0x14, "e837000000");  // a call of the tracer
  Put(kImageBase + 0x19,
      "eb1d9090"
      "90");
  PutValue<int32_t>(kKey, 1);
  const DisassembleAnswer answer = AskFunction(kImageBase + 0x10);
  ASSERT_GT(answer.instructions.size(), 3U);
  const Instruction& tracer = answer.instructions[1];
  EXPECT_EQ(tracer.mnemonic, "callq");
  EXPECT_EQ(tracer.target_symbol, "callee");
  ASSERT_TRUE(tracer.site);
  EXPECT_EQ(tracer.site->kind, PatchSite::Kind::kFtrace);
  EXPECT_TRUE(tracer.site->patched_in);
  const Instruction& jump = answer.instructions[2];
  EXPECT_EQ(jump.target_symbol, "traced+0x28");
  ASSERT_TRUE(jump.site);
  EXPECT_EQ(jump.site->kind, PatchSite::Kind::kStaticKey);
  EXPECT_TRUE(jump.site->patched_in);
  EXPECT_EQ(jump.site->enabled, true);
  EXPECT_EQ(jump.site->key, kKey);
}

TEST_F(DisTest, ASealedLandingPad) {
  const DisassembleAnswer answer = Ask(kImageBase + 0x80, 2);
  EXPECT_EQ(ToText(answer, {}),
            "ffffffff81000080 <sealed>:\n"
            "  +0x0  nopl   -0x2a(%rax)                  # sealed endbr64\n"
            "  +0x4  retq\n");
}

TEST_F(DisTest, ACountCrossesIntoTheNextSymbol) {
  const DisassembleAnswer answer = Ask(kImageBase + 0x55, 4);
  // callee's second call is an ftrace record, but the zeros behind it are code of nobody.
  EXPECT_EQ(ToText(answer, {}),
            "ffffffff81000055 <callee+0x5>:\n"
            "  +0x5  callq  evil\\x1b[31m\\xff             # ftrace: on\n"
            "  +0xa  retq\n"
            "  +0xb  addb   %al, (%rax)\n"
            "  +0xd  addb   %al, (%rax)\n");
}

TEST_F(DisTest, HostileNamesStayOffTheTerminal) {
  const DisassembleAnswer answer = Ask(kImageBase + 0x60, 4);
  const std::string text = ToText(answer, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text,
            "ffffffff81000060 <evil\\x1b[31m\\xff>:\n"
            "  +0x0  ud2\n"
            "  +0x2  jmpq   *-0x10a(%rip)                # 0xffffffff80ffff5e\n"
            "  +0x8  (bad)\n"
            "  +0x9  je     evil\\x1b[31m\\xff+0x8\n");
  const auto json = nlohmann::json::parse(ToJson(answer));
  EXPECT_EQ(json["instructions"][0]["symbol"], "evil\\x1b[31m\\xff");
}

TEST_F(DisTest, NamesOfTheSameModuleDoNotSaySo) {
  const DisassembleAnswer answer = Ask(kImageBase + 0xa0, 2);
  EXPECT_EQ(ToText(answer, {}),
            "ffffffff810000a0 <in_module [fake_mod]>:\n"
            "  +0x0  callq  friend_of\n"
            "  +0x5  jmp    callee\n");
  EXPECT_EQ(answer.instructions[0].target_symbol, "friend_of [fake_mod]");
}

TEST_F(DisTest, MemoryThatEndsWithinAnInstruction) {
  const DisassembleAnswer answer = Ask(kImageBase + kBytes - 4, 16);
  ASSERT_EQ(answer.instructions.size(), 2U);
  EXPECT_EQ(answer.instructions[1].mnemonic, "(truncated)");
  EXPECT_EQ(answer.instructions[1].bytes.size(), 3U);
  EXPECT_FALSE(answer.failure.empty());
  EXPECT_FALSE(answer.not_reached);
  const auto json = nlohmann::json::parse(ToJson(answer));
  EXPECT_EQ(json["incomplete"], true);
  EXPECT_EQ(json["notes"].back(), answer.failure);
}

TEST_F(DisTest, WhatLiesBehindTheLastInstructionIsNotNeeded) {
  const DisassembleAnswer answer = Ask(kImageBase + kBytes - 4, 1);
  EXPECT_EQ(answer.instructions.size(), 1U);
  EXPECT_EQ(answer.failure, "");
}

TEST_F(DisTest, BadBytesAtTheEndAreBadAndNotCutOff) {
  Put(kImageBase + kBytes - 4, "06060606");
  const DisassembleAnswer answer = Ask(kImageBase + kBytes - 4, 16);
  ASSERT_EQ(answer.instructions.size(), 4U);
  for (const Instruction& instruction : answer.instructions) {
    EXPECT_EQ(instruction.mnemonic, "(bad)");
    EXPECT_EQ(instruction.bytes.size(), 1U);
  }
  EXPECT_FALSE(answer.failure.empty());
}

TEST_F(DisTest, NothingReadableIsAnAnswerWithAFailure) {
  const DisassembleAnswer answer = Ask(kImageBase + kBytes, 4);
  EXPECT_TRUE(answer.instructions.empty());
  EXPECT_FALSE(answer.failure.empty());
  EXPECT_EQ(ToText(answer, {}), "");
}

TEST_F(DisTest, PhysicalAddressesHaveNoNames) {
  auto answer = Try(kPhys + 0x25, {.count = 2}, Target::Space::kPhysical);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(ToText(answer.value(), {.style = {}, .bytes = true}),
            "  0000000000100025  74 05                    je     0x10002c\n"
            "  0000000000100027  e8 24 00 00 00           callq  0x100050\n");
}

TEST_F(DisTest, BytesAndIntelSyntax) {
  auto answer = Try(kImageBase + 0x1e, {.syntax = AssemblySyntax::kIntel, .count = 2});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(ToText(answer.value(), {.style = {}, .bytes = true}),
            "ffffffff8100001e <traced+0xe>:\n"
            "   +0xe  48 8d 3d db 14 00 00     lea    rdi, [rip + 0x14db]          # banner\n"
            "  +0x15  74 05                    je     traced+0x1c\n");
}

TEST_F(DisTest, LinesFitTheTerminalAndAreColoured) {
  const DisassembleAnswer answer = Ask(kImageBase + 0x19, 1);
  const auto line = [&](unsigned columns, bool colour) {
    const std::string text = ToText(answer, {.style = {.columns = columns, .colour = colour}});
    return text.substr(text.find('\n') + 1);
  };
  EXPECT_EQ(line(120, true),
            "  +0x9  nopl   (%rax, %rax)               \x1b[36m"
            "  # static key a_key off, else jump to traced+0x28\x1b[0m\n");
  EXPECT_EQ(line(80, false),
            "  +0x9  nopl   (%rax, %rax)  # static key a_key off, else jump to traced+0x28\n");
  EXPECT_EQ(line(40, true), "  +0x9  nopl   (%rax, %rax)\x1b[36m  # static k…\x1b[0m\n");
  EXPECT_EQ(line(12, true), "  +0x9  nop…\n");
  EXPECT_TRUE(ToText(answer, {.style = {.columns = 80, .colour = true}})
                  .starts_with("\x1b[1mffffffff81000019 <traced+0x9>:\x1b[0m\n"));
}

TEST_F(DisTest, Json) {
  const auto json = nlohmann::json::parse(ToJson(Ask(kImageBase + 0x19, 3)));
  EXPECT_EQ(json["address"], "0xffffffff81000019");
  EXPECT_EQ(json["space"], "kernel");
  EXPECT_EQ(json["machine"], "x86_64");
  EXPECT_EQ(json["incomplete"], false);
  const auto& nop = json["instructions"][0];
  EXPECT_EQ(nop["bytes"], "0f1f440000");
  EXPECT_EQ(nop["symbol"], "traced");
  EXPECT_EQ(nop["offset"], 9);
  EXPECT_EQ(nop["module"], nullptr);
  EXPECT_EQ(nop["target"], nullptr);
  EXPECT_EQ(nop["site"]["kind"], "static-key");
  EXPECT_EQ(nop["site"]["patched_in"], false);
  EXPECT_EQ(nop["site"]["key"], "0xffffffff81001400");
  EXPECT_EQ(nop["site"]["key_symbol"], "a_key");
  EXPECT_EQ(nop["site"]["enabled"], false);
  EXPECT_EQ(nop["site"]["jump_target"], "0xffffffff81000038");
  EXPECT_EQ(json["instructions"][1]["references"][0]["address"], "0xffffffff81001500");
  EXPECT_EQ(json["instructions"][1]["references"][0]["symbol"], "banner");
  EXPECT_EQ(json["instructions"][2]["target"], "0xffffffff8100002c");
  EXPECT_EQ(json["instructions"][2]["target_symbol"], "traced+0x1c");
}

TEST_F(DisTest, WithoutTypesTheSitesAreNotToldAndANoteSaysSo) {
  with_types_ = false;
  const DisassembleAnswer answer = AskFunction(kImageBase + 0x10);
  EXPECT_EQ(answer.instructions.size(), 13U);
  EXPECT_FALSE(answer.instructions[1].site || answer.instructions[2].site);
  ASSERT_EQ(answer.findings.notes.size(), 2U);
  EXPECT_NE(answer.findings.notes[0].find("static keys are not told"), std::string::npos);
  EXPECT_NE(answer.findings.notes[1].find("ftrace sites are not told"), std::string::npos);
  EXPECT_FALSE(answer.findings.incomplete);
}

TEST_F(DisTest, ForgedTablesCostOnlyTheirSites) {
  PutFtracePage(kFtracePage, kFtraceRecords, 2);  // a circle
  const size_t at = kallsyms_.find("ffffffff81001020 D __stop");
  kallsyms_.replace(at, 16, "ffffffff80001020");
  const DisassembleAnswer answer = AskFunction(kImageBase + 0x10);
  EXPECT_EQ(answer.instructions.size(), 13U);
  ASSERT_EQ(answer.findings.notes.size(), 2U);
  EXPECT_NE(answer.findings.notes[0].find("a jump table of"), std::string::npos);
  EXPECT_NE(answer.findings.notes[1].find("does not end"), std::string::npos);
}

TEST_F(DisTest, UnreadableRecordsCostOnlyTheirSites) {
  PutFtracePage(0, kImageBase + 0x100000, 0x7fffffff);
  const DisassembleAnswer answer = AskFunction(kImageBase + 0x10);
  EXPECT_FALSE(answer.instructions[1].site);
  EXPECT_TRUE(answer.instructions[2].site);
  EXPECT_EQ(answer.findings.notes.size(), 1U);
}

TEST_F(DisTest, WithoutSymbolsAddressesStandAlone) {
  kallsyms_.clear();
  with_types_ = false;
  const DisassembleAnswer answer = Ask(kImageBase + 0x25, 2);
  EXPECT_EQ(ToText(answer, {}).substr(0, 30), "  ffffffff81000025  je     0xf");
}

TEST_F(DisTest, ASymbolThatEndsInZerosAndForeignBytes) {
  Put(kImageBase + 0x1540, "deadbeef");
  Put(kImageBase + 0x1500, "c3");
  const DisassembleAnswer answer = AskFunction(kImageBase + 0x1500);
  EXPECT_EQ(answer.instructions.size(), 1U);
  EXPECT_EQ(answer.padding_bytes, 0xffU);
}

TEST_F(DisTest, WrongArguments) {
  const auto message = [&](uint64_t address, const DisassembleOptions& options,
                           Target::Space space = Target::Space::kKernel) {
    const auto answer = Try(address, options, space);
    EXPECT_FALSE(answer.ok());
    if (answer.ok()) return std::string();
    EXPECT_EQ(answer.error().code, ErrorCode::kInvalidArgument);
    return answer.error().message;
  };
  EXPECT_NE(message(kImageBase, {.count = 0}).find("from 1 to"), std::string::npos);
  EXPECT_NE(message(kImageBase, {.count = kMaxInstructions + 1}).find("100000"), std::string::npos);
  EXPECT_NE(message(0xffffc90000000000, {.function = true}).find("in no symbol"),
            std::string::npos);
  EXPECT_NE(message(kImageBase + 0x1600, {.function = true}).find("end is not known"),
            std::string::npos);
  EXPECT_NE(message(kPhys, {.function = true}, Target::Space::kPhysical).find("only the kernel's"),
            std::string::npos);
}

TEST_F(DisTest, TheTopOfTheAddressSpaceIsAnEnd) {
  const DisassembleAnswer answer = Ask(0xfffffffffffffffe, 4);
  EXPECT_TRUE(answer.instructions.empty());
  EXPECT_FALSE(answer.failure.empty());
}

TEST_F(DisTest, Aarch64ByTheHeadersAddresses) {
  machine_ = EM_AARCH64;
  PutValue<uint32_t>(kImageBase + 0x10, 0xd503233f);  // paciasp
  PutValue<uint32_t>(kImageBase + 0x14, 0xd503201f);  // the tracer's nop
  PutValue<uint32_t>(kImageBase + 0x18, 0xb0000000);  // adrp x0, a page on
  PutValue<uint32_t>(kImageBase + 0x1c, 0x91140000);  // add x0, x0, #0x500
  PutValue<uint32_t>(kImageBase + 0x20, 0x9400000c);  // bl callee
  PutValue<uint32_t>(kImageBase + 0x24, 0xffffffff);
  const DisassembleAnswer answer = Ask(kImageBase + 0x10, 6);
  EXPECT_EQ(answer.machine, "aarch64");
  EXPECT_EQ(ToText(answer, {.style = {}, .bytes = true}),
            "ffffffff81000010 <traced>:\n"
            "   +0x0  d503233f  paciasp\n"
            "   +0x4  d503201f  nop                                 # ftrace: off\n"
            "   +0x8  b0000000  adrp   x0, #0xffffffff81001000\n"
            "   +0xc  91140000  add    x0, x0, #0x500               # banner\n"
            "  +0x10  9400000c  bl     callee\n"
            "  +0x14  ffffffff  (bad)\n");
  const auto misaligned = Try(kImageBase + 2, {.count = 1});
  ASSERT_FALSE(misaligned.ok());
  EXPECT_EQ(misaligned.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(DisTest, AnotherMachineIsUnsupported) {
  machine_ = EM_RISCV;
  const auto answer = Try(kImageBase, {});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace kcoredump
