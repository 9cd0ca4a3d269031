// SPDX-License-Identifier: MIT
#include <algorithm>
#include <map>
#include <memory>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "format/registry.h"
#include "format/snapshot/plain_reader.h"
#include "format/snapshot/reader.h"
#include "inspect/parallel_steps.h"
#include "inspect/verify_pages.h"
#include "kcoredump/inspect.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// One unit of work between looks at the cancel flag.
constexpr size_t kFramesAStep = 64;

/// What one thread found wrong in a step of frames.
struct FrameStep {
  size_t first_frame = 0;
  uint64_t plain_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t damaged_frames = 0;
  uint64_t referred_frames = 0;
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
  const bool has_hash = file.trailer() && !file.trailer()->frame_hashes.empty();
  const auto hash = [&] {
    return plain.referred_hash() ? *plain.referred_hash() : Sha256(content.value());
  };
  if (has_hash && file.trailer()->frame_hashes[index] != hash()) {
    return where + ": its content does not have the hash of the trailer";
  }
  return std::nullopt;
}

FrameStep CheckStep(const SnapshotFile& file, PlainReader& plain, size_t first) {
  FrameStep result{.first_frame = first, .damage = {}};
  const size_t end = std::min(first + kFramesAStep, file.frames().size());
  for (size_t index = first; index < end; ++index) {
    result.file_bytes += file.frames()[index].compressed_bytes;
    if (auto damage = CheckFrame(file, plain, index)) {
      ++result.damaged_frames;
      if (result.damage.size() < kMaxListedDamage) result.damage.push_back(std::move(*damage));
    } else {
      result.plain_bytes += file.frames()[index].content_bytes;
    }
    if (plain.referred_hash()) ++result.referred_frames;
  }
  return result;
}

/// Lists the damage in the order of the frames, as far as it is listed.
void ListDamage(std::map<size_t, std::vector<std::string>>& by_frame, VerifyReport& report) {
  for (auto& [frame, lines] : by_frame) {
    for (std::string& line : lines) {
      if (report.damage.size() < kMaxListedDamage) report.damage.push_back(std::move(line));
    }
  }
  const uint64_t listed = std::min<uint64_t>(report.damaged_frames, kMaxListedDamage);
  if (report.damaged_frames > listed) {
    report.damage.push_back("… and " + Grouped(report.damaged_frames - listed) + " frames more");
  }
}

/// Checks all frames with several threads, each with its own decompressor. How many of them the
/// base has is as the trailer says.
Status CheckFrames(const std::shared_ptr<const SnapshotFile>& file, const VerifyOptions& options,
                   VerifyReport& report) {
  std::map<size_t, std::vector<std::string>> damage;  // by frame, for they come in any order
  uint64_t done_bytes = 0;
  uint64_t referred_frames = 0;
  const auto make_worker = [&]() -> Result<ParallelSteps<FrameStep>::Worker> {
    KCD_ASSIGN(PlainReader reader, PlainReader::Create(file));
    auto plain = std::make_shared<PlainReader>(std::move(reader));
    return ParallelSteps<FrameStep>::Worker(
        [&file, plain](uint64_t step) { return CheckStep(*file, *plain, step * kFramesAStep); });
  };
  const auto take = [&](FrameStep result) {
    done_bytes += result.file_bytes;
    report.plain_bytes += result.plain_bytes;
    report.damaged_frames += result.damaged_frames;
    referred_frames += result.referred_frames;
    if (!result.damage.empty() && damage.size() < kMaxListedDamage) {
      damage[result.first_frame] = std::move(result.damage);
    }
    if (options.on_progress) options.on_progress(done_bytes, file->file_bytes());
  };
  const uint64_t steps = (file->frames().size() + kFramesAStep - 1) / kFramesAStep;
  KCD_TRY(ParallelSteps<FrameStep>(steps, options.cancel).Run(options.threads, make_worker, take));
  ListDamage(damage, report);
  if (file->trailer() && file->trailer()->references != referred_frames) {
    report.damage.push_back("the trailer counts " + Grouped(file->trailer()->references) +
                            " frames that the base has, and there are " + Grouped(referred_frames));
  }
  return {};
}

/// The trailer's numbers must be those of its own outcome map, and of the memory that the program
/// headers describe.
void CheckCounts(const SnapshotSource& snapshot, const Trailer& trailer, VerifyReport& report) {
  PageCounts listed;
  for (const PageRun& run : trailer.runs) listed.Of(run.outcome) += run.pages;
  for (const PageOutcome outcome :
       {PageOutcome::kRetried, PageOutcome::kBounced, PageOutcome::kUnreadable,
        PageOutcome::kHwPoison, PageOutcome::kOffline, PageOutcome::kAbsent}) {
    PageCounts counts = trailer.counts;
    if (counts.Of(outcome) == listed.Of(outcome)) continue;
    report.damage.push_back("the trailer counts " + Grouped(counts.Of(outcome)) + " " +
                            std::string(PageOutcomeName(outcome)) +
                            " pages, but its outcome map lists " + Grouped(listed.Of(outcome)));
  }
  const uint64_t pages = snapshot.map().ram_bytes() / snapshot.page_bytes();
  if (trailer.counts.total() != pages) {
    report.damage.push_back("the trailer accounts for " + Grouped(trailer.counts.total()) +
                            " pages, but the program headers describe " + Grouped(pages));
  }
  if (trailer.zero_pages > trailer.counts.read()) {
    report.damage.emplace_back("the trailer counts more zero pages than pages that were read");
  }
}

/// The ELF core inside must be one, its headers must fit the image, and its notes must parse.
void CheckElf(const std::shared_ptr<const SnapshotFile>& file, VerifyReport& report) {
  const auto source = SnapshotSource::FromFile(file);
  if (!source.ok()) {
    report.damage.push_back(source.error().message);
    return;
  }
  const SnapshotSource& snapshot = *source.value();
  report.pages = snapshot.Counts().value_or(PageCounts());
  if (!file->trailer()) return;  // where the image should end is not known
  CheckCounts(snapshot, *file->trailer(), report);
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

Result<VerifyReport> VerifySnapshot(const std::string& path, const VerifyOptions& options) {
  KCD_ASSIGN(const auto file, SnapshotFile::Open(path));
  VerifyReport report;
  report.damage = file->damage();
  report.frames = file->frames().size();
  if (file->base() != nullptr) report.base = file->base()->path();
  KCD_TRY(CheckFrames(file, options, report));
  CheckElf(file, report);
  report.complete = file->complete() && report.damage.empty();
  report.incomplete_reason = file->IncompleteReason();
  if (!report.complete && report.incomplete_reason.empty()) {
    report.incomplete_reason = report.damage.front();
  }
  return report;
}

}  // namespace

Result<VerifyReport> Verify(const std::string& path, const VerifyOptions& options) {
  KCD_ASSIGN(const Format* format, DetectFormat(path));
  if (format->name == "snapshot") return VerifySnapshot(path, options);
  if (format->name == "kcore") {
    return MakeError(ErrorCode::kUnsupported,
                     path + " is the live kernel's memory: there is no image to verify");
  }
  KCD_ASSIGN(const auto source, format->open(path));
  return VerifyPages(*source, options);
}

}  // namespace kcoredump
