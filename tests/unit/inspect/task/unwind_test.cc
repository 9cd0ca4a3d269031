// SPDX-License-Identifier: MIT
#include "inspect/task/unwind.h"

#include <gtest/gtest.h>

#include "inspect/task/task_stack.h"
#include "support/btf_builder.h"
#include "support/fake_view.h"

namespace kcoredump {
namespace {

constexpr uint64_t kText = 0xffffffff81000000;
constexpr uint64_t kIps = 0xffffffff82000000;
constexpr uint64_t kEntries = 0xffffffff82100000;
constexpr uint64_t kStack = 0xffffc90000010000;
constexpr uint64_t kStackBytes = 0x4000;
constexpr uint64_t kTask = 0xffff888000100000;
constexpr uint32_t kSleeper = 7;
constexpr uint64_t kModule = 0xffffffffc0000000;

/// How struct orc_entry is packed and its numbers are meant.
struct Era {
  const char* name;
  uint32_t type_bits;
  uint32_t end_bit;  ///< 0: none
  uint8_t prev_sp, sp, bp, di;
  uint8_t call, regs, end;
};
constexpr Era kTwoBits = {"5.10", 2, 42, 1, 5, 4, 3, 0, 1, 0};
constexpr Era kThreeBits = {"6.12", 3, 0, 1, 5, 4, 3, 2, 3, 1};
constexpr Era kNewNumbers = {"7.2", 3, 0, 8, 3, 4, 5, 2, 3, 1};

struct Rule {
  uint64_t offset;  ///< of the first instruction in the text
  int16_t sp_offset;
  int16_t bp_offset;
  uint8_t sp;
  uint8_t bp;
  uint8_t type;
  bool end = false;
};

class UnwindTest : public testing::TestWithParam<Era> {
 protected:
  UnwindTest() : era_(GetParam()) {
    test::BtfBuilder btf;
    const uint32_t s16 = btf.AddInt("short int", 2, 1);
    const uint32_t u32 = btf.AddInt("unsigned int", 4);
    const uint32_t u64 = btf.AddInt("long unsigned int", 8);
    std::vector<test::BtfMember> orc = {{"sp_offset", s16, 0},
                                        {"bp_offset", s16, 16},
                                        {"sp_reg", u32, 32, 4},
                                        {"bp_reg", u32, 36, 4},
                                        {"type", u32, 40, era_.type_bits}};
    if (era_.end_bit != 0) orc.push_back({"end", u32, era_.end_bit, 1});
    btf.AddStruct("orc_entry", 6, orc);
    AddRegisters(btf, u64);
    const uint32_t thread = btf.AddStruct("thread_struct", 8, {{"sp", u64, 0}});
    btf.AddStruct("task_struct", 64,
                  {{"stack", u64, 0},
                   {"on_cpu", s16, 64},
                   {"thread", thread, 128},
                   {"pid", u32, 192},
                   {"nvcsw", u64, 256},
                   {"nivcsw", u64, 320}});
    btf.AddStruct("inactive_task_frame", 56,
                  {{"r15", u64, 0},
                   {"r14", u64, 64},
                   {"r13", u64, 128},
                   {"r12", u64, 192},
                   {"bx", u64, 256},
                   {"bp", u64, 320},
                   {"ret_addr", u64, 384}});
    const uint32_t arch =
        btf.AddStruct("mod_arch_specific", 24,
                      {{"num_orcs", u32, 0}, {"orc_unwind_ip", u64, 64}, {"orc_unwind", u64, 128}});
    btf.AddStruct("module", 64, {{"arch", arch, 64}});
    auto loaded = TypeCatalog::Load(btf.Build(), {});
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
    types_ = std::move(loaded.value());
    memory_.Put(kStack, std::string(kStackBytes, '\0'));
    memory_.Put(kTask, std::string(64, '\0'));
    memory_.PutValue<uint64_t>(kTask, kStack);
    memory_.PutValue<uint32_t>(kTask + 24, kSleeper);
  }

  static void AddRegisters(test::BtfBuilder& btf, uint32_t u64) {
    std::vector<test::BtfMember> members;
    uint32_t bit = 0;
    for (const char* name : {"r13", "bp", "r10", "ax", "dx", "di", "ip", "cs", "flags", "sp"}) {
      members.push_back({name, u64, bit});
      bit += 64;
    }
    btf.AddStruct("pt_regs", bit / 8, members);
  }
  static constexpr uint64_t kRegsBp = 8, kRegsDi = 40, kRegsIp = 48, kRegsCs = 56, kRegsSp = 72;

