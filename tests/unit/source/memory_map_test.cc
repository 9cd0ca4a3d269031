// SPDX-License-Identifier: MIT
#include "source/memory_map.h"

#include <gtest/gtest.h>

#include "support/elf_builder.h"
#include "support/fake_source.h"

namespace kcoredump {
namespace {

using test::kDirectMap;
using test::kImageBase;
using test::kNoPhys;
using test::kPage;
using test::LoadHeader;
using Dialect = MemoryMap::Dialect;

struct Load {
  uint64_t vaddr;
  uint64_t paddr;
  uint64_t bytes;
  uint64_t offset = 0;
  uint64_t file_bytes = ~uint64_t{0};
};

Result<MemoryMap> Build(std::initializer_list<Load> loads, Dialect dialect) {
  ElfCore core;
  for (const Load& load : loads) {
    core.headers.push_back(
        {.type = PT_LOAD,
         .offset = load.offset,
         .vaddr = load.vaddr,
         .paddr = load.paddr,
         .filesz = load.file_bytes == ~uint64_t{0} ? load.bytes : load.file_bytes,
         .memsz = load.bytes});
  }
  return MemoryMap::Build(core, dialect, kPage);
}

MemoryMap Good(std::initializer_list<Load> loads, Dialect dialect) {
  auto map = Build(loads, dialect);
  EXPECT_TRUE(map.ok()) << (map.ok() ? "" : map.error().message);
  return std::move(map.value());
}

ErrorCode Bad(std::initializer_list<Load> loads, Dialect dialect) {
  const auto map = Build(loads, dialect);
  EXPECT_FALSE(map.ok());
  return map.ok() ? ErrorCode::kCancelled : map.error().code;
}

std::vector<Range> Ram(const MemoryMap& map) {
  std::vector<Range> ranges;
  for (const Segment& segment : map.ram()) ranges.push_back(segment.PhysRange());
  return ranges;
}

std::vector<SegmentKind> Others(const MemoryMap& map) {
  std::vector<SegmentKind> kinds;
  for (const Segment& segment : map.others()) kinds.push_back(segment.kind);
  return kinds;
}

constexpr uint64_t kVmalloc = 0xffffc90000000000;
constexpr uint64_t kModules = 0xffffffffc0000000;
constexpr uint64_t kVmemmap = 0xffffea0000000000;

/// As kcore of an x86_64 kernel has it: text, vmalloc, modules, then RAM with its vmemmap.
MemoryMap X86() {
  return Good({{kImageBase, 0x1000000, 0x2000000, 0x7fff81000000},
               {kVmalloc, kNoPhys, 0x1fffffffffff, 0x490000004000},
               {kModules, kNoPhys, 0x3f000000, 0x7fffc0000000},
               {kDirectMap + 0x1000, 0x1000, 0x9e000, 0x4000},
               {kVmemmap, kNoPhys, 0x10000, 0x6a0000004000},
               {kDirectMap + 0x100000, 0x100000, 0x7ff00000, 0x103000}},
              Dialect::kKcore);
}

TEST(MemoryMap, TellsTheSegmentsOfX86Apart) {
  const MemoryMap map = X86();
  EXPECT_EQ(Ram(map), (std::vector<Range>{{0x1000, 0x9f000}, {0x100000, 0x80000000}}));
  EXPECT_EQ(Others(map),
            (std::vector<SegmentKind>{SegmentKind::kVmalloc, SegmentKind::kModules,
                                      SegmentKind::kVmemmap, SegmentKind::kKernelImage}));
  EXPECT_EQ(map.ram_bytes(), 0x9e000U + 0x7ff00000U);
}

TEST(MemoryMap, TheImageIsAnAliasOfRam) {
  const MemoryMap map = X86();
  EXPECT_EQ(map.ToPhysical(VirtAddr{kImageBase + 0x123}), PhysAddr{0x1000123});
  EXPECT_EQ(map.ToPhysical(VirtAddr{kDirectMap + 0x1000123}), PhysAddr{0x1000123});
  EXPECT_EQ(map.Find(VirtAddr{kImageBase + 0x123})->offset, 0x7fff81000123U);
  EXPECT_EQ(map.Find(PhysAddr{0x1000123})->offset, 0x103000U + 0xf00123);
  EXPECT_EQ(map.ToPhysical(VirtAddr{kVmalloc}), std::nullopt);
  EXPECT_EQ(map.ToPhysical(VirtAddr{0x1234}), std::nullopt);
}

/// On arm64 the kernel image lies inside the vmalloc range, and RAM does not start at 0.
TEST(MemoryMap, TheImageComesBeforeVmallocOnArm64) {
  const uint64_t linear = 0xffff000000000000;
  const uint64_t image = 0xffff800008000000;
  const MemoryMap map = Good({{image, 0x40200000, 0x2000000, 0x1000},
                              {0xffff800000000000, kNoPhys, 0x7dffbfff0000, 0x800000001000},
                              {linear, 0x40000000, 0x80000000, 0x2000}},
                             Dialect::kKcore);
  EXPECT_EQ(Ram(map), (std::vector<Range>{{0x40000000, 0xc0000000}}));
  EXPECT_EQ(map.ToPhysical(VirtAddr{image + 8}), PhysAddr{0x40200008});
  EXPECT_EQ(map.Find(VirtAddr{image + 8})->offset, 0x1008U);
  EXPECT_EQ(map.ToPhysical(VirtAddr{0xffff800000000000}), std::nullopt);
  EXPECT_TRUE(map.Find(VirtAddr{0xffff800000000000}));
}

TEST(MemoryMap, FindSaysHowMuchFollows) {
  const MemoryMap map = X86();
  const auto extent = map.Find(PhysAddr{0x9e123});
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->bytes, 0xeddU);
  EXPECT_EQ(extent->offset, 0x4000U + 0x9d123);
  EXPECT_FALSE(map.Find(PhysAddr{0xfff}));
  EXPECT_FALSE(map.Find(PhysAddr{0x9f000}));
  EXPECT_FALSE(map.Find(PhysAddr{0x80000000}));
  EXPECT_FALSE(map.Find(PhysAddr{~uint64_t{0}}));
}

TEST(MemoryMap, WhatTheFileLeavesOutIsFoundAndNotInTheFile) {
  const MemoryMap map = Good({{kDirectMap, 0, 0x4000, 0x1000, 0x1800}}, Dialect::kDump);
  EXPECT_EQ(map.Find(PhysAddr{0x17ff})->bytes, 1U);
  EXPECT_TRUE(map.Find(PhysAddr{0x17ff})->in_file);
  EXPECT_FALSE(map.Find(PhysAddr{0x1800})->in_file);
  EXPECT_EQ(map.Find(PhysAddr{0x1800})->bytes, 0x2800U);
}

TEST(MemoryMap, RamIsTrimmedInwardToWholePages) {
  const MemoryMap map = Good(
      {{kDirectMap + 0x1800, 0x1800, 0x3000, 0x10800}, {kDirectMap + 0x10100, 0x10100, 0x100, 0}},
      Dialect::kKcore);
  EXPECT_EQ(Ram(map), (std::vector<Range>{{0x2000, 0x4000}}));
  EXPECT_EQ(map.Find(PhysAddr{0x2000})->offset, 0x11000U);
}

TEST(MemoryMap, EmptySegmentsAndOtherTypesAreNothing) {
  ElfCore core;
  core.headers.push_back({.type = PT_NOTE, .offset = ~uint64_t{0}, .filesz = 100});
  core.headers.push_back({.type = PT_LOAD, .vaddr = kDirectMap, .paddr = 0});
  core.headers.push_back(
      {.type = PT_LOAD, .vaddr = kDirectMap, .paddr = 0, .filesz = kPage, .memsz = kPage});
  const auto map = MemoryMap::Build(core, Dialect::kKcore, kPage);
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map.value().ram().size(), 1U);
}

