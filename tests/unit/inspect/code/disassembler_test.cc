// SPDX-License-Identifier: MIT
#include "inspect/code/disassembler.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <thread>

#include "inspect/code/x86_supplement.h"
#include "kcoredump/text.h"
#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using test::Bytes;

constexpr uint64_t kAt = 0xffffffff81000000;

Bytes FromHex(std::string_view digits) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < digits.size();) {
    if (digits[i] == ' ') {
      ++i;
      continue;
    }
    bytes.push_back(
        static_cast<std::byte>(std::stoul(std::string(digits.substr(i, 2)), nullptr, 16)));
    i += 2;
  }
  return bytes;
}

std::unique_ptr<Disassembler> Make(uint16_t machine, AssemblySyntax syntax = AssemblySyntax::kAtt) {
  auto made = Disassembler::Create(machine, syntax);
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return std::move(made.value());
}

/// "LENGTH mnemonic operands", then "-> target" and "# reference"; "none" when nothing decodes.
std::string Spelled(const std::optional<DecodedInstruction>& decoded) {
  if (!decoded) return "none";
  std::string text = std::to_string(decoded->bytes) + " " + decoded->mnemonic;
  if (!decoded->operands.empty()) text += " " + decoded->operands;
  if (decoded->target) text += " -> " + Hex(*decoded->target);
  for (const CodeReference& reference : decoded->references) {
    text += (reference.per_cpu ? " # percpu " : " # ") + Hex(reference.address);
  }
  return text;
}

std::string X86(std::string_view digits, AssemblySyntax syntax = AssemblySyntax::kAtt) {
  return Spelled(Make(EM_X86_64, syntax)->Decode(kAt, FromHex(digits)));
}

TEST(X86, CallsAndJumpsHaveTheirTarget) {
  EXPECT_EQ(X86("e8 fb 0f 00 00"), "5 callq 0xffffffff81001000 -> 0xffffffff81001000");
  EXPECT_EQ(X86("e9 fb ff ff ff"), "5 jmp 0xffffffff81000000 -> 0xffffffff81000000");
  EXPECT_EQ(X86("74 10"), "2 je 0xffffffff81000012 -> 0xffffffff81000012");
  EXPECT_EQ(X86("0f 85 fa 00 00 00"), "6 jne 0xffffffff81000100 -> 0xffffffff81000100");
  EXPECT_EQ(X86("e3 fe"), "2 jrcxz 0xffffffff81000000 -> 0xffffffff81000000");
  EXPECT_EQ(X86("2e e8 00 00 00 00"), "6 callq 0xffffffff81000006 -> 0xffffffff81000006");
}

TEST(X86, IndirectOnesHaveNone) {
  EXPECT_EQ(X86("ff d0"), "2 callq *%rax");
  EXPECT_EQ(X86("41 ff e3"), "3 jmpq *%r11");
  EXPECT_EQ(X86("c3"), "1 retq");
}

TEST(X86, MemoryBesideTheInstructionPointer) {
  EXPECT_EQ(X86("48 8d 3d f9 0f 00 00"), "7 leaq 0xff9(%rip), %rdi # 0xffffffff81001000");
  EXPECT_EQ(X86("48 8b 05 f9 ff ff ff"), "7 movq -7(%rip), %rax # 0xffffffff81000000");
  EXPECT_EQ(X86("ff 15 fa 0f 00 00"), "6 callq *0xffa(%rip) # 0xffffffff81001000");
  // The immediate comes behind the displacement.
  EXPECT_EQ(X86("c7 05 f6 0f 00 00 01 00 00 00"), "10 movl $1, 0xff6(%rip) # 0xffffffff81001000");
}

