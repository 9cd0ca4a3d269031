// SPDX-License-Identifier: MIT
#include "capture/pipeline.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "base/try.h"
#include "base/zero.h"
#include "format/codec.h"

namespace kcoredump {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// How long a stopping pipeline waits for a read that does not return, and for a worker that is
/// slow otherwise (a high level, a read page by page), before it leaves the worker behind.
constexpr std::chrono::milliseconds kReadPatience{2000};
constexpr std::chrono::milliseconds kWorkerPatience{60000};
constexpr std::chrono::milliseconds kLookInterval{50};

unsigned SlotCount(unsigned threads) { return 2 * threads + 2; }

uint64_t BatchBound(const PipelineOptions& options) {
  const uint64_t frames = (options.batch_bytes + options.frame_bytes - 1) / options.frame_bytes;
  return frames * CompressedBound(options.frame_bytes);
}

uint64_t MemoryOf(const PipelineOptions& options) {
  const uint64_t per_worker =
      options.batch_bytes + CompressorBytes(options.level, options.frame_bytes);
  return options.threads * per_worker + SlotCount(options.threads) * BatchBound(options);
}

/// Pages of [begin, end), physical, that `report` lists as holes.
uint64_t HolePages(const ReadReport& report, uint64_t begin, uint64_t end, uint64_t page_bytes) {
  uint64_t pages = 0;
  for (const PageRun& run : report.runs) {
    if (!IsHole(run.outcome)) continue;
    const uint64_t first = std::max(run.first.address, begin);
    const uint64_t last = std::min(run.first.address + run.pages * page_bytes, end);
    if (last > first) pages += (last - first) / page_bytes;
  }
  return pages;
}

}  // namespace

PipelineOptions FitToMemory(PipelineOptions wanted, uint64_t budget_bytes) {
  wanted.batch_bytes = std::max<uint64_t>(kMaxBatchBytes, wanted.frame_bytes);
  while (MemoryOf(wanted) > budget_bytes && wanted.batch_bytes > wanted.frame_bytes) {
    wanted.batch_bytes /= 2;
  }
  while (MemoryOf(wanted) > budget_bytes && wanted.threads > 1) --wanted.threads;
  return wanted;
}

/// What workers and pipeline have in common.
struct Pipeline::Shared {
  Shared(std::shared_ptr<const MemorySource> in_source, std::shared_ptr<const CapturePlan> in_plan,
         const PipelineOptions& in_options)
      : source(std::move(in_source)),
        plan(std::move(in_plan)),
        options(in_options),
        free(SlotCount(in_options.threads)),
        done(SlotCount(in_options.threads)),
        ended(in_options.threads),
        watches(in_options.threads) {}

  const std::shared_ptr<const MemorySource> source;
  const std::shared_ptr<const CapturePlan> plan;
  const PipelineOptions options;
  const SteadyClock::time_point start = SteadyClock::now();
  BoundedQueue<std::unique_ptr<Slot>> free;
  BoundedQueue<std::unique_ptr<Slot>> done;
  BoundedQueue<unsigned> ended;  ///< workers that have returned
  std::vector<ReadWatch> watches;
  std::vector<std::byte> zero_frame;  ///< a whole frame of zeros, compressed; set before Start
  std::atomic<uint64_t> next_index{0};
  std::atomic<bool> stop{false};
};

