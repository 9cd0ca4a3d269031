// SPDX-License-Identifier: MIT
#include "capture/batch_reader.h"

#include <algorithm>
#include <cstring>

#include "base/try.h"
#include "base/zero.h"

namespace kcoredump {

Result<BatchReader> BatchReader::Create(const MemorySource& source, const PageFilter* filter,
                                        uint64_t batch_bytes, const ReadOptions& options,
                                        ReadWatch* watch) {
  KCD_ASSIGN(auto reader, RangeReader::Create(source, options, watch));
  KCD_ASSIGN(LockedBuffer buffer, LockedBuffer::Create(batch_bytes));
  KCD_ASSIGN(LockedBuffer blank, LockedBuffer::Create(filter != nullptr ? batch_bytes : 1));
  std::unique_ptr<PageChooser> chooser;
  if (filter != nullptr) {
    KCD_ASSIGN(chooser, filter->NewChooser());
  }
  return BatchReader(std::move(reader), std::move(buffer), std::move(blank), filter,
                     std::move(chooser), source.page_bytes());
}

BatchReader::BatchReader(std::unique_ptr<RangeReader> reader, LockedBuffer buffer,
                         LockedBuffer blank, const PageFilter* filter,
                         std::unique_ptr<PageChooser> chooser, uint64_t page_bytes)
    : reader_(std::move(reader)),
      buffer_(std::move(buffer)),
      blank_(std::move(blank)),
      filter_(filter),
      chooser_(std::move(chooser)),
      page_bytes_(page_bytes) {}

Result<BatchReader::Content> BatchReader::Read(PhysAddr phys, uint64_t bytes, ReadReport& report) {
  std::span<const std::byte> content = buffer_.bytes().first(bytes);
  if (chooser_ != nullptr) {
    KCD_ASSIGN(content, ReadChosen(phys, bytes, report));
  } else {
    KCD_TRY(reader_->Read(phys, buffer_.bytes().first(bytes), report));
  }
  MarkContent(phys, content, report);
  if (filter_ != nullptr && filter_->excludes_zeros() && filter_->HasRoomForZeros()) {
    ExcludeZeros(phys, report);
  }
  if (filter_ != nullptr) filter_->Note(report.runs.size());
  return Content{.bytes = content, .pages = pages_};
}

/// A page that was to be left out, and is used for something else by the time the batch has been
/// read, is kept: the batch is read again with it, once.
Result<std::span<const std::byte>> BatchReader::ReadChosen(PhysAddr phys, uint64_t bytes,
                                                           ReadReport& report) {
  choices_.assign(bytes / page_bytes_, {});
  chooser_->Choose(phys, choices_);
  filter_->KeepShortRuns(choices_);
  const auto reads = [](const PageChoice& choice) { return choice.is_read(); };
  const std::span<std::byte> out = buffer_.bytes().first(bytes);
  KCD_TRY(ReadByChoices(phys, out, report));
  if (KeepWhatChanged(phys)) {
    report.Clear();
    KCD_TRY(ReadByChoices(phys, out, report));
  }
  // Nothing was put into the buffer, which still has another batch's bytes.
  const bool any = std::any_of(choices_.begin(), choices_.end(), reads);
  return std::span<const std::byte>(any ? out : blank_.bytes().first(bytes));
}

/// True: some page is kept now that was not read.
bool BatchReader::KeepWhatChanged(PhysAddr phys) {
  if (!chooser_->may_change()) return false;
  after_.assign(choices_.size(), {});
  chooser_->Choose(phys, after_);
  bool changed = false;
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (choices_[i].outcome != PageOutcome::kExcluded || after_[i] == choices_[i]) continue;
    choices_[i] = {};
    changed = true;
  }
  return changed;
}

Status BatchReader::ReadByChoices(PhysAddr phys, std::span<std::byte> out, ReadReport& report) {
  const auto reads = [](const PageChoice& choice) { return choice.is_read(); };
  const bool any = std::any_of(choices_.begin(), choices_.end(), reads);
  for (size_t first = 0; first < choices_.size();) {
    size_t end = first + 1;
    while (end < choices_.size() && choices_[end] == choices_[first]) ++end;
    const PhysAddr at{phys.value + first * page_bytes_};
    const auto part = out.subspan(first * page_bytes_, (end - first) * page_bytes_);
    if (choices_[first].is_read()) {
      KCD_TRY(reader_->Read(at, part, report));
    } else {
      if (any) std::memset(part.data(), 0, part.size());
      AddRun(report,
             {.first = at,
              .pages = end - first,
              .outcome = choices_[first].outcome,
              .page_class = choices_[first].page_class},
             page_bytes_);
    }
    first = end;
  }
  return {};
}

/// Holes are zero in the buffer, but they were not read.
void BatchReader::MarkContent(PhysAddr phys, std::span<const std::byte> bytes,
                              const ReadReport& report) {
  pages_.assign(bytes.size() / page_bytes_, PageContent::kData);
  for (const PageRun& run : report.runs) {
    if (!IsHole(run.outcome)) continue;
    const uint64_t first = (run.first.address - phys.value) / page_bytes_;
    std::fill_n(pages_.begin() + static_cast<ptrdiff_t>(first), run.pages, PageContent::kHole);
  }
  for (size_t page = 0; page < pages_.size(); ++page) {
    if (pages_[page] == PageContent::kData &&
        IsZero(bytes.subspan(page * page_bytes_, page_bytes_))) {
      pages_[page] = PageContent::kZero;
    }
  }
}

/// Pages that were read and are zero become excluded ones, in the report: their content stays what
/// it is, for a format without an account of pages can still hold that they are zero. The report is
/// written anew, page by page.
void BatchReader::ExcludeZeros(PhysAddr phys, ReadReport& report) {
  const ReadReport before = report;
  report.Clear();
  auto run = before.runs.begin();
  for (size_t page = 0; page < pages_.size(); ++page) {
    PageRun one{.first = PhysAddr{phys.value + page * page_bytes_}, .pages = 1};
    while (run != before.runs.end() &&
           run->first.address + run->pages * page_bytes_ <= one.first.address) {
      ++run;
    }
    if (pages_[page] == PageContent::kZero) {
      one.outcome = PageOutcome::kExcluded;
      one.page_class = PageClass::kZero;
    } else if (run != before.runs.end() && run->first.address <= one.first.address) {
      one = {.first = one.first,
             .pages = 1,
             .outcome = run->outcome,
             .system_errno = run->system_errno,
             .page_class = run->page_class};
    }
    AddRun(report, one, page_bytes_);
  }
}

}  // namespace kcoredump