TEST(X86, ConstantsThatMayBeAddressesOfTheKernel) {
  EXPECT_EQ(X86("48 c7 c7 00 00 00 82"), "7 movq $0xffffffff82000000, %rdi # 0xffffffff82000000");
  EXPECT_EQ(X86("48 b8 00 00 00 00 80 88 ff ff"),
            "10 movabsq $0xffff888000000000, %rax # 0xffff888000000000");
  EXPECT_EQ(X86("ff 24 c5 00 00 00 82"), "7 jmpq *-0x7e000000(, %rax, 8) # 0xffffffff82000000");
  EXPECT_EQ(X86("48 89 04 25 30 00 00 82"), "8 movq %rax, 0xffffffff82000030 # 0xffffffff82000030");
}

TEST(X86, OtherConstantsAreNone) {
  EXPECT_EQ(X86("48 c7 c0 ea ff ff ff"), "7 movq $-0x16, %rax");  // −EINVAL
  EXPECT_EQ(X86("bf 00 00 00 82"), "5 movl $0x82000000, %edi");
  EXPECT_EQ(X86("48 8b 47 10"), "4 movq 0x10(%rdi), %rax");
  EXPECT_EQ(X86("48 8b 87 00 00 00 82"), "7 movq -0x7e000000(%rdi), %rax");
}

TEST(X86, PerCpuVariables) {
  EXPECT_EQ(X86("65 48 8b 04 25 c0 fb 01 00"), "9 movq %gs:0x1fbc0, %rax # percpu 0x1fbc0");
  // The displacement leads down to the small offsets that kernels before 6.15 have.
  EXPECT_EQ(X86("65 48 8b 05 f8 00 02 7f"), "8 movq %gs:0x7f0200f8(%rip), %rax # percpu 0x20100");
  EXPECT_EQ(X86("65 8b 07"), "3 movl %gs:(%rdi), %eax");
}

TEST(X86, NopsOfEveryLengthAreNops) {
  for (const char* nop : {"90", "66 90", "0f 1f 00", "0f 1f 40 00", "0f 1f 44 00 00",
                          "66 0f 1f 44 00 00", "0f 1f 80 00 00 00 00", "0f 1f 84 00 00 00 00 00",
                          "66 0f 1f 84 00 00 00 00 00", "66 66 2e 0f 1f 84 00 00 00 00 00"}) {
    const Bytes bytes = FromHex(nop);
    const auto decoded = Make(EM_X86_64)->Decode(kAt, bytes);
    ASSERT_TRUE(decoded) << nop;
    EXPECT_EQ(decoded->bytes, bytes.size()) << nop;
    EXPECT_TRUE(decoded->is_nop && decoded->is_padding) << nop;
    EXPECT_FALSE(decoded->is_sealed_landing_pad) << nop;
    EXPECT_TRUE(decoded->references.empty()) << nop;
  }
}

TEST(X86, LandingPads) {
  EXPECT_EQ(X86("f3 0f 1e fa"), "4 endbr64");
  for (const char* sealed : {"0f 1f 40 d6", "66 0f 1f 00"}) {
    const auto decoded = Make(EM_X86_64)->Decode(kAt, FromHex(sealed));
    ASSERT_TRUE(decoded) << sealed;
    EXPECT_TRUE(decoded->is_nop && decoded->is_sealed_landing_pad) << sealed;
  }
}

TEST(X86, PaddingIsNoNop) {
  const auto decoded = Make(EM_X86_64)->Decode(kAt, FromHex("cc"));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->mnemonic, "int3");
  EXPECT_TRUE(decoded->is_padding && !decoded->is_nop);
}

TEST(X86, IntelSyntax) {
  const auto intel = [](const char* digits) { return X86(digits, AssemblySyntax::kIntel); };
  EXPECT_EQ(intel("48 89 e5"), "3 mov rbp, rsp");
  EXPECT_EQ(intel("e8 fb 0f 00 00"), "5 call 0xffffffff81001000 -> 0xffffffff81001000");
  EXPECT_EQ(intel("48 c7 c7 00 00 00 82"), "7 mov rdi, 0xffffffff82000000 # 0xffffffff82000000");
  EXPECT_EQ(intel("48 8b 05 f9 0f 00 00"),
            "7 mov rax, qword ptr [rip + 0xff9] # 0xffffffff81001000");
}