namespace {

/// A whole frame of zeros, compressed once for all workers.
Result<std::vector<std::byte>> CompressZeros(const PipelineOptions& options) {
  KCD_ASSIGN(FrameCompressor compressor, FrameCompressor::Create(options.level));
  const std::vector<std::byte> zeros(options.frame_bytes);
  std::vector<std::byte> bound(CompressedBound(zeros.size()));
  KCD_ASSIGN(const size_t length, compressor.Compress(zeros, bound));
  return std::vector<std::byte>(bound.begin(), bound.begin() + static_cast<ptrdiff_t>(length));
}

/// One worker's tools: reader, buffer and compressor.
class BatchWorker {
 public:
  static Result<BatchWorker> Create(const MemorySource& source, const PipelineOptions& options,
                                    std::span<const std::byte> zero_frame, ReadWatch* watch) {
    KCD_ASSIGN(auto reader, RangeReader::Create(source, options.read, watch));
    KCD_ASSIGN(LockedBuffer buffer, LockedBuffer::Create(options.batch_bytes));
    KCD_ASSIGN(FrameCompressor compressor, FrameCompressor::Create(options.level));
    return BatchWorker(std::move(reader), std::move(buffer), std::move(compressor), options,
                       zero_frame, source.page_bytes());
  }

  Status Run(const Batch& batch, SteadyClock::time_point start, Slot& slot) {
    slot.report.Clear();
    slot.frames.clear();
    std::span<const std::byte> content = batch.literal;
    if (batch.is_memory) {
      const std::span<std::byte> buffer = buffer_.bytes().first(batch.bytes);
      const uint64_t moves_before = reader_->moves();
      KCD_TRY(reader_->Read(batch.phys, buffer, slot.report));
      slot.moves = reader_->moves() - moves_before;
      content = buffer;
    }
    slot.milliseconds = static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - start).count());
    size_t used = 0;
    while (!content.empty()) {
      const size_t bytes = std::min<size_t>(content.size(), options_.frame_bytes);
      const std::span<std::byte> out(slot.bytes.get() + used, CompressedBound(bytes));
      KCD_ASSIGN(CompressedFrame frame, CompressFrame(content.first(bytes), out, batch.is_memory));
      // Holes are zero in the buffer, but they were not read.
      const uint64_t phys = batch.phys.value + (batch.bytes - content.size());
      frame.zero_pages -=
          static_cast<uint32_t>(HolePages(slot.report, phys, phys + bytes, page_bytes_));
      slot.frames.push_back(frame);
      used += frame.compressed_bytes;
      content = content.subspan(bytes);
    }
    return {};
  }

 private:
  BatchWorker(std::unique_ptr<RangeReader> reader, LockedBuffer buffer, FrameCompressor compressor,
              const PipelineOptions& options, std::span<const std::byte> zero_frame,
              uint64_t page_bytes)
      : reader_(std::move(reader)),
        buffer_(std::move(buffer)),
        compressor_(std::move(compressor)),
        options_(options),
        zero_frame_(zero_frame),
        page_bytes_(page_bytes) {}

  Result<CompressedFrame> CompressFrame(std::span<const std::byte> content,
                                        std::span<std::byte> out, bool is_memory) {
    CompressedFrame frame{.compressed_bytes = 0,
                          .content_bytes = static_cast<uint32_t>(content.size()),
                          .zero_pages = 0};
    if (is_memory) frame.zero_pages = CountZeroPages(content);
    if (content.size() == options_.frame_bytes &&
        frame.zero_pages * page_bytes_ == content.size()) {
      std::copy(zero_frame_.begin(), zero_frame_.end(), out.begin());
      frame.compressed_bytes = static_cast<uint32_t>(zero_frame_.size());
      return frame;
    }
    KCD_ASSIGN(const size_t length, compressor_.Compress(content, out));
    frame.compressed_bytes = static_cast<uint32_t>(length);
    return frame;
  }

  [[nodiscard]] uint32_t CountZeroPages(std::span<const std::byte> content) const {
    uint32_t count = 0;
    for (size_t at = 0; at + page_bytes_ <= content.size(); at += page_bytes_) {
      if (IsZero(content.subspan(at, page_bytes_))) ++count;
    }
    return count;
  }

  std::unique_ptr<RangeReader> reader_;
  LockedBuffer buffer_;
  FrameCompressor compressor_;
  PipelineOptions options_;
  std::span<const std::byte> zero_frame_;
  uint64_t page_bytes_;
};

}  // namespace