/// 5.10 with vsyscall lists the gate page first, before vmalloc.
TEST(MemoryMap, TheVsyscallGateIsNotTakenForVmalloc) {
  const MemoryMap map = Good({{0xffffffffff600000, kNoPhys, kPage},
                              {kImageBase, 0x1000000, 0x2000000},
                              {kVmalloc, kNoPhys, 0x1fffffffffff},
                              {kModules, kNoPhys, 0x3f000000},
                              {kDirectMap, 0, 0x8000000}},
                             Dialect::kKcore);
  EXPECT_EQ(Others(map),
            (std::vector<SegmentKind>{SegmentKind::kGate, SegmentKind::kVmalloc,
                                      SegmentKind::kModules, SegmentKind::kKernelImage}));
}

/// The core of a process, and kcore before 4.11: p_paddr is 0 everywhere.
TEST(MemoryMap, NoPhysicalAddressesAtAllAreUnsupported) {
  EXPECT_EQ(Bad({{0x400000, 0, kPage}, {0x7fff00000000, 0, 4 * kPage}}, Dialect::kDump),
            ErrorCode::kUnsupported);
}

TEST(MemoryMap, NoRamIsUnsupported) {
  EXPECT_EQ(Bad({{kVmalloc, kNoPhys, kPage}}, Dialect::kKcore), ErrorCode::kUnsupported);
  EXPECT_EQ(Bad({}, Dialect::kDump), ErrorCode::kUnsupported);
}

TEST(MemoryMap, OverflowsAreCorrupt) {
  for (const Dialect dialect : {Dialect::kKcore, Dialect::kDump}) {
    EXPECT_EQ(Bad({{kDirectMap, ~uint64_t{0} - 1, kPage}}, dialect), ErrorCode::kCorrupt);
    EXPECT_EQ(Bad({{~uint64_t{0} - 1, 0, kPage}}, dialect), ErrorCode::kCorrupt);
    EXPECT_EQ(Bad({{kDirectMap, 0, kPage, ~uint64_t{0} - 1}}, dialect), ErrorCode::kCorrupt);
    EXPECT_EQ(Bad({{kDirectMap, 0, ~uint64_t{0}}}, dialect), ErrorCode::kCorrupt);
    EXPECT_EQ(Bad({{kDirectMap, 0, kPage, 0, 2 * kPage}}, dialect), ErrorCode::kCorrupt);
  }
}

