// SPDX-License-Identifier: MIT
//
// The capture's engine: N workers read, test for zeros and encode; the caller takes their batches
// in order. The number of batches between them is fixed, and with it the memory.
//
//   free slots ──► worker: next index ► read ► encode ──► done ──► Next(): in order ──► free
//   slots
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "capture/capture_plan.h"
#include "capture/page_filter.h"
#include "capture/rate_limit.h"
#include "capture/smear.h"
#include "capture/stall.h"
#include "format/image_writer.h"
#include "source/range_reader.h"

namespace kcoredump {

/// A batch on its way from worker to writer.
struct Slot {
  uint64_t turn = 0;   ///< of all batches of the pipeline
  uint64_t index = 0;  ///< in the plan
  EncodedBatch batch;
  ReadReport report;
  uint64_t moves = 0;          ///< layout moves seen while it was read
  std::optional<Error> error;  ///< the batch is not there, and no later one will be
};

struct PipelineOptions {
  unsigned threads = 1;
  uint64_t batch_bytes = 0;
  uint64_t reader_bytes = 0;  ///< of the source
  bool filtered = false;      ///< a filter leaves pages out
  ReadOptions read;
  uint64_t max_bytes_per_second = 0;  ///< 0: no limit
  /// Numbers of the plan's batches; nullptr: all of them, by number.
  std::shared_ptr<const std::vector<uint32_t>> order = nullptr;
  std::shared_ptr<SmearSample> smear = nullptr;  ///< nullptr: none is taken
  /// What the batches' milliseconds count from.
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

/// How many threads and how large batches fit into `budget_bytes`; at least one thread, and batches
/// of at least one unit of the encoding.
[[nodiscard]] PipelineOptions FitToMemory(PipelineOptions wanted, const ImageEncoding& encoding,
                                          uint64_t budget_bytes);

/// For one thread, the caller's. The workers share everything they use with the pipeline, so that
/// one that hangs in a read can be left behind.
class Pipeline {
 public:
  /// The workers own what they touch together with the caller: source, plan, filter (nullptr: every
  /// page is wanted) and encoding stay alive as long as the last of them.
  Pipeline(std::shared_ptr<const MemorySource> source, std::shared_ptr<const CapturePlan> plan,
           std::shared_ptr<const PageFilter> filter, std::shared_ptr<const ImageEncoding> encoding,
           const PipelineOptions& options);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  /// Stops the workers and waits for them; one whose read does not return is left behind.
  ~Pipeline();

  /// Fewer threads than wanted are no error, nor is one that cannot open the source: the others do
  /// its work. When none can, the first batch has the error.
  [[nodiscard]] Status Start();

  [[nodiscard]] uint64_t batches() const;

  /// The next batch in order, waiting at most `patience` for it; nullptr: not yet.
  [[nodiscard]] Slot* Next(std::chrono::milliseconds patience);
  /// Gives the slot of the latest Next back.
  void Release();

  /// The address of a read that has been seen under way for longer than `limit`, or kWatchOpening.
  [[nodiscard]] std::optional<uint64_t> StalledAt(std::chrono::nanoseconds limit);

 private:
  struct Shared;
  static void Work(const std::shared_ptr<Shared>& shared, unsigned worker);

  std::shared_ptr<Shared> shared_;
  std::vector<std::thread> threads_;
  std::vector<StallWatch> stalls_;              ///< a worker each
  std::vector<std::unique_ptr<Slot>> waiting_;  ///< by turn modulo the number of slots
  uint64_t next_turn_ = 0;
};

}  // namespace kcoredump
