// SPDX-License-Identifier: MIT
#include "inspect/verify_pages.h"

#include <algorithm>
#include <map>
#include <memory>

#include "base/try.h"
#include "inspect/parallel_steps.h"
#include "kcoredump/text.h"
#include "source/range_reader.h"

namespace kcoredump {

namespace {

/// One unit of work between looks at the cancel flag.
constexpr uint64_t kVerifyStepBytes = 4 * kMaxBatchBytes;

/// What the pages of one step were like.
struct PageStep {
  uint64_t step = 0;
  uint64_t bytes = 0;
  PageCounts counts;
  std::vector<PageRun> unreadable;
};

/// Memory cut into steps, without a list of them: forged headers can speak of terabytes.
class StepList {
 public:
  explicit StepList(std::vector<Range> ranges) : ranges_(std::move(ranges)) {
    for (const Range& range : ranges_) {
      first_steps_.push_back(steps_);
      steps_ += (range.size() + kVerifyStepBytes - 1) / kVerifyStepBytes;
      bytes_ += range.size();
    }
  }

  [[nodiscard]] uint64_t steps() const { return steps_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] Range At(uint64_t step) const {
    const auto after = std::upper_bound(first_steps_.begin(), first_steps_.end(), step);
    const auto index = static_cast<size_t>(after - first_steps_.begin()) - 1;
    const uint64_t begin = ranges_[index].begin + (step - first_steps_[index]) * kVerifyStepBytes;
    return {begin, std::min(begin + kVerifyStepBytes, ranges_[index].end)};
  }

 private:
  std::vector<Range> ranges_;
  std::vector<uint64_t> first_steps_;
  uint64_t steps_ = 0;
  uint64_t bytes_ = 0;
};

/// One thread's way through the steps it is given.
class StepReader {
 public:
  StepReader(const StepList& list, std::unique_ptr<RangeReader> reader)
      : list_(list), reader_(std::move(reader)), buffer_(kMaxBatchBytes) {}

  PageStep Read(uint64_t step) {
    const Range range = list_.At(step);
    PageStep result{.step = step, .bytes = range.size(), .counts = {}, .unreadable = {}};
    for (uint64_t at = range.begin; at < range.end; at += buffer_.size()) {
      const size_t bytes = std::min<uint64_t>(buffer_.size(), range.end - at);
      ReadReport report;
      // The buffer is good memory and the range does not wrap: a read has no other error.
      (void)reader_->Read(PhysAddr{at}, std::span(buffer_).first(bytes), report);
      result.counts.Add(report.counts);
      for (const PageRun& run : report.runs) {
        if (run.outcome == PageOutcome::kUnreadable) result.unreadable.push_back(run);
      }
    }
    return result;
  }

 private:
  const StepList& list_;
  std::unique_ptr<RangeReader> reader_;
  std::vector<std::byte> buffer_;
};

std::string DamageLine(const PageRun& run) {
  return DescribeHole(run) +
         (run.pages > 1 ? ", and so are the " + Grouped(run.pages - 1) + " after it" : "");
}

/// By address, as far as they are listed.
void ListDamage(const std::map<uint64_t, std::vector<PageRun>>& by_step, uint64_t pages,
                VerifyReport& report) {
  for (const auto& [step, runs] : by_step) {
    for (const PageRun& run : runs) {
      if (report.damage.size() == kMaxListedDamage) break;
      report.damage.push_back(DamageLine(run));
      pages -= run.pages;
    }
  }
  if (pages != 0) report.damage.push_back("… and " + Grouped(pages) + " pages more");
}

/// Pages that the headers speak of and the file does not have were not read.
void AddUnread(const MemorySource& source, VerifyReport& report) {
  PageCounts declared = source.Counts().value_or(PageCounts());
  PageCounts& pages = report.pages;
  if (declared.unreadable > pages.unreadable) {
    report.damage.push_back(Grouped(declared.unreadable - pages.unreadable) +
                            " pages would be beyond the end of the file");
  }
  for (const PageOutcome outcome :
       {PageOutcome::kUnreadable, PageOutcome::kHwPoison, PageOutcome::kOffline,
        PageOutcome::kAbsent, PageOutcome::kNotReached, PageOutcome::kExcluded}) {
    pages.Of(outcome) = std::max(pages.Of(outcome), declared.Of(outcome));
  }
}

}  // namespace

Result<VerifyReport> VerifyPages(const MemorySource& source, const VerifyOptions& options) {
  VerifyReport report;
  report.incomplete_reason = source.IncompleteReason();
  if (!source.notes().Parse().ok()) report.damage.emplace_back("the notes are damaged");
  const StepList list(source.PresentRanges());
  std::map<uint64_t, std::vector<PageRun>> damage;  // by step, for they come in any order
  uint64_t done_bytes = 0;
  const auto make_worker = [&]() -> Result<ParallelSteps<PageStep>::Worker> {
    KCD_ASSIGN(auto reader, RangeReader::Create(source, {}));
    auto steps = std::make_shared<StepReader>(list, std::move(reader));
    return ParallelSteps<PageStep>::Worker([steps](uint64_t step) { return steps->Read(step); });
  };
  const auto take = [&](PageStep result) {
    done_bytes += result.bytes;
    report.pages.Add(result.counts);
    if (!result.unreadable.empty() && damage.size() < kMaxListedDamage) {
      damage[result.step] = std::move(result.unreadable);
    }
    if (options.on_progress) options.on_progress(done_bytes, list.bytes());
  };
  KCD_TRY(ParallelSteps<PageStep>(list.steps(), options.cancel)
              .Run(options.threads, make_worker, take));
  report.plain_bytes = report.pages.read() * source.page_bytes();
  ListDamage(damage, report.pages.unreadable, report);
  AddUnread(source, report);
  report.complete = report.incomplete_reason.empty() && report.damage.empty();
  if (!report.complete && report.incomplete_reason.empty()) {
    report.incomplete_reason = report.damage.front();
  }
  return report;
}

}  // namespace kcoredump
