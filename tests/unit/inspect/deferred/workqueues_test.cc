// SPDX-License-Identifier: MIT
#include "inspect/deferred/workqueues.h"

#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kQueuesHead = 0xffffffff82700000;
constexpr uint64_t kPoolTree = 0xffffffff82710000;
constexpr uint64_t kQueue = 0xffff888000800000;
constexpr uint64_t kPoolQueue = 0xffff888000810000;
constexpr uint64_t kPool = 0xffff888000820000;
constexpr uint64_t kWorkers = 0xffff888000830000;
constexpr uint64_t kWorks = 0xffff888000840000;
constexpr uint64_t kQueueName = 32;  ///< offsets
constexpr uint64_t kInactive = 24;
constexpr uint64_t kPoolQueueLink = 40;
constexpr uint64_t kWorklist = 8;
constexpr uint64_t kPoolWorkers = 24;
constexpr uint64_t kWorkerLink = 0;
constexpr uint64_t kScheduled = 16;
constexpr uint64_t kWorkLink = 8;

/// A queue with one pool, in which a work is pending and a worker is at work.
class WorkqueuesTest : public testing::Test {
 protected:
  WorkqueuesTest() {
    kernel_.Struct("list_head", 16, {{"next", 0}, {"prev", 8}});
    kernel_.Struct("xarray", 16, {{"xa_lock", 0, 4}, {"xa_head", 8}});
    kernel_.Struct("xa_node", 64 * 8 + 16, {{"shift", 0, 1}, {"slots", 16, 64 * 8}});
    kernel_.Struct(
        "workqueue_struct", 64,
        {{"list", 0, 16, "list_head"}, {"pwqs", 16, 16, "list_head"}, {"name", kQueueName, 24}});
    kernel_.Struct("pool_workqueue", 64,
                   {{"pool", 0},
                    {"wq", 8},
                    {"nr_active", 16, 4},
                    {"inactive_works", kInactive, 16, "list_head"},
                    {"pwqs_node", kPoolQueueLink, 16, "list_head"}});
    kernel_.Struct("worker_pool", 48,
                   {{"id", 0, 4},
                    {"cpu", 4, 4},
                    {"worklist", kWorklist, 16, "list_head"},
                    {"workers", kPoolWorkers, 16, "list_head"}});
    kernel_.Struct("worker", 64,
                   {{"node", kWorkerLink, 16, "list_head"},
                    {"scheduled", kScheduled, 16, "list_head"},
                    {"task", 32},
                    {"current_work", 40},
                    {"current_func", 48},
                    {"current_pwq", 56}});
    kernel_.Struct("work_struct", 32,
                   {{"data", 0}, {"entry", kWorkLink, 16, "list_head"}, {"func", 24}});
    kernel_.Symbol("workqueues", kQueuesHead);
    kernel_.Symbol("worker_pool_idr", kPoolTree);
    kernel_.Zero(kQueue, 64);
    kernel_.memory.Put(kQueue + kQueueName, "lab");
    kernel_.Zero(kPoolQueue, 64);
    kernel_.Word(kPoolQueue, kPool);
    kernel_.Word(kPoolQueue + 8, kQueue);
    kernel_.Word(kPoolQueue + 16, 2);
    kernel_.Zero(kPool, 48);
    kernel_.memory.PutValue<int32_t>(kPool, 7);
    kernel_.memory.PutValue<int32_t>(kPool + 4, -1);
    kernel_.Zero(kPoolTree, 16);
    kernel_.Word(kPoolTree + 8, kPool);
    kernel_.Zero(kWorkers, 64);
    kernel_.Word(kWorkers + 40, Work(2));
    kernel_.Word(kWorkers + 48, 0x1234);
    kernel_.Word(kWorkers + 56, kPoolQueue);
    for (uint64_t i = 0; i < 3; ++i) {
      kernel_.Zero(Work(i), 32);
      kernel_.Word(Work(i) + 24, 0x2000 + i);
    }
    Circle({kQueuesHead, kQueue});
    Circle({kQueue + 16, kPoolQueue + kPoolQueueLink});
    Circle({kPoolQueue + kInactive, Work(0) + kWorkLink});
    Circle({kPool + kWorklist, Work(1) + kWorkLink});
    Circle({kPool + kPoolWorkers, kWorkers + kWorkerLink});
    Circle({kWorkers + kScheduled});
  }

  static uint64_t Work(uint64_t number) { return kWorks + number * 0x40; }
  void Circle(const std::vector<uint64_t>& nodes) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i] == kQueuesHead) kernel_.Zero(kQueuesHead, 16);
      kernel_.Word(nodes[i], nodes[(i + 1) % nodes.size()]);
      kernel_.Word(nodes[i] + 8, nodes[(i + nodes.size() - 1) % nodes.size()]);
    }
  }
  WorkqueueList Walk() {
    auto walked = WalkWorkqueues(kernel_.sources());
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : WorkqueueList{};
  }

  test::FakeKernel kernel_;
};

TEST_F(WorkqueuesTest, TellsWhatRunsAndWhatWaits) {
  const WorkqueueList list = Walk();
  ASSERT_EQ(list.workqueues.size(), 1U);
  EXPECT_EQ(list.workqueues[0].name, "lab");
  EXPECT_EQ(list.workqueues[0].active, 2U);
  EXPECT_EQ(list.workqueues[0].pools, std::vector<int32_t>{7});
  ASSERT_EQ(list.pools.size(), 1U);
  EXPECT_FALSE(list.pools[0].cpu.has_value());
  ASSERT_EQ(list.works.size(), 3U);
  EXPECT_EQ(list.works[0].state, WorkState::kRunning);
  EXPECT_EQ(list.works[0].function.address, 0x1234U);
  EXPECT_EQ(list.works[0].workqueue, "lab");
  EXPECT_EQ(list.works[1].state, WorkState::kPending);
  EXPECT_EQ(list.works[1].function.address, 0x2001U);
  EXPECT_EQ(list.works[2].state, WorkState::kInactive);
}

TEST_F(WorkqueuesTest, CirclesOfWorkEnd) {
  kernel_.Word(Work(1) + kWorkLink, Work(1) + kWorkLink);
  kernel_.Word(Work(0) + kWorkLink, Work(0) + kWorkLink);
  const WorkqueueList list = Walk();
  EXPECT_EQ(list.works.size(), 3U);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(WorkqueuesTest, WildPointersCostWhatIsBehindThem) {
  kernel_.Word(kPoolQueue, 0xdead000000000000);
  kernel_.Word(kPool + kWorklist, 0xdead000000000000);
  kernel_.Word(kWorkers + 56, 0xdead000000000000);
  const WorkqueueList list = Walk();
  EXPECT_EQ(list.workqueues.size(), 1U);
  EXPECT_EQ(list.pools.size(), 1U);
  EXPECT_TRUE(list.findings.incomplete);
}

}  // namespace
}  // namespace kcoredump
