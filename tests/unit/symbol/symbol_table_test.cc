// SPDX-License-Identifier: MIT
#include "symbol/symbol_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "support/test_bytes.h"
#include "symbol/glob.h"

namespace kcoredump {
namespace {

struct Given {
  uint64_t address;
  char type;
  std::string name;
  std::string module;
};

SymbolTable TableOf(const std::vector<Given>& symbols) {
  SymbolTable::Builder builder;
  for (const Given& given : symbols) {
    EXPECT_TRUE(builder.Add(given.address, given.type, given.name, given.module).ok());
  }
  return std::move(builder).Build();
}

std::string NameAt(const SymbolTable& table, uint64_t address) {
  const auto symbol = table.Containing(address);
  return symbol ? std::string(symbol->name) : "";
}

std::vector<std::string> NamesOf(const std::vector<Symbol>& symbols) {
  std::vector<std::string> names;
  for (const Symbol& symbol : symbols) names.emplace_back(symbol.name);
  return names;
}

constexpr uint64_t kStext = 0xffffffff81000000;
constexpr uint64_t kModule = 0xffffffffc0000000;

SymbolTable Kernel() {
  return TableOf({{0, 'A', "fixed_percpu_data", ""},
                  {0x1000, 'A', "cpu_tss_rw", ""},
                  {0x36000, 'A', "__per_cpu_end", ""},
                  {kStext, 'T', "_stext", ""},
                  {kStext, 'T', "_text", ""},
                  {kStext + 0x10, 't', "local", ""},
                  {kStext + 0x40, 't', "local", ""},
                  {kStext + 0x1000000, 'B', "_end", ""},
                  // As modules' own tables have them: in no order.
                  {kModule + 0x1100, 'd', "data", "one"},
                  {kModule + 0x10, 't', "probe", "one"},
                  {kModule, 't', "first", "one"},
                  {kModule + 0x3000, 't', "first", "two"},
                  {kModule + 0x2ff0, 't', "last", "one"},
                  {kModule + 0x801000, 't', "far", "two"}});
}

TEST(SymbolTable, OfNothing) {
  for (const SymbolTable& table : {SymbolTable(), SymbolTable::Builder().Build()}) {
    EXPECT_EQ(table.size(), 0U);
    EXPECT_FALSE(table.Containing(0));
    EXPECT_TRUE(table.StartingAt(0).empty());
    EXPECT_TRUE(table.Named("").empty());
    EXPECT_TRUE(table.Named("x").empty());
    EXPECT_TRUE(table.Matching("*", 10).empty());
  }
}

TEST(SymbolTable, StandsInAddressOrder) {
  const SymbolTable table = Kernel();
  for (size_t i = 1; i < table.size(); ++i) {
    EXPECT_LE(table.At(i - 1).address, table.At(i).address);
  }
  EXPECT_EQ(table.At(3).name, "_stext");
  EXPECT_EQ(table.At(4).name, "_text");
}

TEST(SymbolTable, AnAddressInASymbol) {
  const SymbolTable table = Kernel();
  EXPECT_EQ(NameAt(table, kStext + 0x10), "local");
  EXPECT_EQ(table.Containing(kStext + 0x3f)->address, kStext + 0x10);
  EXPECT_EQ(table.Containing(kStext + 0x40)->address, kStext + 0x40);
  EXPECT_EQ(NameAt(table, kModule + 0x10ff), "probe");
  EXPECT_EQ(NameAt(table, 0x1fff), "cpu_tss_rw");
}

TEST(SymbolTable, OfSeveralAtOneAddressTheFirst) {
  const SymbolTable table = Kernel();
  EXPECT_EQ(NameAt(table, kStext), "_stext");
  EXPECT_EQ(NameAt(table, kStext + 0xf), "_stext");
  EXPECT_EQ(NamesOf(table.StartingAt(kStext)), (std::vector<std::string>{"_stext", "_text"}));
  EXPECT_TRUE(table.StartingAt(kStext + 1).empty());
  EXPECT_EQ(table.At(3).size, 0x10U);
  EXPECT_EQ(table.At(4).size, 0x10U);
}

TEST(SymbolTable, PerCpuSymbolsDoNotReachIntoTheImage) {
  const SymbolTable table = Kernel();
  EXPECT_EQ(table.Named("__per_cpu_end").at(0).size, 0U);
  EXPECT_EQ(NameAt(table, 0x36000), "__per_cpu_end");
  EXPECT_EQ(NameAt(table, 0x36001), "");
  EXPECT_EQ(NameAt(table, kStext - 1), "");
}

TEST(SymbolTable, TheImageDoesNotReachIntoModules) {
  const SymbolTable table = Kernel();
  EXPECT_EQ(table.Named("_end").at(0).size, 0U);
  EXPECT_EQ(NameAt(table, kStext + 0x1000001), "");
  EXPECT_EQ(NameAt(table, kModule - 1), "");
}

TEST(SymbolTable, TheLastOfAModuleEndsWithItsPage) {
  const SymbolTable table = Kernel();
  EXPECT_EQ(table.Named("last").at(0).size, 0x10U);  // the next module begins there
  EXPECT_EQ(NameAt(table, kModule + 0x3000), "first");
  EXPECT_EQ(table.Containing(kModule + 0x3000)->module, "two");
  // 8 MiB to the next of the same module are two allocations, not one function.
  EXPECT_EQ(NameAt(table, kModule + 0x3fff), "first");
  EXPECT_EQ(NameAt(table, kModule + 0x4000), "");
  EXPECT_EQ(NameAt(table, kModule + 0x801fff), "far");
  EXPECT_EQ(NameAt(table, kModule + 0x802000), "");
  EXPECT_EQ(NameAt(table, ~uint64_t{0}), "");
}

TEST(SymbolTable, SizesOfAFewSymbolsAreNotKnown) {
  SymbolTable::Builder builder;
  ASSERT_TRUE(builder.Add(kStext, 'T', "_stext", "").ok());
  ASSERT_TRUE(builder.Add(kStext + 0x100, 'T', "init_uts_ns", "").ok());
  builder.WithoutSizes();
  const SymbolTable table = std::move(builder).Build();
  EXPECT_EQ(NameAt(table, kStext), "_stext");
  EXPECT_EQ(NameAt(table, kStext + 1), "");
}

TEST(SymbolTable, ANameThatStandsTwiceIsListedTwice) {
  const SymbolTable table = Kernel();
  const auto local = table.Named("local");
  ASSERT_EQ(local.size(), 2U);
  EXPECT_EQ(local[0].address, kStext + 0x10);
  EXPECT_EQ(local[1].address, kStext + 0x40);
  const auto first = table.Named("first");
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].module, "one");
  EXPECT_EQ(first[1].module, "two");
  EXPECT_TRUE(table.Named("firs").empty());
  EXPECT_TRUE(table.Named("first ").empty());
}

