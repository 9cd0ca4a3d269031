// SPDX-License-Identifier: MIT
#include "source/range_reader.h"

#include <algorithm>
#include <cerrno>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "base/zero.h"

namespace kcoredump {

namespace {

/// Labels that never come to rest must not hold us for ever.
constexpr unsigned kMaxRelabelled = 4;

/// Where `before` has a hole, `labels` gets it.
void KeepHoles(const std::vector<PageLabel>& before, std::vector<PageLabel>& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (IsHole(before[i].outcome)) labels[i] = before[i];
  }
}

}  // namespace

Result<std::unique_ptr<RangeReader>> RangeReader::Create(const MemorySource& source,
                                                         const ReadOptions& options,
                                                         ReadWatch* watch) {
  KCD_ASSIGN(std::unique_ptr<SourceReader> reader, source.NewReader());
  KCD_ASSIGN(PageReader pages,
             PageReader::Create(reader.get(), source.page_bytes(), options, watch));
  return std::unique_ptr<RangeReader>(
      new RangeReader(std::move(reader), std::move(pages), source.page_bytes(), watch));
}

RangeReader::RangeReader(std::unique_ptr<SourceReader> reader, PageReader pages,
                         uint64_t page_bytes, ReadWatch* watch)
    : reader_(std::move(reader)),
      pages_(std::move(pages)),
      page_bytes_(page_bytes),
      watch_(watch) {}

Status RangeReader::Read(Location at, std::span<std::byte> out, ReadReport& report) {
  if (!out.empty() && !CheckedAdd(at.address, out.size() - 1)) {
    return MakeError(ErrorCode::kInvalidArgument, "the range wraps around the address space");
  }
  while (!out.empty()) {
    const uint64_t inside = at.address & (page_bytes_ - 1);
    const size_t bytes = std::min<uint64_t>(out.size(), kMaxBatchBytes - inside);
    KCD_TRY(ReadBatch(at, out.first(bytes), report));
    at = at.Plus(bytes);
    out = out.subspan(bytes);
  }
  return {};
}

/// Labels of the pages from `at` on. Runs of physically contiguous pages are asked for together;
/// what has no physical address (vmalloc space) has no labels.
void RangeReader::LabelPages(Location at, uint64_t pages, std::vector<PageLabel>& labels) {
  const WatchedCall call(watch_, at.address);
  labels.assign(pages, {});
  if (at.space == Space::kPhysical) return reader_->Label(PhysAddr{at.address}, labels);
  uint64_t first = 0;
  while (first < pages) {
    const auto phys = reader_->ToPhysical(at.Plus(first * page_bytes_));
    uint64_t count = 1;
    while (first + count < pages && phys &&
           reader_->ToPhysical(at.Plus((first + count) * page_bytes_)) ==
               PhysAddr{phys->value + count * page_bytes_}) {
      ++count;
    }
    if (phys) reader_->Label(*phys, std::span(labels).subspan(first, count));
    first += count;
  }
}

/// A batch whose labels changed while it was read is read again by the new ones: a page that went
/// offline in between gave zeros and called it success.
Status RangeReader::ReadBatch(Location at, std::span<std::byte> out, ReadReport& report) {
  const Location first_page(at.space, AlignDown(at.address, page_bytes_));
  const uint64_t inside = at.address - first_page.address;
  const uint64_t pages = (inside + out.size() + page_bytes_ - 1) / page_bytes_;
  LabelPages(first_page, pages, labels_);
  for (unsigned attempt = 1;; ++attempt) {
    batch_.Clear();
    KCD_TRY(ReadLabelled(at, out, batch_));
    if (!reader_->labels_may_change() || attempt > kMaxRelabelled) break;
    LabelPages(first_page, pages, after_);
    if (after_ == labels_) break;
    // Labels that do not come to rest: a page that either look calls a hole is one.
    if (attempt == kMaxRelabelled) KeepHoles(labels_, after_);
    std::swap(labels_, after_);
  }
  report.doubtful_pages += batch_.doubtful_pages;
  report.counts.direct += batch_.counts.direct;
  for (const PageRun& run : batch_.runs) AddRun(report, run, page_bytes_);
  return {};
}

void RangeReader::CountDoubtful(Location at, std::span<const std::byte> bytes,
                                ReadReport& report) const {
  if (!reader_->labels_may_change() || at.space == Space::kPhysical) return;
  while (!bytes.empty()) {
    const uint64_t to_page_end = page_bytes_ - (at.address & (page_bytes_ - 1));
    const size_t step = std::min<uint64_t>(bytes.size(), to_page_end);
    if (!reader_->ToPhysical(at) && IsZero(bytes.first(step))) ++report.doubtful_pages;
    bytes = bytes.subspan(step);
    at = at.Plus(step);
  }
}

/// Reads the runs of unlabelled pages and leaves the labelled ones alone.
Status RangeReader::ReadLabelled(Location at, std::span<std::byte> out, ReadReport& report) {
  const Location first_page(at.space, AlignDown(at.address, page_bytes_));
  const uint64_t inside = at.address - first_page.address;
  for (size_t first = 0; first < labels_.size();) {
    size_t end = first + 1;
    while (end < labels_.size() && labels_[end] == labels_[first]) ++end;
    const uint64_t from = first == 0 ? 0 : first * page_bytes_ - inside;
    const uint64_t to = std::min<uint64_t>(out.size(), end * page_bytes_ - inside);
    const std::span<std::byte> part = out.subspan(from, to - from);
    if (labels_[first].outcome == PageOutcome::kDirect) {
      KCD_TRY(pages_.Read(at.Plus(from), part, report));
      CountDoubtful(at.Plus(from), part, report);
    } else {
      KCD_TRY(ZeroFill(part));
      AddRun(report,
             {.first = first_page.Plus(first * page_bytes_),
              .pages = end - first,
              .outcome = labels_[first].outcome,
              .system_errno = labels_[first].system_errno,
              .page_class = labels_[first].page_class},
             page_bytes_);
    }
    first = end;
  }
  return {};
}

}  // namespace kcoredump
