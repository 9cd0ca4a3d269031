// SPDX-License-Identifier: MIT
#include "kcoredump/isf.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "format/snapshot/format.h"
#include "support/btf_builder.h"
#include "support/elf_builder.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using nlohmann::json;
using test::BtfBuilder;

constexpr uint64_t kOffset = 0x1e000000;
constexpr char kBanner[] = "Linux version 6.1.0-test (a@b) #1 SMP\n";

/// Symbols as they stand while the kernel runs, `kOffset` above where they were linked.
constexpr char kIsfKallsyms[] =
    "0000000000001000 A counter\n"
    "ffffffff9f000000 T _stext\n"
    "ffffffff9f000040 D linux_banner\n"
    "ffffffff9f000080 D init_task\n"
    "ffffffff9f000080 D init_task\n"
    "ffffffffc0000000 t of_a_module\t[mod]\n"
    "ffffffff9f002000 B _end\n";

const json kInt = {{"kind", "base"}, {"name", "int"}};

class IsfTest : public testing::Test {
 protected:
  IsfTest() {
    int_ = btf_.AddInt("int", 4, 1);
    char_ = btf_.AddInt("char", 1, 1);
  }

  /// The file that is written for a kernel of these types.
  const json& Isf() {
    if (written_.is_object()) return written_;
    test::ElfBuilder core;
    core.AddNote("VMCOREINFO", 0,
                 "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(_stext)=ffffffff9f000000\n"
                 "KERNELOFFSET=1e000000\n");
    test::Bytes notes;
    const auto add = [&](NoteType type, std::string_view text) {
      const auto note = test::NoteBytes(kNoteOwner, static_cast<uint32_t>(type), text);
      notes.insert(notes.end(), note.begin(), note.end());
    };
    add(NoteType::kMeta, "{}");
    add(NoteType::kKallsyms, kIsfKallsyms);
    add(NoteType::kBtf, std::string("vmlinux\0", 8) + test::ToText(btf_.Build()));
    Elf64_Phdr header{};
    header.p_type = kVendorSegmentType;
    header.p_filesz = notes.size();
    core.AddLoad(header, notes);
    test::Bytes image(test::kImageBytes);
    const auto banner = std::as_bytes(std::span(kBanner));
    if (with_banner_) std::copy(banner.begin(), banner.end(), image.begin() + 0x40);
    core.AddLoad(test::LoadHeader(test::kImageBase + kOffset, test::kImagePhys, image.size()),
                 image);
    file_.Set(test::RawSnapshot::Of(core.Build()).Build());
    auto kernel = Kernel::Open(file_.path());
    EXPECT_TRUE(kernel.ok()) << kernel.error().message;
    const std::string path = folder_.Path("isf.json");
    auto report = WriteIsf(kernel.value(), path, false);
    EXPECT_TRUE(report.ok()) << report.error().message;
    if (report.ok()) report_ = std::move(report.value());
    const test::Bytes text = test::ReadFile(path);
    written_ = json::parse(test::ToText(text), nullptr, false);
    EXPECT_TRUE(written_.is_object());
    return written_;
  }

  const json& Fields(const std::string& type) { return Isf()["user_types"][type]["fields"]; }

  BtfBuilder btf_;
  uint32_t int_ = 0;
  uint32_t char_ = 0;
  bool with_banner_ = true;
  IsfReport report_;

 private:
  test::MemoryFile file_;
  test::TempDir folder_;
  json written_;
};

TEST_F(IsfTest, HasTheFivePartsAndItsFormat) {
  const json& isf = Isf();
  EXPECT_EQ(isf["metadata"]["format"], "6.2.0");
  EXPECT_EQ(isf["metadata"]["producer"]["name"], "kcoredump");
  ASSERT_EQ(isf.size(), 5U);
  for (const char* part : {"base_types", "user_types", "enums", "symbols"}) {
    EXPECT_TRUE(isf[part].is_object()) << part;
  }
  EXPECT_EQ(isf["base_types"]["pointer"],
            json({{"size", 8}, {"signed", false}, {"kind", "int"}, {"endian", "little"}}));
  EXPECT_EQ(isf["base_types"]["void"]["size"], 0);
}