TEST(SymbolTable, EveryOneOfManyBothWays) {
  test::Random random(3);
  std::vector<Given> symbols;
  std::map<std::string, size_t> times;
  for (size_t i = 0; i < 5000; ++i) {
    const std::string name = "name_" + std::to_string(random.Below(3000));
    symbols.push_back({kStext + random.Below(1 << 20), 't', name, i % 3 == 0 ? "m" : ""});
    ++times[name];
  }
  const SymbolTable table = TableOf(symbols);
  std::stable_sort(symbols.begin(), symbols.end(),
                   [](const Given& a, const Given& b) { return a.address < b.address; });
  ASSERT_EQ(table.size(), symbols.size());
  for (size_t i = 0; i < symbols.size(); ++i) {
    EXPECT_EQ(table.At(i).address, symbols[i].address);
    EXPECT_EQ(table.At(i).name, symbols[i].name);
    EXPECT_EQ(table.At(i).module, symbols[i].module);
    EXPECT_EQ(table.Named(symbols[i].name).size(), times[symbols[i].name]);
    ASSERT_TRUE(table.Containing(symbols[i].address));
    EXPECT_EQ(table.Containing(symbols[i].address)->address, symbols[i].address);
  }
}

TEST(SymbolTable, ContainingAgreesWithALinearSearch) {
  const SymbolTable table = Kernel();
  test::Random random(5);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t base = i % 2 == 0 ? kStext - 0x100 : kModule - 0x100;
    const uint64_t address = base + random.Below(0x5000);
    std::string expected;
    for (size_t s = 0; s < table.size(); ++s) {
      const Symbol symbol = table.At(s);
      const bool first = s == 0 || table.At(s - 1).address != symbol.address;
      if (first && address >= symbol.address &&
          (address == symbol.address || address - symbol.address < symbol.size)) {
        expected = symbol.name;
      }
    }
    ASSERT_EQ(NameAt(table, address), expected) << std::hex << address;
  }
}

TEST(SymbolTable, OneNameAMillionTimes) {
  SymbolTable::Builder builder;
  for (uint64_t i = 0; i < 1000000; ++i) {
    ASSERT_TRUE(builder.Add(kStext, 't', "__func__", "").ok());
  }
  const SymbolTable table = std::move(builder).Build();
  EXPECT_EQ(table.Named("__func__").size(), 1000000U);
  EXPECT_EQ(NameAt(table, kStext), "__func__");
}

