// SPDX-License-Identifier: MIT
#include "inspect/value/print_value.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/btf_builder.h"
#include "support/fake_view.h"

namespace kcoredump {
namespace {

using nlohmann::json;
using test::BtfBuilder;

constexpr uint64_t kBase = 0xffffffff82000000;
constexpr uint64_t kNamed = 0xffffffff82800000;

/// A small kernel: its types, some memory, and one symbol.
class PrintValueTest : public testing::Test {
 protected:
  PrintValueTest() {
    int_ = btf_.AddInt("int", 4, 1);
    u64_ = btf_.AddInt("long unsigned int", 8);
    char_ = btf_.AddInt("char", 1, 1);
    bool_ = btf_.AddInt("_Bool", 1, 4);
    u32_ = btf_.AddInt("unsigned int", 4);
  }

  /// The types added so far; later ones do not count.
  const TypeCatalog& Types() {
    if (types_ == nullptr) {
      auto loaded = TypeCatalog::Load(btf_.Build(), {});
      EXPECT_TRUE(loaded.ok()) << loaded.error().message;
      types_ = std::move(loaded.value());
    }
    return *types_;
  }

  /// Takes `path` from a value of `type` at `address`.
  Result<PathAnswer> Take(std::string_view type, std::string_view path,
                          const PrintOptions& options = {}, uint64_t address = kBase) {
    auto spot = FindTypeOf(Types(), type);
    if (!spot.ok()) return std::move(spot.error());
    spot.value().address = address;
    const auto steps = ParsePath(path);
    EXPECT_TRUE(steps.ok());
    const PrintSources sources{Types(), memory_, memory_, [](uint64_t at) -> std::string {
                                 return at >= kNamed ? "name+" + Hex(at - kNamed) : "";
                               }};
    return ReadAlong(sources, spot.value(), steps.value(), options);
  }

  ValueAnswer Read(std::string_view type, std::string_view path = "",
                   const PrintOptions& options = {}) {
    auto read = Take(type, path, options);
    EXPECT_TRUE(read.ok()) << (read.ok() ? "" : read.error().message);
    return read.ok() ? read.value().answer : ValueAnswer{};
  }

  std::string Text(std::string_view type, std::string_view path = "",
                   const PrintOptions& options = {}) {
    return ToText(Read(type, path, options));
  }

  json Json(std::string_view type, std::string_view path = "", const PrintOptions& options = {}) {
    return json::parse(ToJson(Read(type, path, options)))["value"];
  }

  Error Refused(std::string_view type, std::string_view path) {
    auto read = Take(type, path);
    EXPECT_FALSE(read.ok()) << type << path;
    return read.ok() ? Error{} : std::move(read.error());
  }

  void AddListHead() {
    const uint32_t pointer = btf_.next();
    btf_.AddPointer(pointer + 1);
    list_head_ = btf_.AddStruct("list_head", 16, {{"next", pointer, 0}, {"prev", pointer, 64}});
  }

