// SPDX-License-Identifier: MIT
#include "elf/elf_core.h"

#include <gtest/gtest.h>

#include "support/elf_builder.h"
#include "support/fake_source.h"

namespace kcoredump {
namespace {

using test::Bytes;
using test::ElfBuilder;
using test::kDirectMap;
using test::LoadHeader;
using test::ParseElf;
using test::Poke;

ErrorCode CodeOf(const Bytes& bytes) {
  const auto core = ParseElf(bytes);
  EXPECT_FALSE(core.ok());
  return core.ok() ? ErrorCode::kCancelled : core.error().code;
}

TEST(ReadElfCore, GivesEveryFieldOfEveryHeader) {
  ElfBuilder builder;
  Elf64_Phdr raw{PT_LOAD, PF_R | PF_X, 0x11000, 0x22000, 0x33000, 0x44000, 0x55000, 0x66000};
  builder.AddRaw(raw);
  builder.header.e_machine = EM_AARCH64;
  const auto core = ParseElf(builder.Build());
  ASSERT_TRUE(core.ok());
  EXPECT_EQ(core.value().machine, EM_AARCH64);
  EXPECT_EQ(core.value().head_bytes, 64U + 56U);
  ASSERT_EQ(core.value().headers.size(), 1U);
  const ProgramHeader& header = core.value().headers[0];
  EXPECT_EQ(header.type, uint32_t{PT_LOAD});
  EXPECT_EQ(header.flags, uint32_t{PF_R | PF_X});
  EXPECT_EQ(header.offset, 0x11000U);
  EXPECT_EQ(header.vaddr, 0x22000U);
  EXPECT_EQ(header.paddr, 0x33000U);
  EXPECT_EQ(header.filesz, 0x44000U);
  EXPECT_EQ(header.memsz, 0x55000U);
  EXPECT_EQ(header.align, 0x66000U);
  EXPECT_EQ(core.value().Find(PT_LOAD), &header);
  EXPECT_EQ(core.value().Find(PT_NOTE), nullptr);
}

/// QEMU's dump-guest-memory writes e_ehsize 8 and puts the program headers behind a section header.
TEST(ReadElfCore, TakesQemusForm) {
  ElfBuilder builder = test::SmallCore();
  builder.header.e_ehsize = 8;
  builder.header.e_phoff = 192;
  const auto core = ParseElf(builder.Build());
  ASSERT_TRUE(core.ok()) << core.error().message;
  EXPECT_EQ(core.value().headers.size(), 4U);
  EXPECT_EQ(core.value().head_bytes, 192U + 4 * 56U);
}

TEST(ReadElfCore, TakesTheCountFromTheSectionHeader) {
  ElfBuilder builder = test::SmallCore();
  builder.extended_count = true;
  const auto core = ParseElf(builder.Build());
  ASSERT_TRUE(core.ok()) << core.error().message;
  EXPECT_EQ(core.value().headers.size(), 4U);
}

TEST(ReadElfCore, Takes65535AndMoreHeaders) {
  for (const size_t count : {0xfffeU, 0xffffU, 0x10000U}) {
    ElfBuilder builder;
    for (uint64_t i = 0; i < count; ++i) {
      builder.AddRaw(LoadHeader(kDirectMap + i * 0x2000, i * 0x2000, 0x1000));
    }
    const auto core = ParseElf(builder.Build());
    ASSERT_TRUE(core.ok()) << core.error().message;
    ASSERT_EQ(core.value().headers.size(), count);
    EXPECT_EQ(core.value().headers.back().paddr, (count - 1) * 0x2000);
  }
}

TEST(ReadElfCore, ExtendedCountWithoutASectionHeaderIsCorrupt) {
  ElfBuilder builder = test::SmallCore();
  builder.count_as_written = true;
  builder.header.e_phnum = PN_XNUM;
  EXPECT_EQ(CodeOf(builder.Build()), ErrorCode::kCorrupt);
  builder.header.e_shoff = uint64_t{1} << 40;
  EXPECT_EQ(CodeOf(builder.Build()), ErrorCode::kCorrupt);
  builder.header.e_shoff = ~uint64_t{0} - 3;
  EXPECT_EQ(CodeOf(builder.Build()), ErrorCode::kCorrupt);
}

TEST(ReadElfCore, AForgedCountIsALimitAndCostsNothing) {
  ElfBuilder builder = test::SmallCore();
  builder.extended_count = true;
  Bytes bytes = builder.Build();
  const size_t section = 64 + 4 * 56;
  for (const uint32_t count : {0xffffffffU, uint32_t{kMaxProgramHeaders} + 1}) {
    Poke(bytes, section + offsetof(Elf64_Shdr, sh_info), count);
    EXPECT_EQ(CodeOf(bytes), ErrorCode::kLimitExceeded);
  }
}

TEST(ReadElfCore, NoHeadersAtAllIsCorrupt) {
  EXPECT_EQ(CodeOf(ElfBuilder().Build()), ErrorCode::kCorrupt);
}

TEST(ReadElfCore, ATableBeyondTheFileIsCorrupt) {
  ElfBuilder builder;
  builder.count_as_written = true;
  builder.header.e_phnum = 2;
  builder.AddRaw(LoadHeader(kDirectMap, 0, 0x1000));
  EXPECT_EQ(CodeOf(builder.Build()), ErrorCode::kCorrupt);
}

TEST(ReadElfCore, ATableThatOverflowsIsCorrupt) {
  Bytes bytes = test::SmallCore().Build();
  for (const uint64_t offset : {~uint64_t{0}, ~uint64_t{0} - 100, uint64_t{1} << 63}) {
    Poke(bytes, offsetof(Elf64_Ehdr, e_phoff), offset);
    const auto core = ParseElf(bytes);
    ASSERT_FALSE(core.ok());
  }
}

TEST(ReadElfCore, OtherKindsOfElfAreUnsupported) {
  const Bytes good = test::SmallCore().Build();
  const auto with = [&](size_t offset, auto value) {
    Bytes bytes = good;
    Poke(bytes, offset, value);
    return CodeOf(bytes);
  };
  EXPECT_EQ(with(EI_CLASS, uint8_t{ELFCLASS32}), ErrorCode::kUnsupported);
  EXPECT_EQ(with(EI_DATA, uint8_t{ELFDATA2MSB}), ErrorCode::kUnsupported);
  EXPECT_EQ(with(0, uint8_t{'X'}), ErrorCode::kUnsupported);
  EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_type), uint16_t{ET_EXEC}), ErrorCode::kUnsupported);
  EXPECT_EQ(with(EI_VERSION, uint8_t{7}), ErrorCode::kCorrupt);
  EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_version), uint32_t{7}), ErrorCode::kCorrupt);
  EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phentsize), uint16_t{32}), ErrorCode::kCorrupt);
}