TEST_F(IsfTest, SymbolsStandWhereTheyWereLinked) {
  const uint32_t task = btf_.AddStruct("task_struct", 8, {{"pid", int_, 32}});
  btf_.AddSection(".data..percpu", {btf_.AddVariable("counter", int_)});
  EXPECT_NE(task, 0U);
  const json& symbols = Isf()["symbols"];
  EXPECT_EQ(symbols["_stext"], json({{"address", 0xffffffff81000000}}));
  EXPECT_EQ(symbols["init_task"], json({{"address", 0xffffffff81000080},
                                        {"type", {{"kind", "struct"}, {"name", "task_struct"}}}}));
  // A per-CPU symbol is an offset, which KASLR does not move; BTF tells its type.
  EXPECT_EQ(symbols["counter"], json({{"address", 0x1000}, {"type", kInt}}));
  EXPECT_FALSE(symbols.contains("of_a_module"));
  EXPECT_EQ(symbols.size(), 5U);
  EXPECT_EQ(report_.symbols, 5U);
  EXPECT_EQ(report_.typed_symbols, 2U);
}

TEST_F(IsfTest, TheBannerIsThereWithItsEnd) {
  const json& banner = Isf()["symbols"]["linux_banner"];
  EXPECT_EQ(banner["constant_data"], "TGludXggdmVyc2lvbiA2LjEuMC10ZXN0IChhQGIpICMxIFNNUAoA");
  EXPECT_EQ(banner["type"]["kind"], "array");
  EXPECT_EQ(banner["type"]["count"], sizeof(kBanner));
  EXPECT_EQ(banner["type"]["subtype"], json({{"kind", "base"}, {"name", "char"}}));
}

TEST_F(IsfTest, MembersOfEveryKind) {
  const uint32_t name = btf_.AddArray(char_, 16);
  const uint32_t table = btf_.AddArray(btf_.AddArray(int_, 3), 2);
  const uint32_t function = btf_.AddPointer(btf_.AddFunction());
  const uint32_t handle = btf_.AddTypedef("handle_t", btf_.AddConst(int_));
  const uint32_t any = btf_.AddPointer(0);
  const uint32_t self = btf_.AddPointer(btf_.next() + 1);
  btf_.AddStruct("thing", 80,
                 {{"name", name, 0},
                  {"table", table, 128},
                  {"call", function, 320},
                  {"handle", handle, 384},
                  {"self", self, 448},
                  {"any", any, 512}});
  const json& thing = Isf()["user_types"]["thing"];
  EXPECT_EQ(thing["kind"], "struct");
  EXPECT_EQ(thing["size"], 80);
  const json expected = {
      {"name",
       {{"offset", 0},
        {"type",
         {{"kind", "array"}, {"count", 16}, {"subtype", {{"kind", "base"}, {"name", "char"}}}}}}},
      {"table",
       {{"offset", 16},
        {"type",
         {{"kind", "array"},
          {"count", 2},
          {"subtype", {{"kind", "array"}, {"count", 3}, {"subtype", kInt}}}}}}},
      {"call",
       {{"offset", 40}, {"type", {{"kind", "pointer"}, {"subtype", {{"kind", "function"}}}}}}},
      {"handle", {{"offset", 48}, {"type", kInt}}},
      {"self",
       {{"offset", 56},
        {"type", {{"kind", "pointer"}, {"subtype", {{"kind", "struct"}, {"name", "thing"}}}}}}},
      {"any",
       {{"offset", 64},
        {"type", {{"kind", "pointer"}, {"subtype", {{"kind", "base"}, {"name", "void"}}}}}}}};
  EXPECT_EQ(thing["fields"], expected);
}

TEST_F(IsfTest, BitfieldsStandInUnitsOfTheirType) {
  const uint32_t mood = btf_.AddEnum("mood", {{"CALM", 0}});
  btf_.AddStruct("flags", 16,
                 {{"low", int_, 32, 3},
                  {"high", int_, 35, 29},
                  {"", int_, 64, 4},
                  {"mood", mood, 68, 2},
                  {"astride", int_, 92, 8}});
  const auto field = [](uint64_t offset, unsigned position, unsigned length, const json& type) {
    return json{{"offset", offset},
                {"type",
                 {{"kind", "bitfield"},
                  {"bit_position", position},
                  {"bit_length", length},
                  {"type", type}}}};
  };
  EXPECT_EQ(Fields("flags"), json({{"low", field(4, 0, 3, kInt)},
                                   {"high", field(4, 3, 29, kInt)},
                                   {"mood", field(8, 4, 2, {{"kind", "enum"}, {"name", "mood"}})},
                                   // Packed: four bits in one unit, four in the next.
                                   {"astride", field(11, 4, 8, kInt)}}));
}