// What follows is from the manuals, and from what binutils makes of the same bytes.
TEST(X86Supplement, WhatCapstoneDoesNotKnow) {
  EXPECT_EQ(X86("0f 01 ee"), "3 rdpkru");
  EXPECT_EQ(X86("0f 01 e8"), "3 serialize");
  EXPECT_EQ(X86("f3 0f 01 fe"), "4 rmpadjust");
  EXPECT_EQ(X86("66 0f 01 cc"), "4 tdcall");
  EXPECT_EQ(X86("d6"), "1 udb");
  EXPECT_EQ(X86("66 0f ae f1"), "4 tpause %ecx");
  EXPECT_EQ(X86("f3 48 0f 1e c8"), "5 rdssp %rax");
  EXPECT_EQ(X86("66 48 0f 38 f5 56 f8"), "7 wruss %rdx, -8(%rsi)");
  EXPECT_EQ(X86("66 0f 38 f8 07"), "5 movdir64b (%rdi), %rax");
  EXPECT_EQ(X86("f3 0f 38 f8 07"), "5 enqcmds (%rdi), %rax");
}

TEST(X86Supplement, WhatCapstoneTakesForAnother) {
  EXPECT_EQ(X86("f3 0f 01 ca"), "4 eretu");       // clac
  EXPECT_EQ(X86("f2 0f 01 ca"), "4 erets");       // clac
  EXPECT_EQ(X86("f3 0f c7 f8"), "4 rdpid %rax");  // rdseed
  EXPECT_EQ(X86("f3 0f 09"), "3 wbnoinvd");
  EXPECT_EQ(X86("0f 01 ca"), "3 clac");
  EXPECT_EQ(X86("0f 09"), "2 wbinvd");
}

TEST(X86Supplement, TheWholeOfAnInstructionWithOperands) {
  EXPECT_EQ(X86("67 0f b9 40 12"), "5 ud1 0x12(%eax), %eax");
  EXPECT_EQ(X86("0f b9 c1"), "3 ud1 %ecx, %eax");
  EXPECT_EQ(X86("0f b9 05 f9 0f 00 00"), "7 ud1 0xff9(%rip), %eax # 0xffffffff81001000");
  // The twin is shorter by a prefix; what it is relative to is not.
  EXPECT_EQ(X86("66 48 0f 38 f5 05 f7 0f 00 00"),
            "10 wruss %rax, 0xff7(%rip) # 0xffffffff81001001");
}

TEST(X86Supplement, CutOffIsNothing) {
  for (const char* digits : {"0f b9", "0f b9 80 00 00 00", "0f 01", "66 0f 38 f8", "0f b9 04"}) {
    EXPECT_FALSE(FindX86Supplement(FromHex(digits))) << digits;
  }
}

TEST(X86Supplement, VectorInstructionsByTheirForm) {
  EXPECT_EQ(X86("62 f3 d5 48 25 c4 96"), "7 (evex)");        // vpternlogq
  EXPECT_EQ(X86("62 f2 75 48 00 ce"), "6 (evex)");           // vpshufb of 512 bits
  EXPECT_EQ(X86("62 f1 65 08 72 c3 10"), "7 (evex)");        // vprord
  EXPECT_EQ(X86("c4 e3 7d 44 ef 11"), "6 (vex)");            // vpclmulhqhqdq of 256 bits
  EXPECT_EQ(X86("c4 e2 7d 5a 71 b0"), "6 (vex)");            // vbroadcasti128
  EXPECT_EQ(X86("c5 f8 28 07"), "4 vmovaps (%rdi), %xmm0");  // Capstone's own
  for (const char* digits :
       {"62", "62 f3 d5 48 25 c4", "c4 e3 7d 44 ef", "c5", "62 f0 d5 48 25 c4"}) {
    EXPECT_FALSE(X86VectorLength(FromHex(digits))) << digits;
  }
}

