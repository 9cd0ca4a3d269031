// SPDX-License-Identifier: MIT
#include "inspect/task/tasks.h"

#include <gtest/gtest.h>

#include "support/btf_builder.h"
#include "support/fake_view.h"

namespace kcoredump {
namespace {

constexpr uint64_t kInitTask = 0xffffffff82000000;
constexpr uint64_t kFirstTask = 0xffff888000100000;
constexpr uint64_t kStride = 0x10000;
constexpr uint64_t kHead = 0x20;  ///< of a signal_struct, that many bytes behind the task here
// Offsets within a task_struct of this test.
constexpr uint64_t kTasks = 0;
constexpr uint64_t kPid = 16;
constexpr uint64_t kTgid = 20;
constexpr uint64_t kComm = 24;
constexpr uint64_t kSignal = 40;
constexpr uint64_t kThreadNode = 48;
constexpr uint64_t kTaskBytes = 64;      ///< all but the FPU state
constexpr uint64_t kSignalAt = 0x8000;   ///< behind its task
constexpr uint64_t kWholeTask = 0x3000;  ///< with it

/// A kernel of a few tasks, with the members that the lists hang on.
class TasksTest : public testing::Test {
 protected:
  TasksTest() {
    test::BtfBuilder btf;
    const uint32_t u32 = btf.AddInt("unsigned int", 4);
    const uint32_t letter = btf.AddInt("char", 1, 1);
    const uint32_t link = btf.next();
    btf.AddPointer(link + 1);
    const uint32_t list = btf.AddStruct("list_head", 16, {{"next", link, 0}, {"prev", link, 64}});
    const uint32_t name = btf.AddArray(letter, 16);
    const uint32_t signal = btf.AddStruct("signal_struct", 0x40,
                                          {{"nr_threads", u32, 0}, {"thread_head", list, 0x100}});
    const uint32_t fpu = btf.AddArray(letter, 0x2000);
    btf.AddStruct("task_struct", kWholeTask,
                  {{"tasks", list, kTasks * 8},
                   {"pid", u32, kPid * 8},
                   {"tgid", u32, kTgid * 8},
                   {"comm", name, kComm * 8},
                   {"signal", btf.AddPointer(signal), kSignal * 8},
                   {"thread_node", list, kThreadNode * 8},
                   {"fpu", fpu, 0x1000 * 8}});
    auto loaded = TypeCatalog::Load(btf.Build(), {});
    EXPECT_TRUE(loaded.ok());
    types_ = std::move(loaded.value());
    PutTask(kInitTask, 0, "swapper/0");
  }

  /// A task alone in its process.
  void PutTask(uint64_t at, uint32_t pid, std::string_view comm) {
    memory_.Put(at, std::string(kTaskBytes, '\0'));
    memory_.PutValue<uint32_t>(at + kPid, pid);
    memory_.PutValue<uint32_t>(at + kTgid, pid);
    memory_.Put(at + kComm, comm);
    memory_.PutValue<uint64_t>(at + kSignal, at + kSignalAt);
    memory_.Put(at + kSignalAt, std::string(0x40, '\0'));
    memory_.PutValue<uint32_t>(at + kSignalAt, 1);
    Link({at + kSignalAt + kHead, at + kThreadNode});
    Link({at + kTasks});
  }

  /// A circular list of these nodes.
  void Link(const std::vector<uint64_t>& nodes) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      memory_.PutValue<uint64_t>(nodes[i], nodes[(i + 1) % nodes.size()]);
      memory_.PutValue<uint64_t>(nodes[i] + 8, nodes[(i + nodes.size() - 1) % nodes.size()]);
    }
  }

  /// Processes 1 to `count`, in a list.
  void PutProcesses(uint32_t count) {
    std::vector<uint64_t> nodes = {kInitTask + kTasks};
    for (uint32_t pid = 1; pid <= count; ++pid) {
      PutTask(At(pid), pid, "p" + std::to_string(pid));
      nodes.push_back(At(pid) + kTasks);
    }
    Link(nodes);
  }

  static uint64_t At(uint32_t pid) { return kFirstTask + pid * kStride; }

  TaskList Walk(bool threads = false) {
    TaskSources sources{.kernel = memory_,
                        .types = *types_,
                        .symbol = [](std::string_view name) -> std::optional<uint64_t> {
                          if (name != "init_task") return std::nullopt;
                          return kInitTask;
                        },
                        .process_space = {}};
    auto walked = WalkTasks(sources, threads);
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : TaskList{};
  }

  static std::vector<uint32_t> Pids(const TaskList& list) {
    std::vector<uint32_t> pids;
    for (const Task& task : list.tasks) pids.push_back(task.pid);
    return pids;
  }

  std::unique_ptr<TypeCatalog> types_;
  test::FakeView memory_;
};

TEST_F(TasksTest, ListsEveryProcessButTheIdleTask) {
  PutProcesses(3);
  const TaskList list = Walk();
  EXPECT_EQ(Pids(list), (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_EQ(list.tasks[1].comm, "p2");
  EXPECT_EQ(list.tasks[1].threads, 1U);
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_F(TasksTest, DoesNotNeedTheFpuStateThatADumpLeftOut) {
  PutProcesses(2);
  for (const uint32_t pid : {1, 2}) memory_.Remove(At(pid) + 0x1000, 0x2000);
  const TaskList list = Walk(true);
  EXPECT_EQ(Pids(list), (std::vector<uint32_t>{1, 2}));
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_F(TasksTest, ListsThreadsOfAProcess) {
  PutProcesses(2);
  PutTask(At(7), 7, "worker");
  memory_.PutValue<uint32_t>(At(7) + kTgid, 1);
  Link({At(1) + kSignalAt + kHead, At(1) + kThreadNode, At(7) + kThreadNode});
  EXPECT_EQ(Pids(Walk(true)), (std::vector<uint32_t>{1, 7, 2}));
  EXPECT_EQ(Pids(Walk(false)), (std::vector<uint32_t>{1, 2}));
}

TEST_F(TasksTest, AnUnreadableTaskCostsItselfAlone) {
  PutProcesses(4);
  memory_.Remove(At(2), kTaskBytes);
  const TaskList list = Walk();
  EXPECT_EQ(Pids(list), (std::vector<uint32_t>{1, 3, 4}));
  EXPECT_TRUE(list.findings.incomplete);
  ASSERT_EQ(list.findings.notes.empty(), false);
}

TEST_F(TasksTest, AZeroedTaskIsNoTask) {
  PutProcesses(3);
  memory_.Put(At(2), std::string(kTaskBytes, '\0'));
  const TaskList list = Walk();
  EXPECT_EQ(Pids(list), (std::vector<uint32_t>{1, 3}));
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(TasksTest, ACircleOfTasksEnds) {
  PutProcesses(4);
  memory_.PutValue<uint64_t>(At(3) + kTasks, At(2) + kTasks);
  const TaskList list = Walk();
  EXPECT_EQ(Pids(list), (std::vector<uint32_t>{1, 2, 3, 4}));
  EXPECT_FALSE(list.findings.notes.empty());
}

TEST_F(TasksTest, ACircleOfThreadsEnds) {
  PutProcesses(2);
  memory_.PutValue<uint64_t>(At(1) + kThreadNode, At(1) + kThreadNode);
  const TaskList list = Walk(true);
  EXPECT_EQ(Pids(list), (std::vector<uint32_t>{1, 2}));
  EXPECT_FALSE(list.findings.notes.empty());
}

}  // namespace
}  // namespace kcoredump
