// SPDX-License-Identifier: MIT
#include "capture/batch_order.h"

#include <gtest/gtest.h>

#include "support/fake_source.h"

namespace kcoredump {
namespace {

using test::kFlatStart;
using test::kPage;
using Numbers = std::vector<uint32_t>;

constexpr uint32_t kOrderFrameBytes = 4 * kPage;

class BatchOrderTest : public ::testing::Test {
 protected:
  BatchOrderTest() { source_->as_kind = SourceKind::kLive; }
  CapturePlan Plan() {
    auto plan = CapturePlan::Make(*source_, ImageShape::kMemory, {}, kOrderFrameBytes);
    plan.value().CutIntoBatches(kOrderFrameBytes);
    return std::move(plan.value());
  }
  /// Of a page in that batch.
  uint64_t In(uint64_t batch, uint64_t page = 1) {
    return kFlatStart + batch * kOrderFrameBytes + page * kPage;
  }
  BatchOrder Order(std::vector<PhysRange> named = {}) {
    auto order = VolatileFirst(*source_, Plan(), named, nullptr);
    EXPECT_TRUE(order.ok()) << (order.ok() ? "" : order.error().message);
    return order.ok() ? std::move(order.value()) : BatchOrder{};
  }

  std::shared_ptr<test::FakeSource> source_ = test::FlatSource(32);  // eight batches
};

TEST_F(BatchOrderTest, PageTablesThenTasksThenSlabThenTheRest) {
  source_->script().kinds = {{In(1), PageKind::kSlab},
                             {In(3), PageKind::kPageTable},
                             {In(4), PageKind::kUser},
                             {In(6), PageKind::kSlab}};
  const BatchOrder order = Order({{In(5), In(5) + 100}});
  EXPECT_EQ(order.early, (Numbers{3, 5, 1, 6}));
  EXPECT_EQ(order.late, (Numbers{0, 2, 4, 7}));
  EXPECT_EQ(order.crowded_out, 0U);
}

TEST_F(BatchOrderTest, ABatchIsAsVolatileAsItsMostVolatilePage) {
  source_->script().kinds = {{In(2, 0), PageKind::kSlab},
                             {In(2, 3), PageKind::kPageTable},
                             {In(1, 3), PageKind::kSlab},
                             {In(4, 3), PageKind::kPageTable}};
  const BatchOrder order = Order({{In(4), In(4) + 8}});
  EXPECT_EQ(order.early, (Numbers{2, 4, 1}));
}

TEST_F(BatchOrderTest, WhatIsNamedMayCrossBatchesAndComeInAnyOrder) {
  const BatchOrder order = Order({{In(6), In(6) + 1}, {In(2, 3), In(3, 1)}, {In(2), In(2)}});
  EXPECT_EQ(order.early, (Numbers{2, 3, 6}));
}

TEST_F(BatchOrderTest, WithoutAnythingVolatileAllIsLate) {
  const BatchOrder order = Order();
  EXPECT_TRUE(order.early.empty());
  EXPECT_EQ(order.late.size(), 8U);
}

TEST_F(BatchOrderTest, MoreThanCanBeKeptAreReadByAddress) {
  source_ = test::FlatSource(4 * (kMaxEarlyBatches + 10));
  source_->as_kind = SourceKind::kLive;
  const uint64_t batches = Plan().batches();
  for (uint64_t batch = 0; batch < batches; ++batch) {
    source_->script().kinds[In(batch)] = PageKind::kSlab;
  }
  source_->script().kinds[In(batches - 1)] = PageKind::kPageTable;
  const BatchOrder order = Order();
  EXPECT_EQ(order.early.size(), kMaxEarlyBatches);
  EXPECT_EQ(order.early.front(), batches - 1);
  EXPECT_EQ(order.crowded_out, 10U);
  EXPECT_EQ(order.late.size(), 10U);
  EXPECT_TRUE(std::is_sorted(order.late.begin(), order.late.end()));
}

TEST_F(BatchOrderTest, ADumpHasNoOrder) {
  source_->as_kind = SourceKind::kElfCore;
  const auto order = VolatileFirst(*source_, Plan(), {}, nullptr);
  ASSERT_FALSE(order.ok());
  EXPECT_EQ(order.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(BatchOrderTest, CanBeCancelled) {
  const std::atomic<bool> cancel{true};
  const auto order = VolatileFirst(*source_, Plan(), {}, &cancel);
  ASSERT_FALSE(order.ok());
  EXPECT_EQ(order.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace kcoredump
