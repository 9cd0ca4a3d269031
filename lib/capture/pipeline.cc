// SPDX-License-Identifier: MIT
#include "capture/pipeline.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "base/no_throw.h"
#include "base/try.h"
#include "capture/batch_reader.h"

namespace kcoredump {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// How long a stopping pipeline waits for a read that does not return, and for a worker that is
/// slow otherwise (a high level, a read page by page), before it leaves the worker behind.
constexpr std::chrono::milliseconds kReadPatience{2000};
constexpr std::chrono::milliseconds kWorkerPatience{60000};
constexpr std::chrono::milliseconds kLookInterval{50};

unsigned SlotCount(unsigned threads) { return 2 * threads + 2; }

uint64_t MemoryOf(const PipelineOptions& options, const ImageEncoding& encoding) {
  const uint64_t buffers = (options.filtered ? 2 : 1) * options.batch_bytes;
  const uint64_t per_worker = buffers + options.reader_bytes + encoding.encoder_bytes();
  return options.threads * per_worker +
         SlotCount(options.threads) * encoding.BatchBound(options.batch_bytes);
}

}  // namespace

PipelineOptions FitToMemory(PipelineOptions wanted, const ImageEncoding& encoding,
                            uint64_t budget_bytes) {
  const uint64_t unit = encoding.unit_bytes();
  wanted.batch_bytes = std::max(kMaxBatchBytes, unit);
  while (MemoryOf(wanted, encoding) > budget_bytes && wanted.batch_bytes > unit) {
    wanted.batch_bytes /= 2;
  }
  while (MemoryOf(wanted, encoding) > budget_bytes && wanted.threads > 1) --wanted.threads;
  return wanted;
}

/// What workers and pipeline have in common.
struct Pipeline::Shared {
  Shared(std::shared_ptr<const MemorySource> in_source, std::shared_ptr<const CapturePlan> in_plan,
         std::shared_ptr<const PageFilter> in_filter,
         std::shared_ptr<const ImageEncoding> in_encoding, const PipelineOptions& in_options)
      : source(std::move(in_source)),
        plan(std::move(in_plan)),
        filter(std::move(in_filter)),
        encoding(std::move(in_encoding)),
        options(in_options),
        free(SlotCount(in_options.threads)),
        done(SlotCount(in_options.threads)),
        ended(in_options.threads),
        watches(in_options.threads),
        hopeful(in_options.threads),
        rate(in_options.max_bytes_per_second) {}

  [[nodiscard]] uint64_t batches() const {
    return options.order != nullptr ? options.order->size() : plan->batches();
  }

  const std::shared_ptr<const MemorySource> source;
  const std::shared_ptr<const CapturePlan> plan;
  const std::shared_ptr<const PageFilter> filter;  ///< nullptr: every page is wanted
  const std::shared_ptr<const ImageEncoding> encoding;
  const PipelineOptions options;
  BoundedQueue<std::unique_ptr<Slot>> free;
  BoundedQueue<std::unique_ptr<Slot>> done;
  BoundedQueue<unsigned> ended;  ///< workers that have returned
  std::vector<ReadWatch> watches;
  std::atomic<unsigned> hopeful;  ///< workers that have their tools, or may still get them
  RateLimit rate;
  std::atomic<uint64_t> next_turn{0};
  std::atomic<bool> stop{false};
};

namespace {

uint32_t MillisecondsBetween(SteadyClock::time_point start, SteadyClock::time_point end) {
  return static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(end - start).count());
}

/// One worker's tools.
class BatchWorker {
 public:
  static Result<BatchWorker> Create(const MemorySource& source, const PageFilter* filter,
                                    const ImageEncoding& encoding, const PipelineOptions& options,
                                    ReadWatch* watch) {
    KCD_ASSIGN(BatchReader reader,
               BatchReader::Create(source, filter, options.batch_bytes, options.read, watch));
    KCD_ASSIGN(auto encoder, encoding.NewEncoder());
    return BatchWorker(source, std::move(reader), std::move(encoder));
  }

  Status Run(const Batch& batch, const PipelineOptions& options, Slot& slot) {
    slot.report.Clear();
    slot.batch.pieces.clear();
    slot.batch.is_memory = batch.is_memory;
    slot.batch.phys = batch.phys;
    BatchReader::Content content{.bytes = batch.literal, .pages = {}};
    if (batch.is_memory) {
      const uint64_t moves_before = reader_.moves();
      KCD_ASSIGN(content, reader_.Read(batch.phys, batch.bytes, slot.report));
      slot.moves = reader_.moves() - moves_before;
    }
    const auto now = SteadyClock::now();
    slot.batch.milliseconds =
        times_known_ ? source_.MillisecondsAt(batch.phys) : MillisecondsBetween(options.start, now);
    if (options.smear != nullptr && batch.is_memory) {
      options.smear->Note(batch.phys, content.bytes, content.pages, now);
    }
    return encoder_->Encode({.is_memory = batch.is_memory,
                             .phys = batch.phys,
                             .bytes = content.bytes,
                             .pages = content.pages},
                            slot.batch);
  }

