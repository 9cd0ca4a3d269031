// SPDX-License-Identifier: MIT
#include "kcoredump/print.h"

#include <gtest/gtest.h>

#include <optional>

#include "format/snapshot/format.h"
#include "support/btf_builder.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::kPage;

constexpr uint64_t kThing = test::kImageBase + 0x40;
constexpr uint64_t kSecond = test::kDirectMap + test::kHighRam + 0x200;
constexpr uint64_t kLastPage = test::kHighRam + test::kHighRamBytes - kPage;

constexpr char kPrintKallsyms[] =
    "0000000000001000 A per_cpu_thing\n"
    "ffffffff81000000 T _stext\n"
    "ffffffff81000040 D thing\n"
    "ffffffff81000080 d thing.3\n"
    "ffffffff810000c0 d twice\n"
    "ffffffff81000100 d twice\n"
    "ffffffff81002000 B _end\n";

/// struct thing { u64 number; struct thing *next; char name[8]; }
test::Bytes ThingTypes() {
  test::BtfBuilder btf;
  const uint32_t u64 = btf.AddInt("long unsigned int", 8);
  const uint32_t name = btf.AddArray(btf.AddInt("char", 1, 1), 8);
  const uint32_t pointer = btf.AddPointer(btf.next() + 1);
  const uint32_t thing =
      btf.AddStruct("thing", 24, {{"number", u64, 0}, {"next", pointer, 64}, {"name", name, 128}});
  const uint32_t per_cpu = btf.AddVariable("per_cpu_thing", thing);
  const uint32_t plain = btf.AddVariable("thing", thing);
  btf.AddSection(".data", {plain});
  btf.AddSection(".data..percpu", {per_cpu});
  return btf.Build();
}

test::Bytes ThingBytes(uint64_t number, uint64_t next, std::string_view name) {
  test::Bytes bytes(24);
  test::Poke(bytes, 0, number);
  test::Poke(bytes, 8, next);
  for (size_t i = 0; i < name.size(); ++i) bytes[16 + i] = static_cast<std::byte>(name[i]);
  return bytes;
}

/// A snapshot of two pages of memory with a thing each, and of types and symbols; the capture ended
/// before its last page.
class PrintTest : public testing::Test {
 protected:
  void Open(const test::Bytes& types) {
    test::ElfBuilder core;
    core.AddNote("VMCOREINFO", 0,
                 "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(_stext)=ffffffff81000000\n");
    test::Bytes notes;
    const auto add = [&](NoteType type, std::string_view text) {
      const auto note = test::NoteBytes(kNoteOwner, static_cast<uint32_t>(type), text);
      notes.insert(notes.end(), note.begin(), note.end());
    };
    add(NoteType::kMeta, "{}");
    add(NoteType::kKallsyms, kPrintKallsyms);
    if (!types.empty()) add(NoteType::kBtf, std::string("vmlinux\0", 8) + test::ToText(types));
    Elf64_Phdr header{};
    header.p_type = kVendorSegmentType;
    header.p_filesz = notes.size();
    core.AddLoad(header, notes);
    core.AddAlias(test::kImageBase, test::kImagePhys, test::kImageBytes);
    test::Bytes memory(test::kHighRamBytes);
    Put(memory, test::kImagePhys - test::kHighRam + 0x40, ThingBytes(7, kSecond, "first"));
    Put(memory, test::kImagePhys - test::kHighRam + 0x80, ThingBytes(3, 0, "dotted"));
    Put(memory, 0x200, ThingBytes(8, test::kDirectMap + kLastPage, "second"));
    core.AddLoad(test::LoadHeader(test::kDirectMap + test::kHighRam, test::kHighRam, memory.size()),
                 memory);
    test::Bytes plain = core.Build();
    plain.resize(plain.size() - kPage);
    test::RawSnapshot raw = test::RawSnapshot::Of(plain);
    raw.trailer.complete = false;
    raw.trailer.expected_bytes = plain.size() + kPage;
    raw.trailer.counts = {.direct = 15, .not_reached = 1};
    file_.Set(raw.Build());
    auto kernel = Kernel::Open(file_.path());
    ASSERT_TRUE(kernel.ok()) << kernel.error().message;
    kernel_.emplace(std::move(kernel.value()));
  }

  std::string Text(std::string_view expression) {
    if (!kernel_) Open(ThingTypes());
    const auto answer = ReadValue(*kernel_, expression);
    EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
    return answer.ok() ? ToText(answer.value()) : "";
  }

  Error Refused(std::string_view expression) {
    if (!kernel_) Open(ThingTypes());
    auto answer = ReadValue(*kernel_, expression);
    EXPECT_FALSE(answer.ok()) << expression;
    return answer.ok() ? Error{} : std::move(answer.error());
  }

  static void Put(test::Bytes& memory, uint64_t at, const test::Bytes& bytes) {
    std::copy(bytes.begin(), bytes.end(), memory.begin() + static_cast<ptrdiff_t>(at));
  }

