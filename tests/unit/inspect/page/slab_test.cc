// SPDX-License-Identifier: MIT
#include "inspect/page/slab.h"

#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kCachesHead = 0xffffffff82400000;
constexpr uint64_t kCaches = 0xffff888000500000;
constexpr uint64_t kCacheNodes = 0xffff888000510000;
constexpr uint64_t kSlabs = 0xffff888000520000;
constexpr uint64_t kCacheNames = 0xffff888000530000;
constexpr uint64_t kCacheLinks = 24;  ///< in a kmem_cache
constexpr uint64_t kPartialAt = 16;   ///< in a kmem_cache_node

/// Caches with a node each, whose partial slabs hang on a list.
class SlabTest : public testing::Test {
 protected:
  SlabTest() {
    kernel_.Struct("list_head", 16, {{"next", 0}, {"prev", 8}});
    kernel_.Struct("count", 8, {{"counter", 0}});
    kernel_.Struct("kmem_cache", 64,
                   {{"size", 0, 4},
                    {"object_size", 4, 4},
                    {"oo", 8, 4},
                    {"name", 16},
                    {"list", kCacheLinks, 16, "list_head"},
                    {"node", 40, 16}});
    kernel_.Struct("kmem_cache_node", 32,
                   {{"nr_slabs", 0, 8, "count"},
                    {"total_objects", 8, 8, "count"},
                    {"partial", kPartialAt, 16, "list_head"}});
    kernel_.Struct("slab", 32,
                   {{"slab_list", 0, 16, "list_head"}, {"inuse", 16, 2}, {"objects", 18, 2}});
    kernel_.Symbol("slab_caches", kCachesHead);
    kernel_.Zero(kCacheNames, 8192);
    for (uint64_t i = 0; i < 2; ++i) {
      kernel_.Zero(Cache(i), 48);  // with one node, and not the whole struct
      kernel_.memory.PutValue<uint32_t>(Cache(i), 128);
      kernel_.memory.PutValue<uint32_t>(Cache(i) + 4, 120);
      kernel_.memory.PutValue<uint32_t>(Cache(i) + 8, 1 << 16 | 64);
      kernel_.Word(Cache(i) + 16, kCacheNames + i * 16);
      kernel_.memory.Put(kCacheNames + i * 16, i == 0 ? "first" : "second");
      kernel_.Word(Cache(i) + 40, Node(i));
      kernel_.Zero(Node(i), 32);
      kernel_.Word(Node(i), 3);
      kernel_.Word(Node(i) + 8, 192);
      Circle({Node(i) + kPartialAt});
    }
    Circle({kCachesHead, Cache(1) + kCacheLinks, Cache(0) + kCacheLinks});
    for (uint64_t i = 0; i < 2; ++i) {
      kernel_.Zero(Slab(i), 32);
      kernel_.memory.PutValue<uint16_t>(Slab(i) + 16, static_cast<uint16_t>(10 + i));
      kernel_.memory.PutValue<uint16_t>(Slab(i) + 18, 64);
    }
    Circle({Node(0) + kPartialAt, Slab(0), Slab(1)});
  }

  static uint64_t Cache(uint64_t number) { return kCaches + number * 0x1000; }
  static uint64_t Node(uint64_t number) { return kCacheNodes + number * 0x100; }
  static uint64_t Slab(uint64_t number) { return kSlabs + number * 0x40; }
  void Circle(const std::vector<uint64_t>& nodes) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      kernel_.Word(nodes[i], nodes[(i + 1) % nodes.size()]);
      kernel_.Word(nodes[i] + 8, nodes[(i + nodes.size() - 1) % nodes.size()]);
    }
  }
  SlabCaches Walk() {
    auto walked = WalkSlabCaches(kernel_.sources());
    EXPECT_TRUE(walked.ok()) << (walked.ok() ? "" : walked.error().message);
    return walked.ok() ? std::move(walked.value()) : SlabCaches{};
  }

  test::FakeKernel kernel_;
};

