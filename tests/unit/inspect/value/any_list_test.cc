// SPDX-License-Identifier: MIT
#include "inspect/value/any_list.h"

#include "support/fake_kernel.h"

namespace kcoredump {
namespace {

constexpr uint64_t kListHead = 0xffffffff82300000;
constexpr uint64_t kObjects = 0xffff888000400000;

/// Objects that every sort of link may join.
class AnyListTest : public testing::Test {
 protected:
  AnyListTest() {
    kernel_.Struct("list_head", 16, {{"next", 0}, {"prev", 8}});
    kernel_.Struct("hlist_node", 16, {{"next", 0}, {"pprev", 8}});
    kernel_.Struct("rb_node", 24, {{"parent", 0}, {"right", 8}, {"left", 16}});
    kernel_.Struct("thing", 80,
                   {{"id", 0, 4},
                    {"links", 8, 16, "list_head"},
                    {"chain", 24, 16, "hlist_node"},
                    {"node", 40, 24, "rb_node"},
                    {"name", 64, 8}});
    for (uint64_t i = 0; i < 4; ++i) {
      kernel_.Zero(At(i), 80);
      kernel_.memory.PutValue<uint32_t>(At(i), static_cast<uint32_t>(100 + i));
    }
  }

  static uint64_t At(uint64_t number) { return kObjects + number * 0x100; }

  Result<ListAnswer> Walk(const std::string& member, const ListOptions& options = {},
                          const std::string& head_type = "") {
    const auto type = kernel_.types().Find("struct thing");
    EXPECT_TRUE(type.ok());
    const PrintSources sources{.types = kernel_.types(),
                               .memory = kernel_.memory,
                               .pointers = kernel_.memory,
                               .names = {}};
    return WalkListAt(
        sources,
        {.type = type.value(), .member = member, .head = kListHead, .head_type = head_type},
        options);
  }
  static std::vector<uint64_t> Numbers(const Result<ListAnswer>& answer) {
    std::vector<uint64_t> numbers;
    if (!answer.ok()) return numbers;
    for (const ListEntry& entry : answer.value().entries) {
      numbers.push_back((entry.address - kObjects) / 0x100);
    }
    return numbers;
  }
  /// A circular list of the head and the objects.
  void Link(const std::vector<uint64_t>& objects) {
    std::vector<uint64_t> nodes = {kListHead};
    for (const uint64_t object : objects) nodes.push_back(At(object) + 8);
    for (size_t i = 0; i < nodes.size(); ++i) {
      kernel_.Word(nodes[i], nodes[(i + 1) % nodes.size()]);
      kernel_.Word(nodes[i] + 8, nodes[(i + nodes.size() - 1) % nodes.size()]);
    }
  }

