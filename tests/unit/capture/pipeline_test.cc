// SPDX-License-Identifier: MIT
#include "capture/pipeline.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "format/codec.h"
#include "format/snapshot/encoder.h"
#include "support/fake_source.h"

namespace kcoredump {
namespace {

using std::chrono::milliseconds;
using test::Bytes;
using test::kFlatStart;
using test::kPage;

constexpr uint32_t kFrameBytes = 16384;

struct Rig {
  explicit Rig(uint64_t pages) : source(test::FlatSource(pages)) {
    encoding = MakeSnapshotEncoding({.level = 1, .frame_bytes = kFrameBytes}).value();
    auto made = CapturePlan::Make(*source, encoding->shape(), {}, kFrameBytes);
    made.value().CutIntoBatches(options.batch_bytes);
    plan = std::make_shared<CapturePlan>(std::move(made.value()));
  }
  std::shared_ptr<test::FakeSource> source;
  PipelineOptions options{.threads = 3, .batch_bytes = 32768, .read = {.retries = 1}};
  std::shared_ptr<const ImageEncoding> encoding;
  std::shared_ptr<CapturePlan> plan;
};

/// All batches unpacked, in order. Stops at an error.
Bytes Drain(Pipeline& pipeline, uint64_t batches, std::vector<PageRun>* runs = nullptr) {
  auto decompressor = FrameDecompressor::Create();
  Bytes image;
  for (uint64_t taken = 0; taken < batches;) {
    Slot* slot = pipeline.Next(milliseconds(1000));
    if (slot == nullptr) continue;
    EXPECT_EQ(slot->index, taken);
    EXPECT_FALSE(slot->error) << slot->error->message;
    if (slot->error) return image;
    size_t at = 0;
    for (const EncodedPiece& frame : slot->batch.pieces) {
      Bytes content(frame.content_bytes);
      EXPECT_TRUE(decompressor.value()
                      .Decompress({slot->batch.bytes.get() + at, frame.encoded_bytes}, content)
                      .ok());
      image.insert(image.end(), content.begin(), content.end());
      at += frame.encoded_bytes;
    }
    if (runs != nullptr) {
      runs->insert(runs->end(), slot->report.runs.begin(), slot->report.runs.end());
    }
    pipeline.Release();
    ++taken;
  }
  return image;
}

TEST(Pipeline, DeliversEveryBatchInOrder) {
  Rig rig(500);
  rig.source->script().zero_pages = {kFlatStart, kFlatStart + kPage};
  Pipeline pipeline(rig.source, rig.plan, nullptr, rig.encoding, rig.options);
  ASSERT_TRUE(pipeline.Start().ok());
  const Bytes image = Drain(pipeline, rig.plan->batches());
  ASSERT_EQ(image.size(), rig.plan->plain_bytes());
  Bytes expected = test::MemoryBytes(kFlatStart, 500 * kPage);
  std::fill_n(expected.begin(), 2 * kPage, std::byte{0});
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), image.end() - 500 * kPage));
}

TEST(Pipeline, CountsZeroPagesOfMemoryAlone) {
  Rig rig(8);
  for (uint64_t page = 0; page < 5; ++page) {
    rig.source->script().zero_pages.insert(kFlatStart + page * kPage);
  }
  Pipeline pipeline(rig.source, rig.plan, nullptr, rig.encoding, rig.options);
  ASSERT_TRUE(pipeline.Start().ok());
  uint64_t zeros = 0;
  for (uint64_t taken = 0; taken < rig.plan->batches();) {
    Slot* slot = pipeline.Next(milliseconds(1000));
    if (slot == nullptr) continue;
    for (const EncodedPiece& frame : slot->batch.pieces) zeros += frame.zero_pages;
    pipeline.Release();
    ++taken;
  }
  EXPECT_EQ(zeros, 5U);
}

TEST(Pipeline, HolesComeWithTheirBatch) {
  Rig rig(64);
  rig.source->script().failing_for_ever[kFlatStart + 20 * kPage] = EIO;
  rig.source->script().labels[kFlatStart + 40 * kPage] = {.outcome = PageOutcome::kHwPoison};
  Pipeline pipeline(rig.source, rig.plan, nullptr, rig.encoding, rig.options);
  ASSERT_TRUE(pipeline.Start().ok());
  std::vector<PageRun> runs;
  (void)Drain(pipeline, rig.plan->batches(), &runs);
  std::erase_if(runs, [](const PageRun& run) { return !IsHole(run.outcome); });
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].first.address, kFlatStart + 20 * kPage);
  EXPECT_EQ(runs[0].system_errno, EIO);
  EXPECT_EQ(runs[1].outcome, PageOutcome::kHwPoison);
}

TEST(Pipeline, WorkersThatCannotStartLeaveTheWorkToTheOthers) {
  for (const unsigned refused : {1U, 2U}) {
    Rig rig(500);
    rig.source->readers_to_refuse = refused;
    Pipeline pipeline(rig.source, rig.plan, nullptr, rig.encoding, rig.options);
    ASSERT_TRUE(pipeline.Start().ok());
    EXPECT_EQ(Drain(pipeline, rig.plan->batches()).size(), rig.plan->plain_bytes());
  }
}