TEST_F(SlabTest, CountsObjects) {
  const SlabCaches found = Walk();
  ASSERT_EQ(found.caches.size(), 2U);
  const SlabCache& first = found.caches[0];
  EXPECT_EQ(first.name, "first");
  EXPECT_EQ(first.object_bytes, 120U);
  EXPECT_EQ(first.size_bytes, 128U);
  EXPECT_EQ(first.objects_a_slab, 64U);
  EXPECT_EQ(first.pages_a_slab, 2U);
  EXPECT_EQ(first.slabs, 3U);
  EXPECT_EQ(first.objects, 192U);
  EXPECT_EQ(first.active, 192U - 54 - 53);
  EXPECT_EQ(found.caches[1].active, 192U);
  EXPECT_FALSE(found.findings.incomplete);
}

TEST_F(SlabTest, ACircleOfSlabsEnds) {
  kernel_.Word(Slab(1), Slab(0));
  const SlabCaches found = Walk();
  ASSERT_EQ(found.caches.size(), 2U);
  EXPECT_EQ(found.caches[0].active, 192U - 54 - 53);
}

TEST_F(SlabTest, AWildNodeCostsItsCounts) {
  kernel_.Word(Cache(1) + 40, 0xdead000000000000);
  const SlabCaches found = Walk();
  ASSERT_EQ(found.caches.size(), 2U);
  EXPECT_EQ(found.caches[1].objects, 0U);
  EXPECT_TRUE(found.findings.incomplete);
}

TEST_F(SlabTest, ForgedCountsDoNotUnderflow) {
  kernel_.Word(Node(0) + 8, 5);
  kernel_.memory.PutValue<uint16_t>(Slab(0) + 16, 0xffff);
  EXPECT_EQ(Walk().caches[0].active, 0U);
}

TEST_F(SlabTest, ANodeOrANameThatIsMissingIsSaid) {
  kernel_.memory.Remove(Cache(1) + 40, 8);
  kernel_.Word(Cache(0) + 16, 0xdead000000000000);
  const SlabCaches found = Walk();
  ASSERT_EQ(found.caches.size(), 2U);
  EXPECT_TRUE(found.findings.incomplete);
  EXPECT_EQ(found.findings.notes.size(), 2U);
}

/// As kernels without CONFIG_SLUB_DEBUG are.
TEST(SlabCountsTest, ACacheWhoseNodesDoNotCountKeepsItsSizes) {
  test::FakeKernel kernel;
  kernel.Struct("list_head", 16, {{"next", 0}, {"prev", 8}});
  kernel.Struct("kmem_cache", 64,
                {{"object_size", 4, 4}, {"name", 16}, {"list", 24, 16, "list_head"}, {"node", 40}});
  kernel.Struct("kmem_cache_node", 8, {{"nr_partial", 0}});
  kernel.Symbol("slab_caches", kCachesHead);
  kernel.Zero(kCaches, 48);
  kernel.memory.PutValue<uint32_t>(kCaches + 4, 120);
  kernel.Word(kCaches + 16, kCacheNames);
  kernel.Zero(kCacheNames, 256);
  kernel.memory.Put(kCacheNames, "lab");
  for (const auto& [node, other] :
       {std::pair(kCachesHead, kCaches + 24), std::pair(kCaches + 24, kCachesHead)}) {
    kernel.Word(node, other);
    kernel.Word(node + 8, other);
  }
  const auto found = WalkSlabCaches(kernel.sources());
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found.value().caches.size(), 1U);
  EXPECT_EQ(found.value().caches[0].name, "lab");
  EXPECT_EQ(found.value().caches[0].object_bytes, 120U);
  EXPECT_EQ(found.value().findings.notes.size(), 3U);
  EXPECT_FALSE(found.value().findings.incomplete);
}

TEST_F(SlabTest, ACircleOfCachesEnds) {
  kernel_.Word(Cache(0) + kCacheLinks, Cache(1) + kCacheLinks);
  const SlabCaches found = Walk();
  EXPECT_EQ(found.caches.size(), 2U);
}

}  // namespace
}  // namespace kcoredump
