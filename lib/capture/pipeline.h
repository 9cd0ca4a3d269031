// SPDX-License-Identifier: MIT
//
// The capture's engine: N workers read, test for zeros and compress; the caller takes their batches
// in order. The number of batches between them is fixed, and with it the memory.
//
//   free slots ──► worker: next index ► read ► compress ──► done ──► Next(): in order ──► free
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
#include "source/range_reader.h"

namespace kcoredump {

struct CompressedFrame {
  uint32_t compressed_bytes = 0;
  uint32_t content_bytes = 0;
  uint32_t zero_pages = 0;
};

/// A batch on its way from worker to writer.
struct Slot {
  uint64_t index = 0;
  std::unique_ptr<std::byte[]> bytes;  ///< the frames, one after another
  std::vector<CompressedFrame> frames;
  uint32_t milliseconds = 0;  ///< when it was read, since the pipeline's start
  ReadReport report;
  uint64_t moves = 0;          ///< layout moves seen while it was read
  std::optional<Error> error;  ///< the batch is not there, and no later one will be
};

struct PipelineOptions {
  unsigned threads = 1;
  int level = 1;
  uint32_t frame_bytes = 0;
  uint64_t batch_bytes = 0;
  ReadOptions read;
};

/// How many threads and how large batches fit into `budget_bytes`; at least one thread, and batches
/// of at least one frame.
[[nodiscard]] PipelineOptions FitToMemory(PipelineOptions wanted, uint64_t budget_bytes);

/// For one thread, the caller's. The workers share everything they use with the pipeline, so that
/// one that hangs in a read can be left behind.
class Pipeline {
 public:
  /// The workers own what they touch together with the caller: source and plan stay alive as long
  /// as the last of them.
  Pipeline(std::shared_ptr<const MemorySource> source, std::shared_ptr<const CapturePlan> plan,
           const PipelineOptions& options);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  /// Stops the workers and waits for them; one whose read does not return is left behind.
  ~Pipeline();

  [[nodiscard]] Status Start();

  /// The next batch in order, waiting at most `patience` for it; nullptr: not yet.
  [[nodiscard]] Slot* Next(std::chrono::milliseconds patience);
  /// Gives the slot of the latest Next back.
  void Release();

  /// The address of a read that has not returned for longer than `limit`, or kWatchOpening.
  [[nodiscard]] std::optional<uint64_t> StalledAt(std::chrono::nanoseconds limit) const;

 private:
  struct Shared;
  static void Work(const std::shared_ptr<Shared>& shared, unsigned worker);

  std::shared_ptr<Shared> shared_;
  std::vector<std::thread> threads_;
  std::vector<std::unique_ptr<Slot>> waiting_;  ///< by index modulo the number of slots
  uint64_t next_index_ = 0;
};

}  // namespace kcoredump