Pipeline::Pipeline(std::shared_ptr<const MemorySource> source,
                   std::shared_ptr<const CapturePlan> plan, const PipelineOptions& options)
    : shared_(std::make_shared<Shared>(std::move(source), std::move(plan), options)),
      waiting_(SlotCount(options.threads)) {
  for (unsigned i = 0; i < SlotCount(options.threads); ++i) {
    auto slot = std::make_unique<Slot>();
    slot->bytes = std::make_unique_for_overwrite<std::byte[]>(BatchBound(options));
    shared_->free.Push(std::move(slot));
  }
}

Status Pipeline::Start() {
  KCD_ASSIGN(shared_->zero_frame, CompressZeros(shared_->options));
  for (unsigned worker = 0; worker < shared_->options.threads; ++worker) {
    try {
      threads_.emplace_back([shared = shared_, worker] { Work(shared, worker); });
    } catch (const std::system_error& failure) {
      if (worker == 0) return SystemError("starting a thread", failure.code().value());
      return {};  // fewer threads do the same work
    }
  }
  return {};
}

void Pipeline::Work(const std::shared_ptr<Shared>& shared, unsigned worker) {
  auto tools = [&] {
    // Opening kcore can hang as well as reading it.
    const WatchedCall call(&shared->watches[worker], kWatchOpening);
    return BatchWorker::Create(*shared->source, shared->options, shared->zero_frame,
                               &shared->watches[worker]);
  }();
  // A slot first, an index second: so the lowest index under way always has a slot to end in.
  // A worker without tools leaves the work to the others; the first speaks for all.
  while (tools.ok() || worker == 0) {
    auto slot = shared->free.Pop();
    if (!slot || shared->stop.load()) break;
    Slot& work = **slot;
    work.index = shared->next_index.fetch_add(1);
    if (work.index >= shared->plan->batches()) break;
    Status status = tools.ok()
                        ? tools.value().Run(shared->plan->At(work.index), shared->start, work)
                        : Status(tools.error());
    const bool failed = !status.ok();
    if (failed) work.error = std::move(status.error());
    if (!shared->done.Push(std::move(*slot)) || failed) break;
  }
  shared->ended.Push(worker);
}

Slot* Pipeline::Next(std::chrono::milliseconds patience) {
  std::unique_ptr<Slot>& place = waiting_[next_index_ % waiting_.size()];
  const auto deadline = SteadyClock::now() + patience;
  while (place == nullptr) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
    auto slot = shared_->done.PopFor(std::max(left, std::chrono::milliseconds(0)));
    if (!slot) return nullptr;
    // Slots are as many as places, and indexes are handed out in order: no two share a place.
    std::unique_ptr<Slot>& target = waiting_[(*slot)->index % waiting_.size()];
    target = std::move(*slot);
  }
  return place.get();
}

void Pipeline::Release() {
  shared_->free.Push(std::move(waiting_[next_index_ % waiting_.size()]));
  ++next_index_;
}

std::optional<uint64_t> Pipeline::StalledAt(std::chrono::nanoseconds limit) const {
  const std::chrono::nanoseconds now = SteadyClock::now().time_since_epoch();
  for (const ReadWatch& watch : shared_->watches) {
    const int64_t started = watch.started_ns.load(std::memory_order_acquire);
    if (started != 0 && now.count() - started > limit.count()) {
      return watch.address.load(std::memory_order_relaxed);
    }
  }
  return std::nullopt;
}

Pipeline::~Pipeline() {
  shared_->stop.store(true);
  shared_->free.Close();
  shared_->done.Close();
  const auto deadline = SteadyClock::now() + kWorkerPatience;
  size_t ended = 0;
  while (ended < threads_.size() && SteadyClock::now() < deadline && !StalledAt(kReadPatience)) {
    if (shared_->ended.PopFor(kLookInterval)) ++ended;
  }
  for (std::thread& thread : threads_) {
    if (ended == threads_.size()) {
      thread.join();
    } else {
      thread.detach();
    }
  }
}

}  // namespace kcoredump