TEST(SymbolTable, BuilderGoesOnFromATable) {
  SymbolTable::Builder builder(Kernel());
  const size_t before = builder.size();
  ASSERT_TRUE(builder.Add(kStext + 0x20, 't', "later", "two").ok());
  ASSERT_TRUE(builder.Add(kModule + 0x9000, 't', "other", "three").ok());
  const SymbolTable table = std::move(builder).Build();
  EXPECT_EQ(table.size(), before + 2);
  EXPECT_EQ(NameAt(table, kStext + 0x2f), "later");
  EXPECT_EQ(table.Named("first").at(1).module, "two");
  EXPECT_EQ(table.Named("later").at(0).module, "two");
  EXPECT_EQ(table.Named("other").at(0).module, "three");
  EXPECT_EQ(table.Named("_stext").at(0).module, "");
  SymbolTable::Builder fresh((SymbolTable()));
  ASSERT_TRUE(fresh.Add(1, 't', "x", "m").ok());
  EXPECT_EQ(std::move(fresh).Build().At(0).module, "m");
}

TEST(SymbolTable, MovingKeepsTheText) {
  SymbolTable table = TableOf({{kStext, 'T', "a", "m"}});  // so short that a string would move it
  const Symbol symbol = table.At(0);
  const SymbolTable moved = std::move(table);
  EXPECT_EQ(symbol.name.data(), moved.At(0).name.data());
  EXPECT_EQ(symbol.module.data(), moved.At(0).module.data());
}

TEST(SymbolTable, NamesThatAreNone) {
  SymbolTable::Builder builder;
  EXPECT_EQ(builder.Add(0, 't', "", "").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(builder.Add(0, 't', std::string(kMaxSymbolNameBytes + 1, 'x'), "").error().code,
            ErrorCode::kCorrupt);
  EXPECT_EQ(builder.size(), 0U);
}

TEST(SymbolTable, GlobsListInAddressOrderUpToALimit) {
  const SymbolTable table = Kernel();
  EXPECT_EQ(NamesOf(table.Matching("_*t", 10)), (std::vector<std::string>{"_stext", "_text"}));
  EXPECT_EQ(NamesOf(table.Matching("l[a-o]*", 10)),
            (std::vector<std::string>{"local", "local", "last"}));
  EXPECT_EQ(table.Matching("*", 5).size(), 5U);
  EXPECT_EQ(table.Matching("*", 1000).size(), table.size());
  EXPECT_TRUE(table.Matching("*", 0).empty());
}

TEST(Glob, Matches) {
  for (const auto& [glob, name] :
       std::vector<std::pair<const char*, const char*>>{{"", ""},
                                                        {"*", ""},
                                                        {"*", "abc"},
                                                        {"**", "abc"},
                                                        {"abc", "abc"},
                                                        {"a?c", "abc"},
                                                        {"a*c", "ac"},
                                                        {"a*c", "abcbc"},
                                                        {"*b*", "abc"},
                                                        {"*.isra.*", "x.isra.0"},
                                                        {"[abc]", "b"},
                                                        {"[a-c]x", "cx"},
                                                        {"[!a-c]", "d"},
                                                        {"[^a]", "b"},
                                                        {"[]]", "]"},
                                                        {"[a-]", "-"},
                                                        {"[", "["},
                                                        {"a[b", "a[b"},
                                                        {"\\*", "*"},
                                                        {"a\\", "a\\"},
                                                        {"tcp_v[46]_*", "tcp_v6_rcv"}}) {
    EXPECT_TRUE(GlobMatches(glob, name)) << glob << " " << name;
  }
}

TEST(Glob, DoesNotMatch) {
  for (const auto& [glob, name] :
       std::vector<std::pair<const char*, const char*>>{{"", "a"},
                                                        {"a", ""},
                                                        {"?", ""},
                                                        {"a?", "a"},
                                                        {"a*b", "a"},
                                                        {"[abc]", "d"},
                                                        {"[!a]", "a"},
                                                        {"[a-c]", ""},
                                                        {"\\*", "a"},
                                                        {"abc", "ab"},
                                                        {"ab", "abc"},
                                                        {"[z-a]", "m"}}) {
    EXPECT_FALSE(GlobMatches(glob, name)) << glob << " " << name;
  }
}

TEST(Glob, ManyStarsDoNotMultiply) {
  std::string glob;
  for (int i = 0; i < 200; ++i) glob += "a*";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(GlobMatches(glob + "b", std::string(1024, 'a')));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace kcoredump
