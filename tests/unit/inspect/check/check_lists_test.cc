// SPDX-License-Identifier: MIT
//
// Modules and processes that one list has and another lacks, and lists that are forged.
#include <algorithm>

#include "inspect/check/checks.h"
#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kListedText = 0xffffffff81000000;
constexpr uint64_t kListedHeads = 0xffffffff82000000;
constexpr uint64_t kListedModules = 0xffffffffc0100000;
constexpr uint64_t kListedKobjects = 0xffff888000600000;
constexpr uint64_t kListedTasks = 0xffff888000700000;

class CheckListsTest : public testing::Test {
 protected:
  CheckListsTest() {
    kernel_.Struct("list_head", 16, {{"next", 0}, {"prev", 8}});
    kernel_.Struct("kobject", 24, {{"entry", 0, 16, "list_head"}, {"name", 16}});
    kernel_.Struct("kset", 16, {{"list", 0, 16, "list_head"}});
    kernel_.Struct("module_kobject", 32, {{"kobj", 0, 24, "kobject"}, {"mod", 24}});
    kernel_.Struct("module", 64, {{"list", 0, 16, "list_head"}, {"name", 16, 32}});
    kernel_.Struct("task_struct", 128,
                   {{"tasks", 0, 16, "list_head"},
                    {"pid", 16, 4},
                    {"tgid", 20, 4},
                    {"comm", 24, 16},
                    {"exit_state", 40, 4},
                    {"start_boottime", 48},
                    {"children", 56, 16, "list_head"},
                    {"sibling", 72, 16, "list_head"}});
    kernel_.Symbol("_stext", kListedText);
    kernel_.Symbol("_etext", kListedText + 0x1000);
    kernel_.Symbol("module_kset", kListedHeads);
    kernel_.Symbol("init_task", Task(0));
    kernel_.Word(kListedHeads, kListedHeads + 64);
    for (uint64_t i = 0; i < 4; ++i) {
      kernel_.Zero(Kobject(i), 32);
      kernel_.Word(Kobject(i) + 24, Module(i));
      kernel_.Zero(Module(i), 64);
      kernel_.memory.Put(Module(i) + 16, "m" + std::to_string(i));
      PutTask(i);
    }
    Circle({kListedHeads + 64, Kobject(0), Kobject(1)});
    Circle({Task(0), Task(1), Task(2)});
    Circle({Task(0) + 56, Task(1) + 72, Task(2) + 72});
    for (const uint64_t parent : {1U, 2U, 3U}) Circle({Task(parent) + 56});
  }

  static uint64_t Kobject(uint64_t number) { return kListedKobjects + number * 0x40; }
  static uint64_t Module(uint64_t number) { return kListedModules + number * 0x40; }
  static uint64_t Task(uint64_t number) { return kListedTasks + number * 0x80; }
  void PutTask(uint64_t number) {
    kernel_.Zero(Task(number), 128);
    kernel_.memory.PutValue<uint32_t>(Task(number) + 16, static_cast<uint32_t>(number));
    kernel_.memory.PutValue<uint32_t>(Task(number) + 20, static_cast<uint32_t>(number));
    kernel_.memory.Put(Task(number) + 24, "t" + std::to_string(number));
    kernel_.Word(Task(number) + 48, 100 - number);
  }
  void Circle(const std::vector<uint64_t>& nodes) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      kernel_.Word(nodes[i], nodes[(i + 1) % nodes.size()]);
      kernel_.Word(nodes[i] + 8, nodes[(i + nodes.size() - 1) % nodes.size()]);
    }
  }
  void List(uint64_t number) {
    LoadedModule module;
    module.name = "m" + std::to_string(number);
    module.address = Module(number);
    module.state = "Live";
    modules_.modules.push_back(std::move(module));
  }
  template <typename Check>
  std::vector<CheckFinding> Run(const Check& check) {
    const TaskSources kernel = kernel_.sources();
    std::vector<std::string> notes;
    const CodeMap code = CodeMap::Create(kernel, modules_, notes).value();
    const SymbolTable symbols;
    const CheckSources sources{
        .kernel = kernel, .code = code, .symbols = symbols, .modules = modules_};
    CheckLog log(sources, "one", "this with that");
    check(sources, log);
    unchecked_ = log.summary().unchecked;
    return std::move(log.findings());
  }
  std::vector<CheckFinding> Modules() {
    return Run(
        [](const CheckSources& sources, CheckLog& log) { CheckModules(sources, nullptr, log); });
  }
  bool Says(std::string_view word) const {
    return std::any_of(unchecked_.begin(), unchecked_.end(), [&](const std::string& text) {
      return text.find(word) != std::string::npos;
    });
  }

  test::FakeKernel kernel_;
  ModuleList modules_;
  std::vector<std::string> unchecked_;
};

