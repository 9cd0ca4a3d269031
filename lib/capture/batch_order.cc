// SPDX-License-Identifier: MIT
#include "capture/batch_order.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"
#include "base/range.h"
#include "base/try.h"

namespace kcoredump {

namespace {

/// So many may wait in a spool: the account of each takes some 400 bytes.
constexpr size_t kMaxEarlyBatches = 1 << 16;

enum Rank : uint8_t { kTables, kNamed, kSlab, kRest, kRanks };

class Ranker {
 public:
  Ranker(const MemorySource& source, SourceReader& reader, std::span<const PhysRange> named)
      : reader_(reader), page_bytes_(source.page_bytes()) {
    for (const PhysRange& range : named) named_.push_back({range.begin, range.end});
    named_ = Normalized(std::move(named_));
  }

  /// A batch is as volatile as its most volatile page.
  [[nodiscard]] Result<Rank> Of(const Batch& batch) {
    uses_.assign(batch.bytes / page_bytes_, PageVolatility::kOther);
    if (!reader_.RankVolatile(batch.phys, uses_)) {
      return MakeError(ErrorCode::kUnsupported,
                       "only a live kernel's memory has an order; a dump does not change");
    }
    const auto any = [&](PageVolatility use) {
      return std::find(uses_.begin(), uses_.end(), use) != uses_.end();
    };
    if (any(PageVolatility::kPageTable)) return kTables;
    if (IsNamed({batch.phys.value, batch.phys.value + batch.bytes})) return kNamed;
    return any(PageVolatility::kSlab) ? kSlab : kRest;
  }

 private:
  [[nodiscard]] bool IsNamed(const Range& batch) const {
    const auto after = std::partition_point(
        named_.begin(), named_.end(), [&](const Range& one) { return one.end <= batch.begin; });
    return after != named_.end() && after->begin < batch.end;
  }

  SourceReader& reader_;
  uint64_t page_bytes_;
  std::vector<Range> named_;
  std::vector<PageVolatility> uses_;
};

}  // namespace

Result<BatchOrder> VolatileFirst(const MemorySource& source, const CapturePlan& plan,
                                 std::span<const PhysRange> first) {
  if (plan.batches() > std::numeric_limits<uint32_t>::max()) {
    return MakeError(ErrorCode::kUnsupported, "too much memory to be put in order");
  }
  KCD_ASSIGN(auto reader, source.NewReader());
  Ranker ranker(source, *reader, first);
  std::array<std::vector<uint32_t>, kRanks> ranked;
  for (uint64_t index = 0; index < plan.batches(); ++index) {
    const Batch batch = plan.At(index);
    Rank rank = kRest;
    if (batch.is_memory) {
      KCD_ASSIGN(rank, ranker.Of(batch));
    }
    ranked[rank].push_back(static_cast<uint32_t>(index));
  }
  BatchOrder order;
  for (const Rank rank : {kTables, kNamed, kSlab}) {
    order.early.insert(order.early.end(), ranked[rank].begin(), ranked[rank].end());
  }
  order.late = std::move(ranked[kRest]);
  if (order.early.size() > kMaxEarlyBatches) {
    order.late.insert(order.late.end(), order.early.begin() + kMaxEarlyBatches, order.early.end());
    order.early.resize(kMaxEarlyBatches);
    std::sort(order.late.begin(), order.late.end());
  }
  return order;
}

}  // namespace kcoredump
