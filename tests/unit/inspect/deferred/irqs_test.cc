// SPDX-License-Identifier: MIT
#include "inspect/deferred/irqs.h"

#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kIrqTree = 0xffffffff82500000;
constexpr uint64_t kIrqDesc = 0xffff888000600000;
constexpr uint64_t kIrqActions = 0xffff888000610000;
constexpr uint64_t kIrqCounts = 0x5000;  ///< per CPU
constexpr uint64_t kIrqNames = 0xffff888000620000;
constexpr uint64_t kIrqCpu = 0xffff888000630000;  ///< what CPUs have of their own
constexpr uint64_t kIrqMasks = 0xffff888000640000;

/// Interrupt 0 with two handlers, of two CPUs.
class IrqsTest : public testing::Test {
 protected:
  IrqsTest() {
    kernel_.Struct("xarray", 16, {{"xa_lock", 0, 4}, {"xa_head", 8}});
    kernel_.Struct("xa_node", 64 * 8 + 16, {{"shift", 0, 1}, {"slots", 16, 64 * 8}});
    kernel_.Struct("irq_data", 32, {{"hwirq", 0}, {"chip", 8}, {"domain", 16}});
    kernel_.Struct("irq_chip", 8, {{"name", 0}});
    kernel_.Struct("irq_desc", 64,
                   {{"irq_data", 0, 32, "irq_data"},
                    {"kstat_irqs", 32},
                    {"handle_irq", 40},
                    {"action", 48},
                    {"name", 56}});
    kernel_.Struct("irqaction", 32, {{"handler", 0}, {"next", 8}, {"thread_fn", 16}, {"name", 24}});
    kernel_.Struct("cpumask", 8, {{"bits", 0}});
    kernel_.Symbol("irq_desc_tree", kIrqTree);
    kernel_.Symbol("__per_cpu_offset", kIrqMasks + 8);
    kernel_.Symbol("__cpu_online_mask", kIrqMasks);
    kernel_.Zero(kIrqMasks, 32);
    kernel_.Word(kIrqMasks, 0b101);
    kernel_.Word(kIrqMasks + 8, kIrqCpu);
    kernel_.Word(kIrqMasks + 24, kIrqCpu + 0x100);
    kernel_.Zero(kIrqCpu + kIrqCounts, 0x200);
    kernel_.memory.PutValue<uint32_t>(kIrqCpu + kIrqCounts, 3);
    kernel_.memory.PutValue<uint32_t>(kIrqCpu + 0x100 + kIrqCounts, 5);
    kernel_.Zero(kIrqTree, 16);
    kernel_.Word(kIrqTree + 8, kIrqDesc);
    kernel_.Zero(kIrqNames, 8192);
    kernel_.memory.Put(kIrqNames, "disk");
    kernel_.memory.Put(kIrqNames + 16, "edge");
    kernel_.Zero(kIrqDesc, 64);
    kernel_.Word(kIrqDesc + 32, kIrqCounts);
    kernel_.Word(kIrqDesc + 48, kIrqActions);
    kernel_.Word(kIrqDesc + 56, kIrqNames + 16);
    kernel_.Zero(kIrqActions, 64);
    for (const uint64_t at : {kIrqActions, kIrqActions + 32}) kernel_.Word(at + 24, kIrqNames);
    kernel_.Word(kIrqActions + 8, kIrqActions + 32);
  }

  IrqList Walk() {
    auto walked = WalkIrqs(kernel_.sources());
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : IrqList{};
  }

  test::FakeKernel kernel_;
};

TEST_F(IrqsTest, CountsByCpuAndListsHandlers) {
  const IrqList list = Walk();
  EXPECT_EQ(list.cpus, (std::vector<uint32_t>{0, 2}));
  ASSERT_EQ(list.irqs.size(), 1U);
  EXPECT_EQ(list.irqs[0].counts, (std::vector<uint64_t>{3, 5}));
  EXPECT_EQ(list.irqs[0].flow, "edge");
  EXPECT_FALSE(list.irqs[0].hardware.has_value());
  ASSERT_EQ(list.irqs[0].actions.size(), 2U);
  EXPECT_EQ(list.irqs[0].actions[1].name, "disk");
  EXPECT_FALSE(list.findings.incomplete);
}

TEST_F(IrqsTest, ACircleOfHandlersEnds) {
  kernel_.Word(kIrqActions + 32 + 8, kIrqActions);
  const IrqList list = Walk();
  ASSERT_EQ(list.irqs.size(), 1U);
  EXPECT_EQ(list.irqs[0].actions.size(), 2U);
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(IrqsTest, AWildDescriptorIsMissed) {
  kernel_.Word(kIrqTree + 8, 0xdead000000000000);
  const IrqList list = Walk();
  EXPECT_TRUE(list.irqs.empty());
  EXPECT_TRUE(list.findings.incomplete);
}

TEST_F(IrqsTest, WildCountsCostTheCounts) {
  kernel_.Word(kIrqDesc + 32, 0x7000000);
  const IrqList list = Walk();
  ASSERT_EQ(list.irqs.size(), 1U);
  EXPECT_TRUE(list.irqs[0].counts.empty());
  EXPECT_TRUE(list.findings.incomplete);
}

}  // namespace
}  // namespace kcoredump
