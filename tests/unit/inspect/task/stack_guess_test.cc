// SPDX-License-Identifier: MIT
#include "inspect/task/stack_guess.h"

#include <gtest/gtest.h>

#include "support/fake_view.h"

namespace kcoredump {
namespace {

constexpr uint64_t kCode = 0xffffffff81000000;
constexpr uint64_t kCodeBytes = 0x1000;
constexpr uint64_t kGuessedStack = 0xffffc90000010000;
constexpr uint64_t kGuessedStackBytes = 0x4000;

class StackGuessTest : public testing::Test {
 protected:
  StackGuessTest() {
    memory_.Put(kCode, std::string(kCodeBytes, '\x90'));
    memory_.Put(kGuessedStack, std::string(kGuessedStackBytes, '\0'));
    memory_.Put(kCode + 0x100, std::string_view("\xe8\0\0\0\0", 5));  // call rel32
    memory_.Put(kCode + 0x200, std::string_view("\xff\xd0", 2));      // call *%rax
    memory_.Put(kCode + 0x300, std::string_view("\xff\x50\x08", 3));  // call *8(%rax)
    memory_.Put(kCode + 0x400, std::string_view("\xff\xe0", 2));      // jmp *%rax
  }

  std::vector<uint64_t> Guess() {
    std::vector<uint64_t> found;
    const auto is_code = [](uint64_t pc) { return pc >= kCode && pc < kCode + kCodeBytes; };
    for (const auto& guess :
         GuessFrames(memory_, {kGuessedStack, kGuessedStack + kGuessedStackBytes}, is_code)) {
      found.push_back(guess.pc);
    }
    return found;
  }
  void Word(uint64_t index, uint64_t word) {
    memory_.PutValue<uint64_t>(kGuessedStack + index * 8, word);
  }

  test::FakeView memory_;
};

TEST_F(StackGuessTest, TakesWhatFollowsACall) {
  Word(1, kCode + 0x105);
  Word(5, kCode + 0x202);
  Word(9, kCode + 0x303);
  EXPECT_EQ(Guess(), (std::vector<uint64_t>{kCode + 0x105, kCode + 0x202, kCode + 0x303}));
}

TEST_F(StackGuessTest, LeavesWhatDoesNot) {
  Word(1, kCode + 0x100);               // the call itself
  Word(2, kCode + 0x402);               // behind a jump
  Word(3, kCode + kCodeBytes + 0x105);  // no function
  Word(4, 0x00007fff12345678);          // user space
  EXPECT_TRUE(Guess().empty());
}

TEST_F(StackGuessTest, StopsAtTheLimit) {
  for (uint64_t i = 0; i < 500; ++i) Word(i, kCode + 0x105);
  EXPECT_EQ(Guess().size(), kMaxGuesses);
}

TEST_F(StackGuessTest, UnreadableMemoryHasNone) {
  Word(1, kCode + 0x105);
  Word(1000, kCode + 0x202);
  memory_.Remove(kGuessedStack, 0x1000);
  EXPECT_EQ(Guess(), (std::vector<uint64_t>{kCode + 0x202}));
  memory_.Remove(kGuessedStack, kGuessedStackBytes);
  EXPECT_TRUE(Guess().empty());
}

TEST_F(StackGuessTest, CodeThatCannotBeReadIsNoCaller) {
  Word(1, kCode + 0x105);
  memory_.Remove(kCode + 0x100, 4);
  EXPECT_TRUE(Guess().empty());
}

}  // namespace
}  // namespace kcoredump