 private:
  BatchWorker(const MemorySource& source, BatchReader reader, std::unique_ptr<BatchEncoder> encoder)
      : source_(source),
        times_known_(source.Times().has_value()),
        reader_(std::move(reader)),
        encoder_(std::move(encoder)) {}

  const MemorySource& source_;
  bool times_known_;  ///< when its memory was read
  BatchReader reader_;
  std::unique_ptr<BatchEncoder> encoder_;
};

}  // namespace

Pipeline::Pipeline(std::shared_ptr<const MemorySource> source,
                   std::shared_ptr<const CapturePlan> plan,
                   std::shared_ptr<const PageFilter> filter,
                   std::shared_ptr<const ImageEncoding> encoding, const PipelineOptions& options)
    : shared_(std::make_shared<Shared>(std::move(source), std::move(plan), std::move(filter),
                                       std::move(encoding), options)),
      stalls_(options.threads),
      waiting_(SlotCount(options.threads)) {
  for (unsigned i = 0; i < SlotCount(options.threads); ++i) {
    auto slot = std::make_unique<Slot>();
    slot->batch.bytes = std::make_unique_for_overwrite<std::byte[]>(
        shared_->encoding->BatchBound(options.batch_bytes));
    shared_->free.Push(std::move(slot));
  }
}

Status Pipeline::Start() {
  for (unsigned worker = 0; worker < shared_->options.threads; ++worker) {
    try {
      threads_.emplace_back([shared = shared_, worker] { Work(shared, worker); });
    } catch (const std::system_error& failure) {
      const unsigned missing = shared_->options.threads - worker;
      if (shared_->hopeful.fetch_sub(missing) > missing) return {};
      return SystemError("starting a thread", failure.code().value());
    }
  }
  return {};
}

void Pipeline::Work(const std::shared_ptr<Shared>& shared, unsigned worker) {
  auto tools = WithoutThrowing([&] {
    // Opening kcore can hang as well as reading it.
    const WatchedCall call(&shared->watches[worker], kWatchOpening);
    return BatchWorker::Create(*shared->source, shared->filter.get(), *shared->encoding,
                               shared->options, &shared->watches[worker]);
  });
  // A worker without tools leaves the work to the others; the last of them speaks for all.
  const bool speaks = !tools.ok() && shared->hopeful.fetch_sub(1) == 1;
  // A slot first, an index second: so the lowest index under way always has a slot to end in.
  while (tools.ok() || speaks) {
    auto slot = shared->free.Pop();
    if (!slot || shared->stop.load()) break;
    Slot& work = **slot;
    work.turn = shared->next_turn.fetch_add(1);
    if (work.turn >= shared->batches()) break;
    work.index = shared->options.order != nullptr ? (*shared->options.order)[work.turn] : work.turn;
    const Batch batch = shared->plan->At(work.index);
    if (batch.is_memory) shared->rate.Wait(batch.bytes, shared->stop);
    Status status = !tools.ok() ? Status(tools.error()) : WithoutThrowing([&] {
      return tools.value().Run(batch, shared->options, work);
    });
    const bool failed = !status.ok();
    if (failed) work.error = std::move(status.error());
    if (!shared->done.Push(std::move(*slot)) || failed) break;
  }
  shared->ended.Push(worker);
}

uint64_t Pipeline::batches() const { return shared_->batches(); }

Slot* Pipeline::Next(std::chrono::milliseconds patience) {
  std::unique_ptr<Slot>& place = waiting_[next_turn_ % waiting_.size()];
  const auto deadline = SteadyClock::now() + patience;
  while (place == nullptr) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
    auto slot = shared_->done.PopFor(std::max(left, std::chrono::milliseconds(0)));
    if (!slot) return nullptr;
    // Slots are as many as places, and turns are handed out in order: no two share a place.
    std::unique_ptr<Slot>& target = waiting_[(*slot)->turn % waiting_.size()];
    target = std::move(*slot);
  }
  return place.get();
}

void Pipeline::Release() {
  shared_->free.Push(std::move(waiting_[next_turn_ % waiting_.size()]));
  ++next_turn_;
}

/// Looks at each: one that is not looked at gets no older.
std::optional<uint64_t> Pipeline::StalledAt(std::chrono::nanoseconds limit) {
  std::optional<uint64_t> stalled;
  for (size_t worker = 0; worker < stalls_.size(); ++worker) {
    const ReadWatch& watch = shared_->watches[worker];
    if (stalls_[worker].Look(watch) > limit && !stalled) {
      stalled = watch.address.load(std::memory_order_relaxed);
    }
  }
  return stalled;
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