/// An exception that left the thread would end the program.
TEST(Pipeline, AWorkerWithoutMemoryIsAnErrorOfItsBatch) {
  Rig rig(64);
  rig.source->script().no_memory = true;
  Pipeline pipeline(rig.source, rig.plan, nullptr, rig.encoding, rig.options);
  ASSERT_TRUE(pipeline.Start().ok());
  std::optional<Error> error;
  for (int i = 0; i < 100 && !error; ++i) {
    Slot* slot = pipeline.Next(milliseconds(100));
    if (slot == nullptr) continue;
    error = slot->error;
    if (!error) pipeline.Release();
  }
  ASSERT_TRUE(error);
  EXPECT_EQ(error->system_errno, ENOMEM);
}

TEST(Pipeline, WhenNoWorkerCanStartTheFirstBatchSaysWhy) {
  Rig rig(64);
  rig.source->readers_to_refuse = test::FakeSource::kAllReaders;
  Pipeline pipeline(rig.source, rig.plan, nullptr, rig.encoding, rig.options);
  ASSERT_TRUE(pipeline.Start().ok());
  Slot* slot = nullptr;
  for (int i = 0; i < 100 && slot == nullptr; ++i) slot = pipeline.Next(milliseconds(100));
  ASSERT_NE(slot, nullptr);
  ASSERT_TRUE(slot->error);
  EXPECT_EQ(slot->index, 0U);
  EXPECT_EQ(slot->error->message, "no reader today");
  EXPECT_EQ(slot->error->code, ErrorCode::kPermission);
}

/// A read that never returns: seen, named, left behind, and what it touches outlives the pipeline.
TEST(Pipeline, AReadThatDoesNotReturnIsSeenAndLeftBehind) {
  const uint64_t stuck = kFlatStart + 16 * kPage;
  const auto start = std::chrono::steady_clock::now();
  std::shared_ptr<test::FakeScript> script;
  std::weak_ptr<test::FakeSource> source;
  {
    Rig rig(64);
    script = rig.source->shared_script();
    source = rig.source;
    script->blocking = {stuck};
    Pipeline pipeline(rig.source, rig.plan, nullptr, rig.encoding, rig.options);
    ASSERT_TRUE(pipeline.Start().ok());
    EXPECT_EQ(pipeline.StalledAt(std::chrono::hours(1)), std::nullopt);
    std::optional<uint64_t> stalled;
    for (int i = 0; i < 300 && !stalled; ++i) {
      if (pipeline.Next(milliseconds(10)) != nullptr) pipeline.Release();
      stalled = pipeline.StalledAt(milliseconds(100));
    }
    ASSERT_TRUE(stalled);
    EXPECT_EQ(*stalled / rig.options.batch_bytes, stuck / rig.options.batch_bytes);
  }
  // The pipeline waits a moment for its workers, and no longer.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_FALSE(source.expired()) << "the stuck worker still uses it";
  script->Release();
  for (int i = 0; i < 500 && !source.expired(); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(source.expired()) << "the worker frees what it holds when its read returns";
}

TEST(Pipeline, StoppingHalfWayEndsTheWorkers) {
  std::weak_ptr<test::FakeSource> source;
  {
    Rig rig(2000);
    source = rig.source;
    Pipeline pipeline(rig.source, rig.plan, nullptr, rig.encoding, rig.options);
    ASSERT_TRUE(pipeline.Start().ok());
    while (pipeline.Next(milliseconds(100)) == nullptr) {
    }
  }
  EXPECT_TRUE(source.expired());
}

TEST(FitToMemory, CountsWhatTheSourcesReadersTake) {
  const auto encoding = MakeSnapshotEncoding({.level = 1, .frame_bytes = 131072}).value();
  PipelineOptions wanted{.threads = 16, .read = {}};
  const PipelineOptions without = FitToMemory(wanted, *encoding, 48 << 20);
  wanted.reader_bytes = 8 << 20;
  const PipelineOptions with = FitToMemory(wanted, *encoding, 48 << 20);
  EXPECT_LT(with.threads, without.threads);
  EXPECT_LE(with.threads * wanted.reader_bytes, uint64_t{48} << 20);
}

TEST(FitToMemory, KeepsWithinTheBudgetAndAboveTheLeast) {
  const auto encoding = MakeSnapshotEncoding({.level = 1, .frame_bytes = 131072}).value();
  const PipelineOptions wanted{.threads = 64, .batch_bytes = 0, .read = {}};
  const PipelineOptions small = FitToMemory(wanted, *encoding, 16 << 20);
  EXPECT_GE(small.threads, 1U);
  EXPECT_LT(small.threads, 64U);
  EXPECT_GE(small.batch_bytes, encoding->unit_bytes());
  EXPECT_EQ(small.batch_bytes % encoding->unit_bytes(), 0U);
  const PipelineOptions none = FitToMemory(wanted, *encoding, 0);
  EXPECT_EQ(none.threads, 1U);
  EXPECT_EQ(none.batch_bytes, encoding->unit_bytes());
  const PipelineOptions large =
      FitToMemory({.threads = 2, .batch_bytes = 0, .read = {}}, *encoding, uint64_t{1} << 30);
  EXPECT_EQ(large.threads, 2U);
  EXPECT_EQ(large.batch_bytes, kMaxBatchBytes);
}

}  // namespace
}  // namespace kcoredump
