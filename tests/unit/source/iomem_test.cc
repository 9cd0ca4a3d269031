// SPDX-License-Identifier: MIT
#include "source/iomem.h"

#include <gtest/gtest.h>

#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using Ranges = std::vector<Range>;
using test::kPage;

constexpr std::string_view kTypical =
    "00000000-00000fff : Reserved\n"
    "00001000-0009fbff : System RAM\n"
    "0009fc00-0009ffff : Reserved\n"
    "000f0000-000fffff : System ROM\n"
    "00100000-7ffdcfff : System RAM\n"
    "  01000000-01e00fff : Kernel code\n"
    "  02000000-028f8fff : Kernel rodata\n"
    "c0000000-febfffff : PCI Bus 0000:00\n"
    "100000000-17fffffff : System RAM\n";

TEST(ParseIomem, InclusiveEndsTrimmedInward) {
  const auto ram = ParseIomem(kTypical, kPage);
  ASSERT_TRUE(ram.ok()) << ram.error().message;
  EXPECT_EQ(ram.value(),
            (Ranges{{0x1000, 0x9f000}, {0x100000, 0x7ffdd000}, {0x100000000, 0x180000000}}));
}

TEST(ParseIomem, NestedSystemRamCounts) {
  const auto ram = ParseIomem(
      "40000000-7fffffff : Memory\n"
      "  40000000-4fffffff : System RAM\n"
      "    41000000-41ffffff : Kernel code\n"
      "  60000000-60000fff : System RAM\n",
      kPage);
  ASSERT_TRUE(ram.ok());
  EXPECT_EQ(ram.value(), (Ranges{{0x40000000, 0x50000000}, {0x60000000, 0x60001000}}));
}

TEST(ParseIomem, NestedSystemRamInsideSystemRamIsOne) {
  const auto ram =
      ParseIomem("00100000-002fffff : System RAM\n  00180000-001fffff : System RAM\n", kPage);
  ASSERT_TRUE(ram.ok());
  EXPECT_EQ(ram.value(), (Ranges{{0x100000, 0x300000}}));
}

/// Hotplugged by a driver: "System RAM (kmem)", "System RAM (virtio_mem)" (kernel:
/// add_memory_driver_managed). walk_system_ram_range, and so kcore, counts them.
TEST(ParseIomem, MemoryManagedByADriverIsRam) {
  const auto ram = ParseIomem(
      "100000000-17fffffff : Persistent Memory\n"
      "  100000000-13fffffff : System RAM (kmem)\n"
      "200000000-207ffffff : System RAM (virtio_mem)\n",
      kPage);
  ASSERT_TRUE(ram.ok());
  EXPECT_EQ(ram.value(), (Ranges{{0x100000000, 0x140000000}, {0x200000000, 0x208000000}}));
}

TEST(ParseIomem, LessThanAPageIsNothing) {
  const auto ram =
      ParseIomem("00100100-00100eff : System RAM\n00200000-00200fff : System RAM\n", kPage);
  ASSERT_TRUE(ram.ok());
  EXPECT_EQ(ram.value(), (Ranges{{0x200000, 0x201000}}));
}

TEST(ParseIomem, HiddenAddressesAreAPermission) {
  const auto ram = ParseIomem("00000000-00000000 : System RAM\n00000000-00000000 : PCI\n", kPage);
  ASSERT_FALSE(ram.ok());
  EXPECT_EQ(ram.error().code, ErrorCode::kPermission);
}

TEST(ParseIomem, NotSuchATextIsCorrupt) {
  for (const std::string_view text :
       {"nonsense\n", "12345\n", "1000-0fff : System RAM\n", "1000 : x\n", "\n", "1000-: x\n",
        "1000-2000 System RAM\n", "-5-6 : x\n"}) {
    const auto ram = ParseIomem(text, kPage);
    ASSERT_FALSE(ram.ok()) << text;
    EXPECT_EQ(ram.error().code, ErrorCode::kCorrupt) << text;
  }
}

TEST(ParseIomem, TheTopOfTheAddressSpaceOverflowsAsAnError) {
  EXPECT_FALSE(ParseIomem("fffffffffffff000-ffffffffffffffff : System RAM\n", kPage).ok());
  EXPECT_FALSE(ParseIomem("10000000000000000-10000000000000fff : System RAM\n", kPage).ok());
}

TEST(ParseIomem, ALastLineWithoutLineBreakCounts) {
  EXPECT_TRUE(ParseIomem("00100000-001fffff : System RAM", kPage).ok());
}

TEST(CompareIomem, AgreesWithItsOwnRanges) {
  const IomemCheck check = CompareIomem(
      kTypical, {{0x100000000, 0x180000000}, {0x1000, 0x9f000}, {0x100000, 0x7ffdd000}}, kPage);
  EXPECT_EQ(check.state, IomemState::kAgrees);
  EXPECT_TRUE(check.differences.empty());
}

TEST(CompareIomem, NamesWhatEitherSideAloneHas) {
  const IomemCheck check =
      CompareIomem("00100000-001fffff : System RAM\n", {{0x180000, 0x280000}}, kPage);
  EXPECT_EQ(check.state, IomemState::kDiffers);
  EXPECT_EQ(check.differences,
            (std::vector<std::string>{
                "0x0000000000100000-0x000000000017ffff only in /proc/iomem",
                "0x0000000000200000-0x000000000027ffff only in the program headers"}));
}

TEST(CompareIomem, HiddenAndUnavailable) {
  EXPECT_EQ(CompareIomem("00000000-00000000 : System RAM\n", {}, kPage).state, IomemState::kHidden);
  EXPECT_EQ(CompareIomem("what?", {}, kPage).state, IomemState::kUnavailable);
}

TEST(CompareIomem, ThousandsOfDifferencesAreNotAllListed) {
  Ranges headers;
  for (uint64_t i = 0; i < 10'000; ++i) headers.push_back({i * 0x10000, i * 0x10000 + kPage});
  const IomemCheck check = CompareIomem("100000000000-100000000fff : System RAM\n", headers, kPage);
  EXPECT_EQ(check.state, IomemState::kDiffers);
  EXPECT_LE(check.differences.size(), 100U);
}

}  // namespace
}  // namespace kcoredump