  test::FakeKernel kernel_;
};

TEST_F(AnyListTest, WalksAListAndShowsMembers) {
  Link({2, 0, 1});
  const auto answer = Walk("links", {.show = {"id"}});
  EXPECT_EQ(Numbers(answer), (std::vector<uint64_t>{2, 0, 1}));
  ASSERT_TRUE(answer.value().entries[0].values[0].has_value());
  EXPECT_EQ(answer.value().entries[0].values[0]->number, 102U);
  EXPECT_EQ(answer.value().kind, "list_head");
  EXPECT_FALSE(answer.value().findings.incomplete);
}

TEST_F(AnyListTest, WalksAChain) {
  kernel_.Word(kListHead, At(1) + 24);
  kernel_.Word(At(1) + 24, At(3) + 24);
  EXPECT_EQ(Numbers(Walk("chain")), (std::vector<uint64_t>{1, 3}));
}

TEST_F(AnyListTest, WalksATree) {
  kernel_.Word(kListHead, At(1) + 40);
  kernel_.Word(At(1) + 40 + 16, At(0) + 40);
  kernel_.Word(At(0) + 40, At(1) + 40);
  EXPECT_EQ(Numbers(Walk("node")), (std::vector<uint64_t>{0, 1}));
}

TEST_F(AnyListTest, WalksAnXArrayByIndex) {
  kernel_.Struct("xarray", 16, {{"xa_lock", 0, 4}, {"xa_head", 8}});
  kernel_.Struct("xa_node", 64, {{"shift", 0, 1}, {"slots", 32, 32}});
  const uint64_t node = kListHead + 0x100;
  kernel_.Zero(kListHead, 16);
  kernel_.Word(kListHead + 8, node | 2);
  kernel_.Zero(node, 64);
  kernel_.Word(node + 32 + 8, At(2));
  kernel_.Word(node + 32 + 24, At(0));
  const auto answer = Walk("", {.show = {"id"}}, "struct xarray");
  EXPECT_EQ(Numbers(answer), (std::vector<uint64_t>{2, 0}));
  EXPECT_EQ(answer.value().kind, "xarray");
  EXPECT_EQ(answer.value().entries[1].index, 3U);
  EXPECT_EQ(answer.value().entries[1].values[0]->number, 100U);
}

TEST_F(AnyListTest, WalksAMapleTreeByRange) {
  kernel_.Struct("maple_tree", 16, {{"ma_flags", 4, 4}, {"ma_root", 8}});
  kernel_.Struct("maple_range_64", 256, {{"pivot", 8, 120}, {"slot", 128, 128}});
  kernel_.Struct("maple_arange_64", 256, {{"pivot", 8, 72}, {"slot", 80, 80}});
  kernel_.Struct("maple_node", 256, {{"all", 0, 256}});
  const uint64_t node = kListHead + 0x100;
  kernel_.Zero(kListHead, 16);
  kernel_.Word(kListHead + 8, node | 1 << 3 | 2);
  kernel_.Zero(node, 256);
  kernel_.Word(node + 8, 0xff);
  kernel_.Word(node + 128, At(3));
  const auto answer = Walk("", {}, "struct maple_tree");
  EXPECT_EQ(Numbers(answer), (std::vector<uint64_t>{3}));
  EXPECT_EQ(answer.value().kind, "maple_tree");
  EXPECT_EQ(answer.value().entries[0].last, 0xffU);
}

TEST_F(AnyListTest, ACircleEnds) {
  Link({0, 1, 2});
  kernel_.Word(At(2) + 8, At(0) + 8);
  const auto answer = Walk("links");
  EXPECT_EQ(Numbers(answer), (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_FALSE(answer.value().findings.notes.empty());
}

TEST_F(AnyListTest, AWildPointerIsDamage) {
  kernel_.Word(kListHead, 0xdead000000000100);
  kernel_.Word(kListHead + 8, 0xdead000000000122);
  const auto answer = Walk("links");
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer.value().entries.empty());
  EXPECT_TRUE(answer.value().findings.incomplete);
}

TEST_F(AnyListTest, AMemberThatIsNotThereIsAnError) {
  Link({0});
  const auto link = Walk("nothing");
  ASSERT_FALSE(link.ok());
  EXPECT_EQ(link.error().code, ErrorCode::kNotFound);
  const auto shown = Walk("links", {.show = {"nothing"}});
  ASSERT_FALSE(shown.ok());
  EXPECT_EQ(shown.error().code, ErrorCode::kNotFound);
}

TEST_F(AnyListTest, AMemberThatLinksNothingIsAnError) {
  const auto answer = Walk("id");
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalidArgument);
  const auto root = Walk("", {}, "struct list_head");
  ASSERT_FALSE(root.ok());
  EXPECT_EQ(root.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(AnyListTest, StopsAtTheLimit) {
  Link({0, 1, 2, 3});
  const auto answer = Walk("links", {.max_entries = 2});
  EXPECT_EQ(Numbers(answer).size(), 2U);
  EXPECT_FALSE(answer.value().findings.notes.empty());
}

TEST_F(AnyListTest, ExactlyTheLimitIsAll) {
  Link({0, 1, 2, 3});
  const auto answer = Walk("links", {.max_entries = 4});
  EXPECT_EQ(Numbers(answer).size(), 4U);
  EXPECT_TRUE(answer.value().findings.notes.empty());
}

}  // namespace
}  // namespace kcoredump