TEST(X86, BadBytes) {
  for (const char* digits : {"06", "0f 04", "ff ff", "f0", "48", "e8 00 00"}) {
    EXPECT_EQ(X86(digits), "none") << digits;
  }
  EXPECT_EQ(X86(""), "none");
}

TEST(X86, AnyBytesGiveALengthWithinThem) {
  const auto disassembler = Make(EM_X86_64);
  const Bytes bytes = test::RandomBytes(200000, 7);
  for (size_t at = 0; at < bytes.size(); ++at) {
    const auto window = std::span(bytes).subspan(at, std::min<size_t>(bytes.size() - at, at % 20));
    const auto decoded = disassembler->Decode(kAt + at, window);
    if (!decoded) continue;
    ASSERT_GT(decoded->bytes, 0U);
    ASSERT_LE(decoded->bytes, window.size());
    ASSERT_LE(decoded->bytes, kMaxInstructionBytes);
    ASSERT_LE(decoded->target_at, decoded->operands.size());
  }
}

TEST(X86, EachThreadHasItsOwn) {
  const auto run = [] {
    const auto disassembler = Make(EM_X86_64);
    for (int i = 0; i < 2000; ++i) {
      const auto decoded = disassembler->Decode(kAt, FromHex("e8 fb 0f 00 00"));
      ASSERT_EQ(decoded->target, kAt + 0x1000);
    }
  };
  std::thread other(run);
  run();
  other.join();
}

class Aarch64 : public testing::Test {
 protected:
  static constexpr uint64_t kCode = 0xffff800008010000;

  std::string Word(uint32_t word) {
    const auto decoded = disassembler_->Decode(next_, std::as_bytes(std::span(&word, 1)));
    next_ += 4;
    return Spelled(decoded);
  }

  std::unique_ptr<Disassembler> disassembler_ = Make(EM_AARCH64);
  uint64_t next_ = kCode;
};

TEST_F(Aarch64, CallsAndJumpsHaveTheirTarget) {
  EXPECT_EQ(Word(0x94000010), "4 bl #0xffff800008010040 -> 0xffff800008010040");
  EXPECT_EQ(Word(0x17ffffff), "4 b #0xffff800008010000 -> 0xffff800008010000");
  EXPECT_EQ(Word(0x54000040), "4 b.eq #0xffff800008010010 -> 0xffff800008010010");
  EXPECT_EQ(Word(0xb4000040), "4 cbz x0, #0xffff800008010014 -> 0xffff800008010014");
  EXPECT_EQ(Word(0x36180040), "4 tbz w0, #3, #0xffff800008010018 -> 0xffff800008010018");
  EXPECT_EQ(Word(0xd63f0100), "4 blr x8");
}

TEST_F(Aarch64, AddressesBuiltInTwoInstructions) {
  EXPECT_EQ(Word(0xb0000000), "4 adrp x0, #0xffff800008011000");
  EXPECT_EQ(Word(0x52800021), "4 movz w1, #0x1");
  EXPECT_EQ(Word(0x91048c00), "4 add x0, x0, #0x123 # 0xffff800008011123");
  EXPECT_EQ(Word(0xf9408c01), "4 ldr x1, [x0, #0x118]") << "x0 is no page any more";
  EXPECT_EQ(Word(0xb0000003), "4 adrp x3, #0xffff800008011000");
  EXPECT_EQ(Word(0xf9408c62), "4 ldr x2, [x3, #0x118] # 0xffff800008011118");
  EXPECT_EQ(Word(0xb9000062), "4 str w2, [x3] # 0xffff800008011000");
}