TEST(MemoryMap, TwoRamSegmentsOverOnePageAreCorrupt) {
  for (const Dialect dialect : {Dialect::kKcore, Dialect::kDump}) {
    EXPECT_EQ(
        Bad({{kDirectMap, 0, 4 * kPage}, {kDirectMap + 3 * kPage, 3 * kPage, kPage}}, dialect),
        ErrorCode::kCorrupt);
  }
}

/// The top of the address space: page arithmetic that wraps must not make a segment of nothing.
TEST(MemoryMap, ASegmentAtTheVeryTopIsHarmless) {
  const auto map =
      Build({{kDirectMap, 0, kPage}, {kDirectMap + 0xfffffffffffff001, 0xfffffffffffff001, 0x800}},
            Dialect::kDump);
  if (map.ok()) {
    EXPECT_FALSE(map.value().Find(PhysAddr{0xfffffffffffff000}));
    EXPECT_TRUE(map.value().Find(PhysAddr{0}));
  }
}

TEST(MemoryMap, QemuWithoutPagingHasNoVirtualAddresses) {
  const MemoryMap map =
      Good({{0, 0, 0xa0000, 0x1000}, {0x100000, 0x100000, 0x700000, 0xa1000}}, Dialect::kDump);
  EXPECT_FALSE(map.Find(VirtAddr{0x100000}));
  EXPECT_TRUE(map.Find(PhysAddr{0x100000}));
  EXPECT_EQ(map.ToPhysical(PhysAddr{0x100000}), PhysAddr{0x100000});
}

/// QEMU's dumps with paging list a page under any of its addresses: the image's segment may be the
/// only one that holds some of it.
TEST(MemoryMap, DumpsKeepMemoryThatOnlyAnAliasHolds) {
  const MemoryMap map = Good({{kDirectMap, 0, 0x100000, 0x1000},
                              {kImageBase, 0xff000, 0x3000, 0x200000},
                              {kDirectMap + 0x200000, 0x200000, 0x100000, 0x300000}},
                             Dialect::kDump);
  EXPECT_EQ(Ram(map),
            (std::vector<Range>{{0, 0x100000}, {0x100000, 0x102000}, {0x200000, 0x300000}}));
  EXPECT_EQ(map.Find(PhysAddr{0x100000})->offset, 0x201000U);
  EXPECT_EQ(map.Find(PhysAddr{0xff000})->offset, 0x1000U + 0xff000);
}

TEST(MemoryMap, AliasesOfAliasesAreMemoryOnce) {
  const MemoryMap map = Good({{kDirectMap, 0, 0x10000},
                              {kImageBase, 0x20000, 0x10000, 0x1000000},
                              {0xffffffffa0000000, 0x24000, 0x4000, 0x2000000},
                              {0xffffffffb0000000, 0x2e000, 0x8000, 0x3000000}},
                             Dialect::kDump);
  EXPECT_EQ(Ram(map), (std::vector<Range>{{0, 0x10000}, {0x20000, 0x30000}, {0x30000, 0x36000}}));
  EXPECT_EQ(map.Find(PhysAddr{0x25000})->offset, 0x1005000U);
  EXPECT_EQ(map.Find(PhysAddr{0x30000})->offset, 0x3002000U);
}

TEST(MemoryMap, KcoreTakesNothingFromAliases) {
  const MemoryMap map =
      Good({{kImageBase, 0x500000, 0x4000}, {kDirectMap, 0, 0x100000}}, Dialect::kKcore);
  EXPECT_EQ(Ram(map), (std::vector<Range>{{0, 0x100000}}));
}

TEST(MemoryMap, SixtyThousandAliasesAreSortedInNoTime) {
  ElfCore core;
  core.headers.push_back(
      {.type = PT_LOAD, .vaddr = kDirectMap, .filesz = 1 << 30, .memsz = 1 << 30});
  test::Random random(7);
  for (int i = 0; i < 60'000; ++i) {
    core.headers.push_back({.type = PT_LOAD,
                            .vaddr = kImageBase + random.Below(1 << 20) * kPage,
                            .paddr = random.Below(1 << 20) * kPage,
                            .filesz = kPage,
                            .memsz = kPage});
  }
  const auto map = MemoryMap::Build(core, Dialect::kDump, kPage);
  ASSERT_TRUE(map.ok());
  uint64_t end = 0;
  for (const Segment& segment : map.value().ram()) {
    ASSERT_GE(segment.phys, end);
    end = segment.PhysRange().end;
  }
}

}  // namespace
}  // namespace kcoredump
