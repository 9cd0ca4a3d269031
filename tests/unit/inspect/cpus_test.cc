// SPDX-License-Identifier: MIT
#include "inspect/cpus.h"

#include <gtest/gtest.h>

#include "support/fake_kernel.h"

namespace kcoredump::test {

namespace {

constexpr uint64_t kMask = 0xffffffff82000000;

class CpusTest : public testing::Test {
 protected:
  CpusTest() {
    kernel_.Struct("cpumask", 16, {{.name = "bits", .bytes = 16}});
    kernel_.Symbol("__cpu_online_mask", kMask);
    kernel_.Word(kMask, 0b1101);
    kernel_.Word(kMask + 8, 1);
  }
  using Cpus = std::vector<uint32_t>;
  FakeKernel kernel_;
};

}  // namespace

TEST_F(CpusTest, NotesAreThoseOfTheCpusThatWereOnline) {
  EXPECT_EQ((Cpus{0, 2, 3, 64}), CpusOfNotes(kernel_.sources(), 4));
}

TEST_F(CpusTest, NotesInAnotherNumberAreThoseOfAllCpus) {
  EXPECT_EQ((Cpus{0, 1, 2, 3, 4}), CpusOfNotes(kernel_.sources(), 5));
  EXPECT_EQ((Cpus{0}), CpusOfNotes(kernel_.sources(), 1));
}

TEST_F(CpusTest, WithoutTheMaskTheyStandInOrder) {
  kernel_.memory.Remove(kMask, 16);
  EXPECT_EQ((Cpus{0, 1, 2, 3}), CpusOfNotes(kernel_.sources(), 4));
}

}  // namespace kcoredump::test