TEST_F(Aarch64, APageIsForgottenWhenItsRegisterIsWrittenOrCodeJumps) {
  EXPECT_EQ(Word(0xb0000000), "4 adrp x0, #0xffff800008011000");
  EXPECT_EQ(Word(0x52800020), "4 movz w0, #0x1");
  EXPECT_EQ(Word(0xf9408c01), "4 ldr x1, [x0, #0x118]");
  EXPECT_EQ(Word(0xb0000000), "4 adrp x0, #0xffff800008011000");
  EXPECT_EQ(Word(0x94000010), "4 bl #0xffff800008010050 -> 0xffff800008010050");
  EXPECT_EQ(Word(0xf9408c01), "4 ldr x1, [x0, #0x118]");
  EXPECT_EQ(Word(0xb0000000), "4 adrp x0, #0xffff800008011000");
  next_ += 4;
  EXPECT_EQ(Word(0xf9408c01), "4 ldr x1, [x0, #0x118]") << "other code";
}

TEST_F(Aarch64, Literals) {
  EXPECT_EQ(Word(0x58000040), "4 ldr x0, #0xffff800008010008 # 0xffff800008010008");
  EXPECT_EQ(Word(0x10000040), "4 adr x0, #0xffff80000801000c # 0xffff80000801000c");
}

// What follows is what binutils makes of the same words.
TEST_F(Aarch64, HintsByName) {
  EXPECT_EQ(Word(0xd503245f), "4 bti c");
  EXPECT_EQ(Word(0xd503233f), "4 paciasp");
  EXPECT_EQ(Word(0xd50323bf), "4 autiasp");
  EXPECT_EQ(Word(0xd503229f), "4 csdb");
  EXPECT_EQ(Word(0xd503201f), "4 nop");
  EXPECT_EQ(Word(0xd50330ff), "4 sb");
  EXPECT_EQ(Word(0x00000123), "4 udf #0x123");
}

TEST_F(Aarch64, AtomicsOfArmv81) {
  EXPECT_EQ(Word(0xb8210002), "4 ldadd w1, w2, [x0]");
  EXPECT_EQ(Word(0xf8e10002), "4 ldaddal x1, x2, [x0]");
  EXPECT_EQ(Word(0xb821001f), "4 stadd w1, [x0]");
  EXPECT_EQ(Word(0x38a183e2), "4 swpab w1, w2, [sp]");
  EXPECT_EQ(Word(0xf821301f), "4 stset x1, [x0]");
  EXPECT_EQ(Word(0x78611041), "4 ldclrlh w1, w1, [x2]");
  EXPECT_EQ(Word(0xc8e0fc41), "4 casal x0, x1, [x2]");
  EXPECT_EQ(Word(0x08a07c41), "4 casb w0, w1, [x2]");
  EXPECT_EQ(Word(0x48207c82), "4 casp x0, x1, x2, x3, [x4]");
}

TEST_F(Aarch64, BadWords) {
  EXPECT_EQ(Word(0xffffffff), "none");
  EXPECT_EQ(Word(0x48217c82), "none") << "an odd register has no pair";
  EXPECT_EQ(Spelled(disassembler_->Decode(kCode, FromHex("1f 20 03"))), "none");
  EXPECT_EQ(disassembler_->step_bytes(), 4U);
}

TEST_F(Aarch64, AnyWordIsAnInstructionOrNone) {
  test::Random random(11);
  for (int i = 0; i < 200000; ++i) {
    const auto word = static_cast<uint32_t>(random.Next());
    const auto decoded = disassembler_->Decode(kCode, std::as_bytes(std::span(&word, 1)));
    if (!decoded) continue;
    ASSERT_EQ(decoded->bytes, 4U);
    ASSERT_LE(decoded->target_at, decoded->operands.size());
  }
}

TEST(Disassembler, OtherMachinesAreRefused) {
  const auto made = Disassembler::Create(EM_RISCV, AssemblySyntax::kAtt);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(made.error().message.find("243"), std::string::npos) << made.error().message;
}

}  // namespace
}  // namespace kcoredump