TEST_F(IsfTest, ABitfieldOfWhatIsNoNumberIsLeftOut) {
  btf_.AddStruct("forged", 8, {{"odd", btf_.AddPointer(0), 0, 3}, {"sound", int_, 32}});
  EXPECT_EQ(Fields("forged"), json({{"sound", {{"offset", 4}, {"type", kInt}}}}));
}

TEST_F(IsfTest, AnonymousMembersHaveNamesAndTypes) {
  const uint32_t one = btf_.AddStruct("", 8, {{"a", int_, 0}, {"b", int_, 32}});
  const uint32_t other = btf_.AddUnion("", 4, {{"c", int_, 0}, {"d", char_, 0}});
  btf_.AddUnion("outer", 8, {{"", one, 0}, {"", other, 0}});
  const json& fields = Fields("outer");
  ASSERT_EQ(fields.size(), 2U);
  std::vector<json> types;
  for (const auto& [name, field] : fields.items()) {
    EXPECT_EQ(field["anonymous"], true) << name;
    EXPECT_EQ(field["offset"], 0) << name;
    types.push_back(Isf()["user_types"][field["type"]["name"].get<std::string>()]);
  }
  EXPECT_EQ(types[0]["kind"], "struct");
  EXPECT_EQ(types[0]["fields"]["b"]["offset"], 4);
  EXPECT_EQ(types[1]["kind"], "union");
  EXPECT_EQ(types[1]["fields"].size(), 2U);
}

TEST_F(IsfTest, TypesOfOneNameAreToldApart) {
  btf_.AddStruct("twin", 4, {{"first", int_, 0}});
  const uint32_t second = btf_.AddStruct("twin", 8, {{"second", int_, 32}});
  btf_.AddEnum("twin", {{"ONE", 1}});
  btf_.AddStruct("user", 8, {{"member", second, 0}});
  EXPECT_TRUE(Fields("twin").contains("first"));
  const std::string name = Fields("user")["member"]["type"]["name"];
  EXPECT_NE(name, "twin");
  EXPECT_EQ(Isf()["user_types"][name]["fields"]["second"]["offset"], 4);
  EXPECT_EQ(Isf()["enums"]["twin"]["constants"], json({{"ONE", 1}}));
}

TEST_F(IsfTest, EnumsHaveABaseTypeThatIsThere) {
  btf_.AddEnum("plain", {{"NONE", 0}, {"ALL", -1}});
  btf_.AddEnum("below_zero", {{"BAD", -22}}, true);
  const json& enums = Isf()["enums"];
  EXPECT_EQ(enums["plain"], json({{"size", 4},
                                  {"base", "unsigned int"},
                                  {"constants", {{"NONE", 0}, {"ALL", 4294967295}}}}));
  EXPECT_EQ(enums["below_zero"],
            json({{"size", 4}, {"base", "int"}, {"constants", {{"BAD", -22}}}}));
  EXPECT_EQ(Isf()["base_types"]["unsigned int"]["size"], 4);
  EXPECT_EQ(Isf()["base_types"]["unsigned int"]["signed"], false);
}

TEST_F(IsfTest, WhatIsOnlyDeclaredIsVoidUnlessItIsDefinedElsewhere) {
  btf_.AddStruct("user", 16,
                 {{"hidden", btf_.AddPointer(btf_.AddForward("hidden")), 0},
                  {"known", btf_.AddPointer(btf_.AddForward("known")), 64}});
  btf_.AddStruct("known", 4, {{"a", int_, 0}});
  EXPECT_EQ(Fields("user")["hidden"]["type"]["subtype"],
            json({{"kind", "base"}, {"name", "void"}}));
  EXPECT_EQ(Fields("user")["known"]["type"]["subtype"],
            json({{"kind", "struct"}, {"name", "known"}}));
}

TEST_F(IsfTest, ABannerThatCannotBeReadIsSaid) {
  with_banner_ = false;
  EXPECT_FALSE(Isf()["symbols"]["linux_banner"].contains("constant_data"));
  EXPECT_TRUE(report_.findings.incomplete);
}

TEST_F(IsfTest, PointersWithoutEndEnd) {
  const uint32_t forged = btf_.AddPointer(btf_.next());
  btf_.AddStruct("user", 8, {{"loop", forged, 0}});
  EXPECT_EQ(Fields("user")["loop"]["offset"], 0);
}

}  // namespace
}  // namespace kcoredump