TEST(ReadElfCore, AFailingReadIsPassedOn) {
  const auto core = ReadElfCore([](uint64_t, std::span<std::byte>) -> Result<size_t> {
    return Error{.code = ErrorCode::kIo, .message = "disk on fire"};
  });
  ASSERT_FALSE(core.ok());
  EXPECT_EQ(core.error().code, ErrorCode::kIo);
}

TEST(BuildElfHead, ReadsBackAsWritten) {
  for (const size_t count :
       {size_t{1}, size_t{3}, size_t{0xfffe}, size_t{0xffff}, size_t{0x10001}}) {
    std::vector<ProgramHeader> headers;
    for (uint64_t i = 0; i < count; ++i) {
      headers.push_back({.type = PT_LOAD,
                         .flags = 7,
                         .offset = i,
                         .vaddr = i * 3,
                         .paddr = i * 5,
                         .filesz = i * 7,
                         .memsz = i * 9,
                         .align = 0});
    }
    const Bytes head = BuildElfHead(EM_X86_64, headers);
    EXPECT_EQ(head.size(), ElfHeadBytes(count));
    const auto core = ParseElf(head);
    ASSERT_TRUE(core.ok()) << core.error().message;
    ASSERT_EQ(core.value().headers.size(), count);
    EXPECT_EQ(core.value().headers.back().memsz, (count - 1) * 9);
    EXPECT_EQ(core.value().machine, EM_X86_64);
  }
}

TEST(ReadFromBytes, StopsAtTheEnd) {
  const Bytes bytes = test::ToBytes("abcdef");
  Bytes out(4);
  EXPECT_EQ(ReadFromBytes(bytes, 3, out), 3U);
  EXPECT_EQ(ReadFromBytes(bytes, 6, out), 0U);
  EXPECT_EQ(ReadFromBytes(bytes, ~uint64_t{0}, out), 0U);
}

TEST(MachineName, NamesTheTwoAndNumbersTheRest) {
  EXPECT_EQ(MachineName(EM_X86_64), "x86_64");
  EXPECT_EQ(MachineName(EM_AARCH64), "aarch64");
  EXPECT_EQ(MachineName(8), "machine 8");
}

}  // namespace
}  // namespace kcoredump