  test::MemoryFile file_;
  std::optional<Kernel> kernel_;
};

TEST_F(PrintTest, EveryKindOfWhere) {
  const std::string number = "(long unsigned int) @ 0xffffffff81000040 <thing+0x0> = 7\n";
  for (const char* where :
       {"thing", "0xffffffff81000040", "ffffffff81000040", "_stext+0x40", "thing.3-0x40"}) {
    EXPECT_EQ(Text("struct thing@" + std::string(where) + ".number"), number) << where;
  }
  EXPECT_EQ(Text("struct thing@phys:0x104040.number"),
            "(long unsigned int) @ phys:0x0000000000104040 = 7\n");
  EXPECT_EQ(Text("struct thing@thing.3.name"),
            "(char [8]) @ 0xffffffff81000090 <thing.3+0x10> = \"dotted\"\n");
}

TEST_F(PrintTest, PointersOfPhysicalMemoryAreTheKernels) {
  EXPECT_EQ(Text("struct thing@phys:0x104040.next->name"),
            "(char [8]) @ 0xffff888000100210 = \"second\"\n");
  EXPECT_EQ(Text("struct thing@thing"),
            "(struct thing) @ 0xffffffff81000040 <thing+0x0> = {\n"
            "  number = 7,\n  next = 0xffff888000100200,\n  name = \"first\"\n}\n");
}

TEST_F(PrintTest, ATypeThatBtfTells) {
  EXPECT_EQ(Text("thing.number"), "(long unsigned int) @ 0xffffffff81000040 <thing+0x0> = 7\n");
  EXPECT_EQ(Text("@thing.next->number"), "(long unsigned int) @ 0xffff888000100200 = 8\n");
  const Error per_cpu = Refused("per_cpu_thing.number");
  EXPECT_EQ(per_cpu.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(per_cpu.message.find("'struct thing@ADDRESS'"), std::string::npos) << per_cpu.message;
}

TEST_F(PrintTest, WhatIsNotThere) {
  EXPECT_EQ(Refused("struct nothing@thing").code, ErrorCode::kNotFound);
  EXPECT_EQ(Refused("struct thing@nowhere.number").code, ErrorCode::kNotFound);
  EXPECT_NE(Refused("struct thing@nowhere.number").message.find("\"nowhere\""), std::string::npos);
  EXPECT_EQ(Refused("struct thing@thing.nothing").code, ErrorCode::kNotFound);
  EXPECT_EQ(Refused("struct thing@twice").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Refused("struct thing@pid:1:0x1000").code, ErrorCode::kNotFound);
  EXPECT_NE(Refused("_stext").message.find("'TYPE@_stext'"), std::string::npos);
  EXPECT_NE(Refused("struct thing").message.find("--layout"), std::string::npos);
  EXPECT_NE(Refused("struct thing.number").message.find("--layout"), std::string::npos);
  for (const char* expression :
       {"", "@", "struct thing@", "struct thing@thing[", "struct thing@phys:x"}) {
    EXPECT_EQ(Refused(expression).code, ErrorCode::kInvalidArgument) << expression;
  }
}

TEST_F(PrintTest, WhatTheCaptureDidNotReach) {
  Open(ThingTypes());
  const auto answer = ReadValue(*kernel_, "struct thing@thing.next->next->number");
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_TRUE(answer.value().findings.incomplete);
  EXPECT_TRUE(answer.value().not_reached);
  const auto unmapped = ReadValue(*kernel_, "struct thing@0xffff888000000000");
  ASSERT_TRUE(unmapped.ok());
  EXPECT_TRUE(unmapped.value().findings.incomplete);
  EXPECT_FALSE(unmapped.value().not_reached);
}

TEST_F(PrintTest, Layouts) {
  Open(ThingTypes());
  const auto layout = ReadLayout(*kernel_, "struct thing.next->name");
  ASSERT_TRUE(layout.ok()) << layout.error().message;
  EXPECT_EQ(ToText(layout.value(), {}), "char [8] at offset 16 of struct thing: 8 bytes\n");
  EXPECT_EQ(ReadLayout(*kernel_, "struct thing@thing").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReadLayout(*kernel_, "struct thng").error().code, ErrorCode::kNotFound);
}

TEST_F(PrintTest, AnImageWithoutTypes) {
  Open({});
  EXPECT_EQ(Refused("struct thing@thing").code, ErrorCode::kUnsupported);
  EXPECT_EQ(ReadLayout(*kernel_, "struct thing").error().code, ErrorCode::kUnsupported);
}

TEST_F(PrintTest, TornTypesAreAnError) {
  test::Bytes types = ThingTypes();
  types.resize(types.size() / 2);
  Open(types);
  EXPECT_EQ(Refused("struct thing@thing").code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace kcoredump
