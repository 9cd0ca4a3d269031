// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>
#include <map>
#include <system_error>
#include <thread>

#include "base/bounded_queue.h"
#include "base/checked.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/try.h"
#include "format/registry.h"
#include "format/snapshot/reader.h"
#include "kcoredump/inspect.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// One unit of work between looks at the cancel flag.
constexpr size_t kFramesAStep = 64;
constexpr size_t kMaxListedDamage = 100;

/// What one thread found wrong in a step of frames.
struct StepResult {
  size_t first_frame = 0;
  uint64_t plain_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t damaged_frames = 0;
  std::vector<std::string> damage;
};

std::optional<std::string> CheckFrame(const SnapshotFile& file, PlainReader& plain, size_t index) {
  const FrameSpan& frame = file.frames()[index];
  const std::string where = "frame " + std::to_string(index) + " (file offset " +
                            Hex(frame.file_offset) + ", image offset " + Hex(frame.plain_offset) +
                            ", " + std::to_string(frame.content_bytes) + " bytes)";
  const auto content = plain.Load(frame);
  if (!content.ok()) return where + ": " + content.error().message;
  const auto promised = file.TableChecksum(index);
  if (promised && *promised != static_cast<uint32_t>(Hash64(content.value()))) {
    return where + ": its content does not have the checksum of the seek table";
  }
  return std::nullopt;
}

StepResult CheckStep(const SnapshotFile& file, PlainReader& plain, size_t first) {
  StepResult result{.first_frame = first, .damage = {}};
  const size_t end = std::min(first + kFramesAStep, file.frames().size());
  for (size_t index = first; index < end; ++index) {
    result.file_bytes += file.frames()[index].compressed_bytes;
    if (auto damage = CheckFrame(file, plain, index)) {
      ++result.damaged_frames;
      if (result.damage.size() < kMaxListedDamage) result.damage.push_back(std::move(*damage));
    } else {
      result.plain_bytes += file.frames()[index].content_bytes;
    }
  }
  return result;
}

/// Checks all frames with several threads, each with its own decompressor.
class FrameCheck {
 public:
  FrameCheck(std::shared_ptr<const SnapshotFile> file, const VerifyOptions& options)
      : file_(std::move(file)), options_(options), results_(256) {}

  Status Run(VerifyReport& report) {
    std::vector<std::thread> threads;
    const unsigned wanted = options_.threads != 0 ? options_.threads : UsableCpus();
    running_ = 0;
    for (unsigned i = 0; i < wanted; ++i) {
      try {
        running_.fetch_add(1);
        threads.emplace_back([this] { Work(); });
      } catch (const std::system_error& failure) {
        running_.fetch_sub(1);
        if (threads.empty()) return SystemError("starting a thread", failure.code().value());
        break;
      }
    }
    Status status = Gather(report);
    for (std::thread& thread : threads) thread.join();
    return status;
  }

 private:
  void Work() {
    auto plain = PlainReader::Create(file_);
    if (plain.ok()) {
      for (;;) {
        const size_t first = next_frame_.fetch_add(kFramesAStep);
        if (first >= file_->frames().size() || Cancelled()) break;
        if (!results_.Push(CheckStep(*file_, plain.value(), first))) break;
      }
    }
    if (running_.fetch_sub(1) == 1) results_.Close();
  }

  [[nodiscard]] bool Cancelled() const {
    return options_.cancel != nullptr && options_.cancel->load();
  }

  Status Gather(VerifyReport& report) {
    std::map<size_t, std::vector<std::string>> damage;  // by frame, for they come in any order
    uint64_t done_bytes = 0;
    size_t steps = 0;
    while (auto result = results_.Pop()) {
      ++steps;
      done_bytes += result->file_bytes;
      report.plain_bytes += result->plain_bytes;
      report.damaged_frames += result->damaged_frames;
      if (!result->damage.empty() && damage.size() < kMaxListedDamage) {
        damage[result->first_frame] = std::move(result->damage);
      }
      if (options_.on_progress) options_.on_progress(done_bytes, file_->file_bytes());
    }
    if (Cancelled()) return MakeError(ErrorCode::kCancelled, "interrupted");
    if (steps * kFramesAStep < file_->frames().size()) {
      return MakeError(ErrorCode::kIo,
                       "not all frames could be checked: no memory for a decompressor");
    }
    const uint64_t listed = std::min<uint64_t>(report.damaged_frames, kMaxListedDamage);
    for (auto& [frame, lines] : damage) {
      for (std::string& line : lines) {
        if (report.damage.size() < kMaxListedDamage) report.damage.push_back(std::move(line));
      }
    }
    if (report.damaged_frames > listed) {
      report.damage.push_back("… and " + Grouped(report.damaged_frames - listed) + " frames more");
    }
    return {};
  }

  std::shared_ptr<const SnapshotFile> file_;
  const VerifyOptions& options_;
  BoundedQueue<StepResult> results_;
  std::atomic<size_t> next_frame_{0};
  std::atomic<unsigned> running_{0};
};

/// The ELF core inside must be one, its headers must fit the image, and its notes must parse.
void CheckElf(const std::shared_ptr<const SnapshotFile>& file, VerifyReport& report) {
  const auto source = SnapshotSource::FromFile(file);
  if (!source.ok()) {
    report.damage.push_back(source.error().message);
    return;
  }
  const SnapshotSource& snapshot = *source.value();
  report.pages = snapshot.Counts();
  if (!file->trailer()) return;  // where the image should end is not known
  for (const ProgramHeader& header : snapshot.core().headers) {
    const auto end = CheckedAdd(header.offset, header.filesz);
    if (!end || *end > file->trailer()->expected_bytes) {
      report.damage.push_back("a program header of the ELF core inside points past its end, to " +
                              Hex(header.offset) + " and " + Hex(header.filesz) + " bytes on");
    }
  }
  if (!snapshot.notes().Parse().ok()) {
    report.damage.emplace_back("the notes of the ELF core inside are damaged");
  }
  const auto vendor = snapshot.VendorNotes();
  if (vendor.ok() ? !vendor.value().Parse().ok() : file->complete()) {
    report.damage.emplace_back("the notes of the capture (KCOREDUMP) are damaged");
  }
}

}  // namespace

Result<VerifyReport> Verify(const std::string& path, const VerifyOptions& options) {
  KCD_ASSIGN(const Format* format, DetectFormat(path));
  if (format->name != "snapshot") {
    return MakeError(ErrorCode::kUnsupported, path + " is not a snapshot (" +
                                                  std::string(format->name) +
                                                  "): only snapshots carry checksums to verify");
  }
  KCD_ASSIGN(const auto file, SnapshotFile::Open(path));
  VerifyReport report;
  report.damage = file->damage();
  report.frames = file->frames().size();
  KCD_TRY(FrameCheck(file, options).Run(report));
  CheckElf(file, report);
  report.complete = file->complete() && report.damage.empty();
  report.incomplete_reason = file->IncompleteReason();
  if (!report.complete && report.incomplete_reason.empty()) {
    report.incomplete_reason = report.damage.front();
  }
  return report;
}

}  // namespace kcoredump