  void PutTable(uint64_t ips, uint64_t entries, uint64_t text, const std::vector<Rule>& rules) {
    for (const Rule& rule : rules) {
      memory_.PutValue<int32_t>(ips, static_cast<int32_t>(text + rule.offset - ips));
      memory_.PutValue<int16_t>(entries, rule.sp_offset);
      memory_.PutValue<int16_t>(entries + 2, rule.bp_offset);
      memory_.PutValue<uint8_t>(entries + 4, static_cast<uint8_t>(rule.sp | rule.bp << 4));
      memory_.PutValue<uint8_t>(entries + 5, static_cast<uint8_t>(rule.type | (rule.end ? 4 : 0)));
      ips += 4;
      entries += 6;
    }
    ips_end_ = ips;
  }

  /// Three functions: "switch" and "sleep" in the scheduler, "caller" with a frame pointer, "entry"
  /// that registers end, and the end of the table.
  void PutKernel() {
    const bool ends = era_.type_bits == 2;
    PutTable(kIps, kEntries, kText,
             {{0x000, 24, 0, era_.sp, 0, era_.call},
              {0x100, 32, -24, era_.sp, era_.prev_sp, era_.call},
              {0x200, 16, -16, era_.bp, era_.prev_sp, era_.call},
              {0x300, 0, 0, era_.sp, 0, era_.regs},
              {0x400, 0, 0, 0, 0, ends ? uint8_t{0} : era_.end, ends},
              {0x500, 0, 0, 0, 0, 0}});
  }

  UnwindSources Sources() {
    return {.kernel = memory_,
            .types = *types_,
            .symbol = [this](std::string_view name) -> std::optional<uint64_t> {
              if (name == "__start_orc_unwind_ip" && ips_end_ != 0) return kIps;
              if (name == "__stop_orc_unwind_ip" && ips_end_ != 0) return ips_end_;
              if (name == "__start_orc_unwind" && ips_end_ != 0) return kEntries;
              if (name == "__sched_text_start") return kText;
              if (name == "__sched_text_end" || name == "__lock_text_start") return kText + 0x200;
              if (name == "__lock_text_end") return kText + 0x200;
              return std::nullopt;
            },
            .modules = &modules_};
  }

  void Word(uint64_t offset, uint64_t value) { memory_.PutValue(kStack + offset, value); }

  /// A task that sleeps: switch → sleep → caller → entry, which came from user space.
  void PutSleeper() {
    memory_.PutValue<uint64_t>(kTask + 16, kStack + 0x3000);
    Word(0x3000 + 32, 0xbbbb);           // rbx
    Word(0x3000 + 40, kStack + 0x3900);  // rbp, the caller's still
    Word(0x3000 + 48, kText + 0x050);    // in "switch", whose frame is 24 bytes
    Word(0x3038 + 16, kText + 0x150);    // in "sleep", 32 bytes, which pushed rbp
    Word(0x3050 + 8, kStack + 0x3900);   // that rbp
    Word(0x3050 + 24, kText + 0x250);    // in "caller"
    Word(0x3900, 0);                     // its caller's rbp
    Word(0x3908, kText + 0x350);         // in "entry"
    Word(0x3910 + kRegsCs, 0x33);        // user space
    Word(0x3910 + kRegsIp, 0x401000);
  }

  std::vector<uint64_t> Offsets(const std::vector<StackFrame>& frames) {
    std::vector<uint64_t> offsets;
    for (const StackFrame& frame : frames) offsets.push_back(frame.pc - kText);
    return offsets;
  }