/// What a forged image has to complain of is without end, what is held of it is not.
TEST_F(CheckListsTest, AMillionComplaintsAreNotHeld) {
  const auto found = Run([](const CheckSources&, CheckLog& log) {
    for (int i = 0; i < 1'000'000; ++i) {
      log.Unchecked(std::to_string(i));
      log.Find({});
    }
    EXPECT_EQ(log.summary().findings, 1'000'000U);
  });
  EXPECT_EQ(found.size(), kMaxFindingsOfCheck);
  EXPECT_EQ(unchecked_.size(), kMaxUncheckedOfCheck + 1);
  EXPECT_TRUE(Says("and more of the kind"));
}

TEST_F(CheckListsTest, ModulesOfBothListsAreQuietAndWhatIsMissingIsSaid) {
  List(0);
  List(1);
  EXPECT_TRUE(Modules().empty());
  EXPECT_TRUE(Says("mod_tree"));
  EXPECT_TRUE(Says("vmalloc"));
}

TEST_F(CheckListsTest, AModuleThatOneListLacksIsFound) {
  List(0);
  List(2);
  const auto found = Modules();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].object, "module m1");
  EXPECT_EQ(found[0].address, Module(1));
  EXPECT_EQ(found[1].object, "module m2");
  EXPECT_EQ(found[1].kind, "hidden");
}

TEST_F(CheckListsTest, AForgedListOfKobjectsEnds) {
  List(0);
  List(1);
  kernel_.Word(Kobject(1), Kobject(0));
  Modules();
  EXPECT_TRUE(Says("sysfs's list"));
  kernel_.Word(kListedHeads, 0xdead000000000000);
  Modules();
  EXPECT_FALSE(unchecked_.empty());
}

TEST_F(CheckListsTest, ProcessesOfEveryListAreQuiet) {
  EXPECT_TRUE(Run(CheckProcesses).empty());
  EXPECT_TRUE(Says("init_pid_ns"));
  EXPECT_TRUE(Says("run queues"));
}

TEST_F(CheckListsTest, AProcessThatIsNotListedIsFoundAmongChildren) {
  Circle({Task(2) + 56, Task(3) + 72});
  const auto found = Run(CheckProcesses);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].object, "PID 3 t3");
  EXPECT_EQ(found[0].address, Task(3));
  EXPECT_NE(found[0].text.find("the children of PID 2"), std::string::npos);
}

TEST_F(CheckListsTest, WhoExitsOrStartedLastIsNotHidden) {
  Circle({Task(2) + 56, Task(3) + 72});
  kernel_.Word(Task(3) + 48, 1000);
  EXPECT_TRUE(Run(CheckProcesses).empty());
  EXPECT_TRUE(Says("newest"));
  kernel_.Word(Task(3) + 48, 1);
  kernel_.memory.PutValue<uint32_t>(Task(3) + 40, 16);
  EXPECT_TRUE(Run(CheckProcesses).empty());
}

TEST_F(CheckListsTest, ForgedChildrenEnd) {
  kernel_.Word(Task(1) + 56, Task(1) + 56 + 8);
  kernel_.Word(Task(2) + 56, 0x4141414141414141);
  Run(CheckProcesses);
  EXPECT_TRUE(Says("the children of PID 1"));
  EXPECT_TRUE(Says("the children of PID 2"));
}

}  // namespace
}  // namespace kcoredump
