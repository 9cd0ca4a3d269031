// SPDX-License-Identifier: MIT
#include "source/page_reader.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "source/safe_copy.h"

namespace kcoredump {

namespace {

/// A source that answers EINTR for ever must not hold us for ever.
constexpr unsigned kMaxInterruptions = 1000;

uint64_t PagesTouched(Location at, uint64_t bytes, uint64_t page_bytes) {
  const uint64_t inside = at.address & (page_bytes - 1);
  return (inside + bytes + page_bytes - 1) / page_bytes;
}

Error BadDestination(const std::byte* at, int system_errno) {
  const auto address = reinterpret_cast<uintptr_t>(at);
  return Error{.code = ErrorCode::kInvalidArgument,
               .message = "the destination at " + HexAddress(address) +
                          " cannot be written: " + ErrnoName(system_errno),
               .system_errno = system_errno,
               .address = address};
}

Status CopyOut(std::span<const std::byte> from, std::byte* to) {
  const SafeCopyResult copy = SafeCopy(from, to);
  if (copy.system_errno == 0) return {};
  return BadDestination(to + copy.bytes, copy.system_errno);
}

}  // namespace

WatchedCall::WatchedCall(ReadWatch* watch, uint64_t address) : watch_(watch) {
  if (watch_ == nullptr) return;
  watch_->address.store(address, std::memory_order_relaxed);
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  watch_->started_ns.store(std::chrono::nanoseconds(now).count(), std::memory_order_release);
}

WatchedCall::~WatchedCall() {
  if (watch_ != nullptr) watch_->started_ns.store(0, std::memory_order_release);
}

void JoinRun(std::vector<PageRun>& runs, const PageRun& run, uint64_t page_bytes) {
  if (!runs.empty()) {
    PageRun& last = runs.back();
    if (last.outcome == run.outcome && last.system_errno == run.system_errno &&
        last.page_class == run.page_class &&
        last.first.Plus(last.pages * page_bytes) == run.first) {
      last.pages += run.pages;
      return;
    }
  }
  runs.push_back(run);
}

void AddRun(ReadReport& report, const PageRun& run, uint64_t page_bytes) {
  report.counts.Of(run.outcome) += run.pages;
  if (run.outcome != PageOutcome::kDirect) JoinRun(report.runs, run, page_bytes);
}

Status ZeroFill(std::span<std::byte> out) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  while (!out.empty()) {
    const size_t step = std::min(out.size(), kZeros.size());
    KCD_TRY(CopyOut(std::span(kZeros).first(step), out.data()));
    out = out.subspan(step);
  }
  return {};
}

Result<PageReader> PageReader::Create(SourceReader* reader, uint64_t page_bytes,
                                      const ReadOptions& options, ReadWatch* watch) {
  KCD_ASSIGN(LockedBuffer bounce, LockedBuffer::Create(page_bytes));
  return PageReader(reader, page_bytes, options, watch, std::move(bounce));
}

PageReader::PageReader(SourceReader* reader, uint64_t page_bytes, const ReadOptions& options,
                       ReadWatch* watch, LockedBuffer bounce)
    : reader_(reader),
      watch_(watch),
      page_bytes_(page_bytes),
      retries_(std::min(options.retries, kMaxRetries)),
      bounce_(std::move(bounce)) {}

Status PageReader::Read(Location at, std::span<std::byte> out, ReadReport& report) {
  if (out.empty()) return {};
  if (ReadFully(at, out) == 0) {
    const uint64_t pages = PagesTouched(at, out.size(), page_bytes_);
    AddRun(report, {.first = at, .pages = pages}, page_bytes_);
    return {};
  }
  // Whatever the failed batch left in `out` is of no account: every page is read again.
  while (!out.empty()) {
    const uint64_t to_page_end = page_bytes_ - (at.address & (page_bytes_ - 1));
    const size_t bytes = std::min<uint64_t>(out.size(), to_page_end);
    KCD_TRY(ReadPage(at, out.first(bytes), report));
    at = at.Plus(bytes);
    out = out.subspan(bytes);
  }
  return {};
}

/// 0 or an errno. Short reads and EINTR just go on; the end of the source is ENODATA.
int PageReader::ReadFully(Location at, std::span<std::byte> out) {
  unsigned interruptions = 0;
  while (!out.empty()) {
    int64_t count = 0;
    {
      const WatchedCall call(watch_, at.address);
      count = reader_->ReadUpTo(at, out);
    }
    if (count == -EINTR && ++interruptions < kMaxInterruptions) continue;
    if (count < 0) return static_cast<int>(-count);
    if (count == 0) return ENODATA;
    if (static_cast<uint64_t>(count) > out.size()) return EIO;
    interruptions = 0;
    at = at.Plus(static_cast<uint64_t>(count));
    out = out.subspan(static_cast<size_t>(count));
  }
  return 0;
}

Status PageReader::ReadPage(Location at, std::span<std::byte> out, ReadReport& report) {
  if (ReadFaultingIn(at, out) != 0) return ReadBounced(at, out, report);
  const Location page(at.space, AlignDown(at.address, page_bytes_));
  AddRun(report, {.first = page, .pages = 1, .outcome = PageOutcome::kRetried}, page_bytes_);
  return {};
}

/// EFAULT speaks of the destination, so that is what is mended between the attempts. Any other
/// errno speaks of the source: the bounce page is its second and last attempt.
int PageReader::ReadFaultingIn(Location at, std::span<std::byte> out) {
  int failure = ReadFully(at, out);
  for (unsigned attempt = 0; failure == EFAULT && attempt < retries_; ++attempt) {
    if (FaultIn(out) != 0) return EFAULT;
    failure = ReadFully(at, out);
  }
  return failure;
}

Status PageReader::ReadBounced(Location at, std::span<std::byte> out, ReadReport& report) {
  const std::span<std::byte> bounce = bounce_.bytes().first(out.size());
  PageRun run{.first = Location(at.space, AlignDown(at.address, page_bytes_)),
              .pages = 1,
              .outcome = PageOutcome::kBounced};
  const int failure = ReadFully(at, bounce);
  if (failure == 0) {
    KCD_TRY(CopyOut(bounce, out.data()));
  } else {
    KCD_TRY(ZeroFill(out));
    run.outcome = PageOutcome::kUnreadable;
    run.system_errno = failure;
  }
  AddRun(report, run, page_bytes_);
  return {};
}

}  // namespace kcoredump