  BtfBuilder btf_;
  std::unique_ptr<TypeCatalog> types_;
  test::FakeView memory_;
  uint32_t int_ = 0;
  uint32_t u64_ = 0;
  uint32_t char_ = 0;
  uint32_t bool_ = 0;
  uint32_t u32_ = 0;
  uint32_t list_head_ = 0;
};

TEST_F(PrintValueTest, AListHeadAsCHasIt) {
  AddListHead();
  memory_.PutValue<uint64_t>(kBase, kNamed + 0x10);
  memory_.PutValue<uint64_t>(kBase + 8, 0);
  EXPECT_EQ(Text("struct list_head"),
            "(struct list_head) @ 0xffffffff82000000 = {\n"
            "  next = 0xffffffff82800010 <name+0x10>,\n"
            "  prev = NULL\n"
            "}\n");
  const json value = Json("struct list_head");
  EXPECT_EQ(value["kind"], "struct");
  EXPECT_EQ(value["bytes"], 16);
  EXPECT_EQ(value["members"][0]["value"], "0xffffffff82800010");
  EXPECT_EQ(value["members"][0]["symbol"], "name+0x10");
  EXPECT_EQ(value["members"][0]["type"], "struct list_head *");
  EXPECT_EQ(value["members"][1]["value"], "0x0000000000000000");
  EXPECT_EQ(value["members"][1]["symbol"], nullptr);
  EXPECT_EQ(value["members"][1]["offset"], 8);
}

TEST_F(PrintValueTest, NumbersOfEachKind) {
  const uint32_t s64 = btf_.AddInt("long int", 8, 1);
  const uint32_t wide = btf_.AddInt("__int128", 16);
  const uint32_t real = btf_.AddFloat("double", 8);
  btf_.AddStruct("numbers", 64,
                 {{"i", int_, 0},
                  {"yes", bool_, 32},
                  {"letter", char_, 40},
                  {"newline", char_, 48},
                  {"small", u64_, 64},
                  {"large", u64_, 128},
                  {"negative", s64, 192},
                  {"wide", wide, 256},
                  {"real", real, 384}});
  memory_.Put(kBase, std::string(64, '\0'));
  memory_.PutValue<int32_t>(kBase, -5);
  memory_.PutValue<uint8_t>(kBase + 4, 1);
  memory_.Put(kBase + 5, "A\n");
  memory_.PutValue<uint64_t>(kBase + 8, 77);
  memory_.PutValue<uint64_t>(kBase + 16, 0x17ffffc0000200);
  memory_.PutValue<int64_t>(kBase + 24, -1);
  memory_.PutValue<uint64_t>(kBase + 40, 1);
  memory_.PutValue<double>(kBase + 48, 1.5);
  EXPECT_EQ(Text("struct numbers"),
            "(struct numbers) @ 0xffffffff82000000 = {\n"
            "  i = -5,\n"
            "  yes = true,\n"
            "  letter = 65 'A',\n"
            "  newline = 10,\n"
            "  small = 77,\n"
            "  large = 6755398367314432 (0x17ffffc0000200),\n"
            "  negative = -1,\n"
            "  wide = 0x10000000000000000,\n"
            "  real = 1.500000\n"
            "}\n");
  const json members = Json("struct numbers")["members"];
  EXPECT_EQ(members[0]["value"], -5);
  EXPECT_EQ(members[1]["value"], true);
  EXPECT_EQ(members[2]["value"], 65);
  EXPECT_EQ(members[5]["value"], 0x17ffffc0000200);
  EXPECT_EQ(members[5]["hex"], "0x0017ffffc0000200");
  EXPECT_EQ(members[6]["value"], -1);
  EXPECT_FALSE(members[0].contains("hex"));
}

TEST_F(PrintValueTest, BitfieldsSignedAndAcrossBytes) {
  btf_.AddStruct("bits", 16,
                 {{"one", u32_, 0, 1},
                  {"three", u32_, 1, 3},
                  {"minus", int_, 4, 3},
                  {"across", u32_, 7, 17},
                  {"most", u64_, 27, 64},
                  {"flag", bool_, 91, 1}});
  // From the low bits up: 1, 101, 110, 1 0000 0000 0000 0001, 000, then 64 bits from bit 27 on.
  const uint64_t first = 1 | 5 << 1 | 6 << 4 | uint64_t{0x10001} << 7;
  const uint64_t most = 0x8000000000000003;
  memory_.PutValue<uint64_t>(kBase, first | most << 27);
  memory_.PutValue<uint64_t>(kBase + 8, most >> 37 | uint64_t{1} << 27);
  EXPECT_EQ(Text("struct bits"),
            "(struct bits) @ 0xffffffff82000000 = {\n"
            "  one = 1,\n"
            "  three = 5,\n"
            "  minus = -2,\n"
            "  across = 65537,\n"
            "  most = 9223372036854775811 (0x8000000000000003),\n"
            "  flag = true\n"
            "}\n");
  EXPECT_EQ(Text("struct bits", ".minus"), "(int) @ 0xffffffff82000000 = -2\n");
  EXPECT_EQ(
      Text("struct bits", ".most"),
      "(long unsigned int) @ 0xffffffff82000003 = 9223372036854775811 (0x8000000000000003)\n");
  const json across = Json("struct bits", ".across");
  EXPECT_EQ(across["value"], 65537);
  EXPECT_EQ(across["bit"], 7);
  EXPECT_EQ(across["bits"], 17);
}

TEST_F(PrintValueTest, EnumsByName) {
  const uint32_t state = btf_.AddEnum("state", {{"LIVE", 0}, {"GONE", 7}});
  const uint32_t sign = btf_.AddEnum("sign", {{"LESS", -1}, {"EQUAL", 0}}, true);
  btf_.AddStruct("e", 16,
                 {{"a", state, 0}, {"b", state, 32}, {"c", sign, 64}, {"d", state, 96, 3}});
  memory_.PutValue<uint32_t>(kBase, 7);
  memory_.PutValue<uint32_t>(kBase + 4, 3);
  memory_.PutValue<int32_t>(kBase + 8, -1);
  memory_.PutValue<uint32_t>(kBase + 12, 0xf7);
  EXPECT_EQ(
      Text("struct e"),
      "(struct e) @ 0xffffffff82000000 = {\n  a = GONE,\n  b = 3,\n  c = LESS,\n  d = GONE\n}\n");
  const json members = Json("struct e")["members"];
  EXPECT_EQ(members[0]["value"], "GONE");
  EXPECT_EQ(members[0]["number"], 7);
  EXPECT_EQ(members[1]["value"], 3);
  EXPECT_EQ(members[2]["number"], -1);
}

TEST_F(PrintValueTest, TextEndsAtItsNulAndIsEscaped) {
  btf_.AddStruct("t", 80,
                 {{"comm", btf_.AddArray(char_, 16), 0},
                  {"full", btf_.AddArray(char_, 4), 16 * 8},
                  {"evil", btf_.AddArray(char_, 16), 20 * 8},
                  {"bytes", btf_.AddArray(char_, 16), 36 * 8},
                  {"empty", btf_.AddArray(char_, 16), 52 * 8},
                  {"flexible", btf_.AddArray(char_, 0), 80 * 8}});
  memory_.Put(kBase, std::string(80, '\0'));
  memory_.Put(kBase, std::string_view("swapper/0\0rest", 14));
  memory_.Put(kBase + 16, "full");
  memory_.Put(kBase + 20, "\x1b[31m\xff");
  memory_.Put(kBase + 36, std::string_view("\0\1\0\2", 4));
  EXPECT_EQ(Text("struct t"),
            "(struct t) @ 0xffffffff82000000 = {\n"
            "  comm = \"swapper/0\",\n"
            "  full = \"full\",\n"
            "  evil = \"\\x1b[31m\\xff\",\n"
            "  bytes = \"\\x00\\x01\\x00\\x02\",\n"
            "  empty = \"\",\n"
            "  flexible = \"\"\n"
            "}\n");
  EXPECT_EQ(Json("struct t", ".comm")["value"], "swapper/0");
  EXPECT_EQ(Json("struct t", ".comm")["kind"], "text");
  EXPECT_EQ(Json("struct t", ".comm[2]")["value"], 'a');
}

TEST_F(PrintValueTest, ArraysAndPartsOfThem) {
  btf_.AddStruct("a", 128,
                 {{"n", btf_.AddArray(int_, 20), 0},
                  {"few", btf_.AddArray(int_, 3), 80 * 8},
                  {"grid", btf_.AddArray(btf_.AddArray(int_, 2), 2), 92 * 8},
                  {"rest", btf_.AddArray(int_, 0), 108 * 8}});
  for (int i = 0; i < 40; ++i) memory_.PutValue<int32_t>(kBase + 4 * i, i);
  EXPECT_EQ(Text("struct a"),
            "(struct a) @ 0xffffffff82000000 = {\n"
            "  n = {\n"
            "    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,\n"
            "    … 4 more\n"
            "  },\n"
            "  few = {20, 21, 22},\n"
            "  grid = {{23, 24}, {25, 26}},\n"
            "  rest = {}\n"
            "}\n");
  EXPECT_EQ(Text("struct a", ".n[18..19]"), "(int [2]) @ 0xffffffff82000048 = {18, 19}\n");
  EXPECT_EQ(Text("struct a", ".n[7]"), "(int) @ 0xffffffff8200001c = 7\n");
  EXPECT_EQ(Text("struct a", ".grid[1][0]"), "(int) @ 0xffffffff82000064 = 25\n");
  EXPECT_EQ(Text("struct a", ".rest[2]"), "(int) @ 0xffffffff82000074 = 29\n");
  EXPECT_EQ(Text("int [3]"), "(int [3]) @ 0xffffffff82000000 = {0, 1, 2}\n");
  EXPECT_EQ(Text("int[2]"), "(int [2]) @ 0xffffffff82000000 = {0, 1}\n");
  EXPECT_EQ(Json("struct a", ".n[5..6]")["first"], 5);
  EXPECT_EQ(Json("struct a", "", {.max_elements = 0})["members"][0]["elements"].size(), 20U);
  EXPECT_EQ(Json("struct a")["members"][0]["count"], 20);
  EXPECT_EQ(Json("struct a")["members"][0]["cut"], true);
  EXPECT_NE(Refused("struct a", ".n[20]").message.find("past the end of \"int [20]\""),
            std::string::npos);
  EXPECT_NE(Refused("struct a", ".n[0][1]").message.find("has no elements"), std::string::npos);
}

TEST_F(PrintValueTest, StructsWithinStructsByDepth) {
  AddListHead();
  const uint32_t inner = btf_.AddStruct(
      "inner", 24,
      {{"a", int_, 0}, {"b", int_, 32}, {"c", int_, 64}, {"d", int_, 96}, {"e", u64_, 128}});
  const uint32_t middle = btf_.AddStruct("middle", 24, {{"inner", inner, 0}});
  btf_.AddStruct(
      "outer", 88,
      {{"middle", middle, 0}, {"list", list_head_, 192}, {"both", btf_.AddArray(inner, 2), 320}});
  memory_.Put(kBase, std::string(88, '\0'));
  memory_.PutValue<int32_t>(kBase + 8, 9);
  EXPECT_EQ(Text("struct outer"),
            "(struct outer) @ 0xffffffff82000000 = {\n"
            "  middle = {…},\n"
            "  list = {next = NULL, prev = NULL},\n"
            "  both = {…}\n"
            "}\n");
  EXPECT_EQ(Text("struct outer", "", {.depth = 3}).substr(0, 106),
            "(struct outer) @ 0xffffffff82000000 = {\n"
            "  middle = {\n"
            "    inner = {\n"
            "      a = 0,\n"
            "      b = 0,\n"
            "      c = 9,\n");
  EXPECT_NE(Text("struct outer", "", {.depth = 2}).find("inner = {…}"), std::string::npos);
  EXPECT_EQ(Text("struct outer", ".middle.inner.c"), "(int) @ 0xffffffff82000008 = 9\n");
}

TEST_F(PrintValueTest, AnonymousPartsStandInPlace) {
  const uint32_t pair = btf_.AddStruct("", 8, {{"low", u32_, 0}, {"high", u32_, 32}});
  const uint32_t either = btf_.AddUnion("", 8, {{"all", u64_, 0}, {"", pair, 0}});
  btf_.AddStruct("p", 16, {{"flags", u64_, 0}, {"", either, 64}});
  memory_.PutValue<uint64_t>(kBase, 1);
  memory_.PutValue<uint64_t>(kBase + 8, 0x200000003);
  EXPECT_EQ(Text("struct p"),
            "(struct p) @ 0xffffffff82000000 = {\n"
            "  flags = 1,\n"
            "  all = 8589934595 (0x200000003),\n"
            "  low = 3,\n"
            "  high = 2\n"
            "}\n");
  EXPECT_EQ(Text("struct p", ".high"), "(unsigned int) @ 0xffffffff8200000c = 2\n");
}

TEST_F(PrintValueTest, PointersAreFollowed) {
  const uint32_t node = btf_.next() + 1;
  btf_.AddPointer(node);
  btf_.AddStruct("node", 16, {{"next", node - 1, 0}, {"value", u64_, 64}});
  memory_.PutValue<uint64_t>(kBase, kBase + 0x100);
  memory_.PutValue<uint64_t>(kBase + 0x100, 0);
  memory_.PutValue<uint64_t>(kBase + 0x108, 5);
  memory_.PutValue<uint64_t>(kBase + 0x118, 6);
  EXPECT_EQ(Text("struct node", ".next->value"), "(long unsigned int) @ 0xffffffff82000108 = 5\n");
  EXPECT_EQ(Text("struct node", ".next[1].value"),
            "(long unsigned int) @ 0xffffffff82000118 = 6\n");
  EXPECT_EQ(Text("struct node", ".next[0]").substr(0, 36), "(struct node) @ 0xffffffff82000100 =");
  EXPECT_TRUE(Take("struct node", ".next->value").value().followed);
  const Error null = Refused("struct node", ".next->next->value");
  EXPECT_EQ(null.code, ErrorCode::kUnreadable);
  EXPECT_NE(null.message.find("NULL"), std::string::npos) << null.message;
}

TEST_F(PrintValueTest, StringsOfCharPointers) {
  btf_.AddStruct("s", 32,
                 {{"name", btf_.AddPointer(btf_.AddConst(char_)), 0},
                  {"binary", btf_.AddPointer(char_), 64},
                  {"missing", btf_.AddPointer(char_), 128}});
  memory_.Put(kBase, std::string(4096, '\0'));
  memory_.PutValue<uint64_t>(kBase, kBase + 0x100);
  memory_.PutValue<uint64_t>(kBase + 8, kBase + 0x110);
  memory_.PutValue<uint64_t>(kBase + 16, 0x5000);
  memory_.Put(kBase + 0x100, std::string_view("ext4\0", 5));
  memory_.Put(kBase + 0x110, std::string_view("\x1b\0", 2));
  EXPECT_EQ(Text("struct s"),
            "(struct s) @ 0xffffffff82000000 = {\n"
            "  name = 0xffffffff82000100 \"ext4\",\n"
            "  binary = 0xffffffff82000110,\n"
            "  missing = 0x0000000000005000\n"
            "}\n");
  EXPECT_EQ(Json("struct s", ".name")["string"], "ext4");
}

TEST_F(PrintValueTest, StepsThatATypeDoesNotAllow) {
  AddListHead();
  btf_.AddStruct(
      "s", 24,
      {{"list", list_head_, 0}, {"hidden", btf_.AddPointer(btf_.AddForward("hidden")), 128}});
  memory_.Put(kBase, std::string(16, '\1'));
  memory_.PutValue<uint64_t>(kBase + 16, kBase);
  EXPECT_NE(Refused("struct s", ".list.next.next").message.find("write ->next"), std::string::npos);
  EXPECT_NE(Refused("struct s", ".list->next").message.find("write .next"), std::string::npos);
  EXPECT_NE(Refused("struct s", ".hidden->x").message.find("only declared"), std::string::npos);
  EXPECT_EQ(Refused("struct s", ".hidden[0]").code, ErrorCode::kUnsupported);
  const Error member = Refused("struct s", ".lst");
  EXPECT_EQ(member.code, ErrorCode::kNotFound);
  EXPECT_EQ(member.message, "struct s has no member \"lst\" in this kernel; near: list");
  const Error type = Refused("struct list_haed", "");
  EXPECT_EQ(type.code, ErrorCode::kNotFound);
  EXPECT_NE(type.message.find("near: list_head"), std::string::npos) << type.message;
}

TEST_F(PrintValueTest, MissingMemoryIsNamedAndTheRestShown) {
  btf_.AddStruct("wide", 0x3000,
                 {{"first", u64_, 0}, {"lost", u64_, 0x1000 * 8}, {"last", u64_, 0x2ff8 * 8}});
  memory_.Put(kBase, std::string(0x3000, '\0'));
  memory_.PutValue<uint64_t>(kBase + 0x2ff8, 3);
  memory_.Remove(kBase + 0x1000, 0x1000);
  const auto read = Take("struct wide", "");
  ASSERT_TRUE(read.ok());
  const ValueAnswer& answer = read.value().answer;
  EXPECT_EQ(ToText(answer),
            "(struct wide) @ 0xffffffff82000000 = {\n"
            "  first = 0,\n  lost = <unreadable>,\n  last = 3\n}\n");
  EXPECT_TRUE(answer.findings.incomplete);
  ASSERT_EQ(answer.findings.notes.size(), 1U);
  EXPECT_EQ(answer.findings.notes[0],
            "lost: cannot be read: 0xffffffff82001000 is not in the fake");
  EXPECT_EQ(read.value().missing, kBase + 0x1000);
  EXPECT_EQ(Json("struct wide")["members"][1]["value"], nullptr);
  EXPECT_EQ(Json("struct wide")["members"][1]["unreadable"], true);
  // What is asked for is there.
  EXPECT_FALSE(Read("struct wide", ".last").findings.incomplete);
}

TEST_F(PrintValueTest, APointerThatCannotBeReadIsTheAnswer) {
  AddListHead();
  const ValueAnswer answer = Read("struct list_head", ".next->prev");
  EXPECT_EQ(ToText(answer), "(struct list_head *) @ 0xffffffff82000000 = <unreadable>\n");
  EXPECT_TRUE(answer.findings.incomplete);
}

TEST_F(PrintValueTest, AnObjectAtTheEndOfTheAddressSpace) {
  AddListHead();
  const uint64_t last = ~uint64_t{0} - 7;
  memory_.PutValue<uint64_t>(last, 1);
  const auto read = Take("struct list_head", "", {}, last);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().answer.value.members[0].number, 1U);
  EXPECT_EQ(read.value().answer.value.members[1].state, ValueState::kNotRead);
}

// Forged types.

TEST_F(PrintValueTest, AStructThatHoldsItself) {
  const uint32_t self = btf_.next();
  btf_.AddStruct("ouroboros", 8, {{"a", self, 0}, {"b", self, 0}, {"n", int_, 0}});
  const uint32_t loop = btf_.next();
  btf_.AddStruct("anonymous", 8, {{"", loop, 0}, {"", loop, 0}, {"n", int_, 0}});
  memory_.PutValue<uint64_t>(kBase, 1);
  for (const unsigned depth : {1U, 2U, kMaxPrintDepth}) {
    for (const char* type : {"struct ouroboros", "struct anonymous"}) {
      const ValueAnswer answer = Read(type, "", {.depth = depth});
      EXPECT_LT(ToText(answer).size(), 16U << 20);
      EXPECT_LT(ToJson(answer).size(), 64U << 20);
    }
  }
  EXPECT_FALSE(Read("struct anonymous", "", {.depth = 16}).findings.notes.empty());
}

TEST_F(PrintValueTest, AStructOfGigabytes) {
  btf_.AddStruct("vast", 0xf0000000,
                 {{"first", u64_, 0}, {"many", btf_.AddArray(u64_, 0x1c000000), 64}});
  btf_.AddArray(btf_.AddArray(u64_, 0xffffffff), 0xffffffff);
  memory_.Put(kBase, std::string(4096, '\0'));
  memory_.PutValue<uint64_t>(kBase, 4);
  const ValueAnswer answer = Read("struct vast");
  EXPECT_EQ(answer.value.members[0].number, 4U);
  EXPECT_EQ(answer.value.members[1].members.size(), kDefaultMaxElements);
  const ValueAnswer all = Read("struct vast", "", {.max_elements = 0});
  EXPECT_LE(all.value.members[1].members.size(), size_t{1} << 16);
  EXPECT_EQ(all.findings.notes.size(), 2U);
}

TEST_F(PrintValueTest, MembersOutsideTheirStruct) {
  btf_.AddStruct("small", 8, {{"in", u32_, 0}, {"out", u64_, 0x1000}, {"half", u64_, 32}});
  btf_.AddStruct("bits", 4, {{"wide", u32_, 0, 64}, {"past", u32_, 0xfffff8, 8}});
  memory_.Put(kBase, std::string(64, '\1'));
  const ValueAnswer answer = Read("struct small");
  EXPECT_EQ(answer.value.members[1].state, ValueState::kNotRead);
  EXPECT_EQ(answer.value.members[2].state, ValueState::kNotRead);
  EXPECT_TRUE(answer.findings.incomplete);
  const ValueAnswer bits = Read("struct bits");
  EXPECT_EQ(bits.value.members[0].kind, ValueKind::kOpaque);
  EXPECT_EQ(bits.value.members[1].state, ValueState::kNotRead);
}

TEST_F(PrintValueTest, NumbersOfNoKnownWidth) {
  btf_.AddStruct("odd", 64,
                 {{"three", btf_.AddInt("three", 3), 0},
                  {"none", btf_.AddInt("none", 0), 64},
                  {"huge", btf_.AddInt("huge", 0x7fffffff), 64},
                  {"enum", btf_.AddEnum("", {}), 64},
                  {"void", 0, 128},
                  {"function", btf_.AddFunction(), 128}});
  memory_.Put(kBase, std::string(64, '\1'));
  const ValueAnswer answer = Read("struct odd");
  ASSERT_EQ(answer.value.members.size(), 6U);
  for (const size_t i : {0, 1, 2, 4, 5}) {
    EXPECT_EQ(answer.value.members[i].kind, ValueKind::kOpaque) << i;
  }
  EXPECT_EQ(answer.value.members[3].text, "16843009");
  EXPECT_TRUE(json::accept(ToJson(answer)));
  EXPECT_EQ(Refused("void", "").code, ErrorCode::kNotFound);
}

TEST_F(PrintValueTest, AnArrayOfItself) {
  const uint32_t loop = btf_.next();
  btf_.AddArray(loop, 2);
  btf_.AddStruct("s", 8, {{"loop", loop, 0}, {"n", int_, 0}});
  memory_.PutValue<uint64_t>(kBase, 1);
  EXPECT_EQ(Read("struct s").value.members.size(), 2U);
  EXPECT_FALSE(Take("struct s", ".loop[1]").ok());
}

TEST_F(PrintValueTest, HostileNamesAreEscaped) {
  btf_.AddStruct("s\x1b[31m", 8, {{"m\x1b]0;", int_, 0}, {"\xff", int_, 32}});
  memory_.PutValue<uint64_t>(kBase, 1);
  const ValueAnswer answer = Read("struct s\x1b[31m");
  EXPECT_EQ(ToText(answer).find('\x1b'), std::string::npos);
  EXPECT_NE(ToText(answer).find("m\\x1b]0; = 1"), std::string::npos);
  EXPECT_TRUE(json::accept(ToJson(answer)));
}

// Layouts.

class LayoutTest : public PrintValueTest {
 protected:
  LayoutAnswer Layout(std::string_view type, std::string_view path = "", unsigned depth = 1) {
    const auto spot = FindTypeOf(Types(), type);
    const auto steps = ParsePath(path);
    EXPECT_TRUE(spot.ok() && steps.ok());
    auto answer = LayoutAlong(Types(), spot.value(), steps.value(), {.depth = depth});
    EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
    return answer.ok() ? std::move(answer.value()) : LayoutAnswer{};
  }
};

TEST_F(LayoutTest, OffsetsSizesAndHoles) {
  const uint32_t inner = btf_.AddStruct("inner", 8, {{"c", char_, 0}, {"n", int_, 32}});
  const uint32_t either = btf_.AddUnion("", 8, {{"all", u64_, 0}, {"low", u32_, 0}});
  btf_.AddStruct("s", 40,
                 {{"one", u32_, 0, 1},
                  {"two", u32_, 1, 2},
                  {"inner", inner, 64},
                  {"", either, 128},
                  {"end", char_, 192}});
  EXPECT_EQ(ToText(Layout("struct s"), {}),
            "struct s: 40 bytes, 5 members, 1 hole (7 bytes and 5 bits), padding of 15 bytes\n"
            "OFFSET     SIZE  MEMBER       TYPE\n"
            "   0:0    1 bit  one          unsigned int\n"
            "   0:1   2 bits  two          unsigned int\n"
            "   0:3  61 bits  (hole)\n"
            "     8        8  inner        struct inner\n"
            "    16        8  (anonymous)  union {...}\n"
            "    16        8    all        long unsigned int\n"
            "    16        4    low        unsigned int\n"
            "    24        1  end          char\n"
            "    25       15  (padding)\n");
  EXPECT_NE(ToText(Layout("struct s", "", 2), {}).find("  12        4    n "), std::string::npos);
  EXPECT_EQ(ToText(Layout("struct s", ".inner.n"), {}), "int at offset 12 of struct s: 4 bytes\n");
  EXPECT_EQ(ToText(Layout("struct s", ".two"), {}),
            "unsigned int at offset 0:1 of struct s: 2 bits\n");
  EXPECT_EQ(ToText(Layout("int"), {}), "int: 4 bytes\n");
  const json parsed = json::parse(ToJson(Layout("struct s")));
  EXPECT_EQ(parsed["bytes"], 40);
  EXPECT_EQ(parsed["members"].size(), 5U);
  EXPECT_EQ(parsed["members"][1]["bit"], 1);
  EXPECT_EQ(parsed["members"][3]["name"], nullptr);
  EXPECT_EQ(parsed["members"][3]["members"][1]["name"], "low");
  EXPECT_EQ(parsed["holes"][0]["bits"], 61);
  EXPECT_EQ(parsed["padding_bits"], 120);
}

TEST_F(LayoutTest, BehindAPointerOffsetsBeginAnew) {
  AddListHead();
  btf_.AddStruct("s", 24, {{"n", u64_, 0}, {"list", list_head_, 64}});
  EXPECT_EQ(ToText(Layout("struct s", ".list.prev"), {}),
            "struct list_head * at offset 16 of struct s: 8 bytes\n");
  EXPECT_EQ(ToText(Layout("struct s", ".list.next->prev"), {}),
            "struct list_head * at offset 8 of struct list_head: 8 bytes\n");
}

TEST_F(LayoutTest, ForgedStructsEnd) {
  const uint32_t self = btf_.next();
  btf_.AddStruct("self", 8, {{"", self, 0}, {"b", self, 0}, {"", self, 0xffffff}});
  btf_.AddStruct("vast", 0xffffffff, {{"a", btf_.AddArray(u64_, 0xffffffff), 0}, {"b", int_, 0}});
  for (const unsigned depth : {1U, kMaxPrintDepth}) {
    const LayoutAnswer answer = Layout("struct self", "", depth);
    EXPECT_FALSE(answer.findings.notes.empty());
    EXPECT_LT(ToText(answer, {}).size(), 16U << 20);
    EXPECT_TRUE(json::accept(ToJson(answer)));
  }
  EXPECT_EQ(Layout("struct vast").whole.bytes, 0xffffffffU);
}

}  // namespace
}  // namespace kcoredump