  const Era era_;
  std::unique_ptr<TypeCatalog> types_;
  test::FakeView memory_;
  uint64_t ips_end_ = 0;
  std::vector<LoadedModule> modules_;
};

std::string EraName(const testing::TestParamInfo<Era>& era) {
  std::string name = era.param.name;
  name[name.find('.')] = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Eras, UnwindTest, testing::Values(kTwoBits, kThreeBits, kNewNumbers),
                         EraName);

TEST_P(UnwindTest, SleepingTaskFromTheSwitchToUserSpace) {
  PutKernel();
  PutSleeper();
  auto reader = TaskStackReader::Create(Sources());
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  EXPECT_TRUE(reader.value()->Notes().empty()) << reader.value()->Notes().front();
  const auto stack = reader.value()->Read(kTask, kSleeper, true);
  ASSERT_TRUE(stack.ok()) << stack.error().message;
  EXPECT_EQ("", stack.value().trouble);
  EXPECT_EQ((std::vector<uint64_t>{0x50, 0x150, 0x250, 0x350}), Offsets(stack.value().frames));
  EXPECT_EQ(2U, stack.value().first_outside);
  EXPECT_EQ(0xbbbbU, stack.value().saved.bx);
  const StackFrame& outside = stack.value().frames[2];
  EXPECT_EQ(kStack + 0x3070, outside.sp);
  EXPECT_EQ(kStack + 0x3900, outside.bp);
  EXPECT_EQ(FrameMethod::kOrc, outside.method);
  const auto brief = reader.value()->Read(kTask, kSleeper, false);
  ASSERT_TRUE(brief.ok());
  EXPECT_EQ(3U, brief.value().frames.size());
}

TEST_P(UnwindTest, InterruptedCodeGoesOnWithItsRegisters) {
  PutKernel();
  PutSleeper();
  Word(0x3910 + kRegsCs, 0x10);
  Word(0x3910 + kRegsIp, kText + 0x200);
  Word(0x3910 + kRegsSp, kStack + 0x3a00);
  Word(0x3910 + kRegsBp, kStack + 0x3b00);
  Word(0x3b08, kText + 0x450);
  auto reader = TaskStackReader::Create(Sources());
  ASSERT_TRUE(reader.ok());
  const auto stack = reader.value()->Read(kTask, kSleeper, true);
  ASSERT_TRUE(stack.ok());
  EXPECT_EQ((std::vector<uint64_t>{0x50, 0x150, 0x250, 0x350, 0x200, 0x450}),
            Offsets(stack.value().frames));
  EXPECT_TRUE(stack.value().frames[4].interrupted);
  EXPECT_EQ("", stack.value().trouble);
}

TEST_P(UnwindTest, WithoutOrcFramePointersDo) {
  PutSleeper();
  Word(0x3000 + 40, kStack + 0x3800);
  Word(0x3800, kStack + 0x3900);
  Word(0x3808, kText + 0x250);
  auto reader = TaskStackReader::Create(Sources());
  ASSERT_TRUE(reader.ok());
  EXPECT_FALSE(reader.value()->Notes().empty());
  const auto stack = reader.value()->Read(kTask, kSleeper, false);
  ASSERT_TRUE(stack.ok()) << stack.error().message;
  EXPECT_EQ((std::vector<uint64_t>{0x50, 0x250}), Offsets(stack.value().frames));
  EXPECT_EQ(FrameMethod::kFramePointer, stack.value().frames[1].method);
}

TEST_P(UnwindTest, ModulesHaveTablesOfTheirOwn) {
  constexpr uint64_t kTableAt = kModule + 0x8000;
  PutTable(kTableAt, kTableAt + 0x100, kModule,
           {{0, 40, 0, era_.sp, 0, era_.call}, {0x1000, 0, 0, 0, 0, 0}});
  PutKernel();
  modules_.push_back({});
  modules_.back().address = kModule + 0x9000;
  modules_.back().ranges = {{kModule, kModule + 0x2000}};
  memory_.PutValue<uint32_t>(kModule + 0x9008, 2);
  memory_.PutValue<uint64_t>(kModule + 0x9010, kTableAt);
  memory_.PutValue<uint64_t>(kModule + 0x9018, kTableAt + 0x100);
  Word(0x100 + 32, kText + 0x250);
  StackUnwinder unwinder(Sources());
  const auto caller = unwinder.Caller({.pc = kModule + 0x80, .sp = kStack + 0x100});
  ASSERT_TRUE(caller.ok()) << caller.error().message;
  ASSERT_TRUE(caller.value());
  EXPECT_EQ(kText + 0x250, caller.value()->pc);
  EXPECT_EQ(kStack + 0x128, caller.value()->sp);
  EXPECT_EQ(FrameMethod::kOrc, caller.value()->method);
}

TEST_P(UnwindTest, StackPointerInAnotherRegisterIsTakenAsItIs) {
  PutTable(kIps, kEntries, kText,
           {{0x000, 0, 0, era_.sp, 0, era_.regs},
            {0x100, 0, -24, era_.sp, era_.prev_sp, era_.call},  // tells how registers are numbered
            {0x200, 16, 0, era_.di, 0, era_.call},
            {0x300, 0, 0, 0, 0, 0}});
  Word(0x100 + kRegsCs, 0x10);
  Word(0x100 + kRegsIp, kText + 0x250);
  Word(0x100 + kRegsDi, kStack + 0x800);
  Word(0x7f8, kText + 0x150);
  StackUnwinder unwinder(Sources());
  const auto interrupted = unwinder.Caller({.pc = kText + 0x50, .sp = kStack + 0x100});
  ASSERT_TRUE(interrupted.ok() && interrupted.value());
  const auto caller = unwinder.Caller(*interrupted.value());
  ASSERT_TRUE(caller.ok()) << caller.error().message;
  ASSERT_TRUE(caller.value());
  EXPECT_EQ(kText + 0x150, caller.value()->pc);
  EXPECT_EQ(kStack + 0x800, caller.value()->sp);
  // And where no interrupt stored it, it is lost.
  EXPECT_FALSE(unwinder.Caller({.pc = kText + 0x250, .sp = kStack + 0x100}).ok());
}

TEST_P(UnwindTest, TaskThatRunsHasNoStackToRead) {
  PutKernel();
  PutSleeper();
  memory_.PutValue<uint16_t>(kTask + 8, 1);
  auto reader = TaskStackReader::Create(Sources());
  ASSERT_TRUE(reader.ok());
  const auto stack = reader.value()->Read(kTask, kSleeper, true);
  ASSERT_FALSE(stack.ok());
  EXPECT_EQ(ErrorCode::kNotFound, stack.error().code);
}

TEST_P(UnwindTest, TaskThatRanMeanwhileIsGivenUp) {
  PutKernel();
  PutSleeper();
  auto reader = TaskStackReader::Create(Sources());
  ASSERT_TRUE(reader.ok());
  for (const uint64_t count : {kTask + 32, kTask + 40}) {
    memory_.on_read = [&](uint64_t address) {
      if (address == kStack + 0x3000) memory_.PutValue<uint64_t>(count, 1);
    };
    const auto stack = reader.value()->Read(kTask, kSleeper, false);
    ASSERT_FALSE(stack.ok());
    EXPECT_EQ(ErrorCode::kNotFound, stack.error().code);
    memory_.on_read = nullptr;
    EXPECT_TRUE(reader.value()->Read(kTask, kSleeper, false).ok());
  }
}

TEST_P(UnwindTest, TaskWhosePlaceIsAnothersIsGivenUp) {
  PutKernel();
  PutSleeper();
  auto reader = TaskStackReader::Create(Sources());
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(ErrorCode::kNotFound, reader.value()->Read(kTask, kSleeper + 1, false).error().code);
}

TEST_P(UnwindTest, ForgedStackPointerIsCorrupt) {
  PutKernel();
  PutSleeper();
  auto reader = TaskStackReader::Create(Sources());
  ASSERT_TRUE(reader.ok());
  for (const uint64_t sp : {uint64_t{0}, kStack - 8, kStack + kStackBytes - 8, ~uint64_t{0}}) {
    memory_.PutValue<uint64_t>(kTask + 16, sp);
    EXPECT_EQ(ErrorCode::kCorrupt, reader.value()->Read(kTask, kSleeper, true).error().code) << sp;
  }
}

TEST_P(UnwindTest, StackThatWasNotSwitchedAwayFromIsCorrupt) {
  PutKernel();
  PutSleeper();
  Word(0x3000 + 48, kText + 0x250);
  auto reader = TaskStackReader::Create(Sources());
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(ErrorCode::kCorrupt, reader.value()->Read(kTask, kSleeper, true).error().code);
}

TEST_P(UnwindTest, FramePointersInACircleEnd) {
  PutKernel();
  Word(0x100, kStack + 0x200);
  Word(0x108, kText + 0x250);
  Word(0x200, kStack + 0x100);
  Word(0x208, kText + 0x250);
  StackUnwinder unwinder(Sources());
  std::string trouble;
  StackFrame first{.pc = kText + 0x250, .sp = kStack + 0x80};
  first.bp = kStack + 0x100;
  const auto frames = unwinder.Walk(first, &trouble);
  EXPECT_LE(frames.size(), 4U);
  EXPECT_NE("", trouble);
}

TEST_P(UnwindTest, ForgedCountOfEntriesIsNoted) {
  PutKernel();
  ips_end_ = kIps + (uint64_t{64} << 20) * 4;
  const StackUnwinder unwinder(Sources());
  ASSERT_FALSE(unwinder.notes().empty());
}

}  // namespace
}  // namespace kcoredump
