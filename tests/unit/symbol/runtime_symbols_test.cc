// SPDX-License-Identifier: MIT
#include "symbol/runtime_symbols.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "support/fake_view.h"

namespace kcoredump {
namespace {

using Members = std::vector<std::pair<const char*, int>>;  ///< name, type; they follow each other

/// BTF of a kernel's structures for code made at run time, smaller than the real ones.
class Types {
 public:
  Types() : btf_(btf__new_empty()) {
    const int number = btf__add_int(btf_.get(), "unsigned long", 8, 0);
    const int letter = btf__add_int(btf_.get(), "char", 1, BTF_INT_CHAR);
    const int name = btf__add_array(btf_.get(), number, letter, 32);
    const int pointer = btf__add_ptr(btf_.get(), letter);
    const int links = Struct("list_head", {{"next", number}, {"prev", number}});
    Struct("ftrace_ops", {{"func", number}, {"list", links}, {"trampoline", number}});
    Struct("bpf_ksym", {{"start", number}, {"end", number}, {"name", name}, {"lnode", links}});
    Struct("kprobe_insn_page", {{"list", links}, {"insns", number}});
    Struct("kprobe_insn_cache", {{"sym", pointer}, {"pages", links}});
  }

  std::unique_ptr<TypeCatalog> Catalog() {
    uint32_t bytes = 0;
    const void* data = btf__raw_data(btf_.get(), &bytes);
    auto catalog = TypeCatalog::Load({static_cast<const std::byte*>(data), bytes}, {});
    EXPECT_TRUE(catalog.ok());
    return std::move(catalog.value());
  }

 private:
  struct Free {
    void operator()(btf* handle) const { btf__free(handle); }
  };

  int Struct(const char* name, const Members& members) {
    uint32_t bytes = 0;
    for (const auto& [member, type] : members) bytes += Bytes(type);
    const int id = btf__add_struct(btf_.get(), name, bytes);
    uint32_t bits = 0;
    for (const auto& [member, type] : members) {
      EXPECT_EQ(btf__add_field(btf_.get(), member, type, bits, 0), 0);
      bits += Bytes(type) * 8;
    }
    return id;
  }

  uint32_t Bytes(int type) const {
    return static_cast<uint32_t>(btf__resolve_size(btf_.get(), static_cast<uint32_t>(type)));
  }

  std::unique_ptr<btf, Free> btf_;
};

class RuntimeSymbolsTest : public testing::Test {
 protected:
  RuntimeSymbolsTest() {
    Link(kTrampolines, {});
    Link(kPrograms, {});
    memory_.PutValue<uint64_t>(kSlots, kSlotsName);
    Link(kSlots + 8, {});
    memory_.Put(kSlotsName, std::string("kprobe_insn_page\0", 17) + std::string(300, '\0'));
    symbols_ = {{"ftrace_ops_trampoline_list", kTrampolines},
                {"bpf_kallsyms", kPrograms},
                {"kprobe_insn_slots", kSlots}};
  }

  /// A circular list of these list_heads.
  void Link(uint64_t head, std::vector<uint64_t> nodes) {
    nodes.insert(nodes.begin(), head);
    for (size_t i = 0; i < nodes.size(); ++i) {
      const uint64_t next = nodes[(i + 1) % nodes.size()];
      memory_.PutValue<uint64_t>(nodes[i], next);
      memory_.PutValue<uint64_t>(next + 8, nodes[i]);
    }
  }

  void PutProgram(uint64_t at, uint64_t start, const std::string& name) {
    memory_.Put(at, std::vector<std::byte>(64));
    memory_.PutValue<uint64_t>(at, start);
    memory_.Put(at + 16, name);
  }

  SymbolTable Read() {
    SymbolTable::Builder builder;
    const auto lookup = [this](std::string_view name) -> std::optional<uint64_t> {
      const auto found = symbols_.find(std::string(name));
      return found == symbols_.end() ? std::nullopt : std::optional(found->second);
    };
    EXPECT_TRUE(AddRuntimeSymbols(memory_, *catalog_, lookup, builder, notes_).ok());
    return std::move(builder).Build();
  }

  static constexpr uint64_t kTrampolines = 0x1000;
  static constexpr uint64_t kPrograms = 0x2000;
  static constexpr uint64_t kSlots = 0x3000;
  static constexpr uint64_t kSlotsName = 0x3800;
  static constexpr uint64_t kNode = 48;  ///< bpf_ksym.lnode

  test::FakeView memory_;
  std::map<std::string, uint64_t> symbols_;
  std::unique_ptr<TypeCatalog> catalog_ = Types().Catalog();
  std::vector<std::string> notes_;
};

TEST_F(RuntimeSymbolsTest, EveryKindIsFoundAsKallsymsHasIt) {
  memory_.PutValue<uint64_t>(0x5000, 0);
  memory_.PutValue<uint64_t>(0x5018, 0xffffffffc0001000);
  Link(kTrampolines, {0x5008});
  PutProgram(0x6000, 0xffffffffc0002040, "bpf_prog_6deef7357e7b4530");
  Link(kPrograms, {0x6000 + kNode});
  memory_.PutValue<uint64_t>(0x7010, 0xffffffffc0003000);
  Link(kSlots + 8, {0x7000});
  const SymbolTable table = Read();
  EXPECT_TRUE(notes_.empty());
  ASSERT_EQ(table.size(), 3u);
  EXPECT_EQ(table.At(0).name, "ftrace_trampoline");
  EXPECT_EQ(table.At(0).module, "__builtin__ftrace");
  EXPECT_EQ(table.At(0).address, 0xffffffffc0001000);
  EXPECT_EQ(table.At(0).type, 't');
  EXPECT_EQ(table.At(1).name, "bpf_prog_6deef7357e7b4530");
  EXPECT_EQ(table.At(1).module, "bpf");
  EXPECT_EQ(table.At(2).name, "kprobe_insn_page");
  EXPECT_EQ(table.At(2).module, "__builtin__kprobes");
}

TEST_F(RuntimeSymbolsTest, AKernelWithoutTheListsHasNone) {
  symbols_.clear();
  EXPECT_EQ(Read().size(), 0u);
  EXPECT_TRUE(notes_.empty());
}

TEST_F(RuntimeSymbolsTest, AListThatCannotBeReadCostsItselfAlone) {
  PutProgram(0x6000, 0xffffffffc0002040, "bpf_prog_6deef7357e7b4530");
  Link(kPrograms, {0x6000 + kNode});
  symbols_["ftrace_ops_trampoline_list"] = 0xdead000;
  EXPECT_EQ(Read().size(), 1u);
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_NE(notes_[0].find("ftrace's trampolines"), std::string::npos) << notes_[0];
}

TEST_F(RuntimeSymbolsTest, ALoopInTheListEnds) {
  PutProgram(0x6000, 0xffffffffc0002040, "one");
  PutProgram(0x6100, 0xffffffffc0002080, "two");
  Link(kPrograms, {0x6000 + kNode, 0x6100 + kNode});
  memory_.PutValue<uint64_t>(0x6100 + kNode, 0x6000 + kNode);
  EXPECT_EQ(Read().size(), 2u);
  EXPECT_EQ(notes_.size(), 1u);
}

TEST_F(RuntimeSymbolsTest, AnEntryWithoutANameIsPassedOver) {
  PutProgram(0x6000, 0xffffffffc0002040, "");
  PutProgram(0x6100, 0xffffffffc0002080, "two");
  Link(kPrograms, {0x6000 + kNode, 0x6100 + kNode});
  const SymbolTable table = Read();
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table.At(0).name, "two");
}

}  // namespace
}  // namespace kcoredump
