// SPDX-License-Identifier: MIT
#include "capture/batch_order.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"
#include "base/range.h"
#include "base/try.h"
#include "kcoredump/page_class.h"

namespace kcoredump {

namespace {

enum Rank : uint8_t { kTables, kNamed, kSlab, kRest, kRanks };

class Ranker {
 public:
  Ranker(const MemorySource& source, SourceReader& reader, std::span<const PhysRange> named)
      : reader_(reader), page_bytes_(source.page_bytes()) {
    for (const PhysRange& range : named) named_.push_back({range.begin, range.end});
    named_ = Normalized(std::move(named_));
  }

  /// A batch is as volatile as its most volatile page.
  [[nodiscard]] Rank Of(const Batch& batch) {
    if (!batch.is_memory) return kRest;
    kinds_.assign(batch.bytes / page_bytes_, PageKind::kUnknown);
    (void)reader_.TellKinds(batch.phys, kinds_);
    const auto any = [&](PageKind kind) {
      return std::find(kinds_.begin(), kinds_.end(), kind) != kinds_.end();
    };
    if (any(PageKind::kPageTable)) return kTables;
    if (IsNamed({batch.phys.value, batch.phys.value + batch.bytes})) return kNamed;
    return any(PageKind::kSlab) ? kSlab : kRest;
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
  std::vector<PageKind> kinds_;
};

}  // namespace

Result<BatchOrder> VolatileFirst(const MemorySource& source, const CapturePlan& plan,
                                 std::span<const PhysRange> first,
                                 const std::atomic<bool>* cancel) {
  if (source.kind() != SourceKind::kLive) {
    return InvalidArgument("--order volatile is for a live kernel: a dump does not change");
  }
  if (plan.batches() > std::numeric_limits<uint32_t>::max()) {
    return MakeError(ErrorCode::kUnsupported, "too much memory to be put in order");
  }
  KCD_ASSIGN(auto reader, source.NewReader());
  Ranker ranker(source, *reader, first);
  std::array<std::vector<uint32_t>, kRanks> ranked;
  for (uint64_t index = 0; index < plan.batches(); ++index) {
    if (cancel != nullptr && cancel->load()) {
      return MakeError(ErrorCode::kCancelled, "interrupted before anything was read");
    }
    ranked[ranker.Of(plan.At(index))].push_back(static_cast<uint32_t>(index));
  }
  BatchOrder order;
  for (const Rank rank : {kTables, kNamed, kSlab}) {
    order.early.insert(order.early.end(), ranked[rank].begin(), ranked[rank].end());
  }
  order.late = std::move(ranked[kRest]);
  if (order.early.size() > kMaxEarlyBatches) {
    order.crowded_out = order.early.size() - kMaxEarlyBatches;
    order.late.insert(order.late.end(), order.early.begin() + kMaxEarlyBatches, order.early.end());
    order.early.resize(kMaxEarlyBatches);
    std::sort(order.late.begin(), order.late.end());
  }
  return order;
}

}  // namespace kcoredump
