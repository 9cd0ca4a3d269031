// SPDX-License-Identifier: MIT
//
// The search as a whole: threads find matches unit by unit, the caller's puts them in order.
#include "kcoredump/search.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <system_error>
#include <thread>

#include "base/bounded_queue.h"
#include "base/checked.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/try.h"
#include "inspect/search/search_pieces.h"
#include "inspect/search/search_plan.h"
#include "inspect/search/search_where.h"
#include "inspect/task/tasks.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr double kSecondsBetweenProgress = 0.1;
constexpr size_t kQueuedUnits = 64;

using MatcherMaker = std::function<Result<std::unique_ptr<Matcher>>()>;

/// Checks the pattern once; each thread then makes a matcher of its own.
Result<MatcherMaker> PrepareMatcher(Kernel& kernel, const SearchOptions& options) {
  const uint64_t word = options.kind == PatternKind::kWord ? options.word_bytes : 1;
  const uint64_t alignment = options.alignment != 0 ? options.alignment : word;
  if (!std::has_single_bit(alignment)) {
    return MakeError(ErrorCode::kInvalidArgument, "an alignment is a power of two");
  }
  std::vector<MaskedByte> bytes;
  switch (options.kind) {
    case PatternKind::kRegex: {
      const auto make = [text = options.pattern, ignore_case = options.ignore_case, alignment] {
        return MakeRegexMatcher(text, ignore_case, alignment);
      };
      KCD_TRY(make());
      return MatcherMaker(make);
    }
    case PatternKind::kText: {
      KCD_ASSIGN(bytes, TextPattern(options.pattern, options.ignore_case));
      break;
    }
    case PatternKind::kBytes: {
      KCD_ASSIGN(bytes, ParseHexPattern(options.pattern));
      break;
    }
    case PatternKind::kWord: {
      KCD_ASSIGN(const Target value, kernel.Resolve(options.pattern));
      if (value.space != Target::Space::kKernel) {
        return MakeError(ErrorCode::kInvalidArgument,
                         "\"" + options.pattern + "\" is not a word: give a number or a symbol");
      }
      KCD_ASSIGN(bytes, WordPattern(value.address, options.word_bytes));
      break;
    }
  }
  return MatcherMaker([bytes, alignment]() -> Result<std::unique_ptr<Matcher>> {
    return MakeByteMatcher(bytes, alignment);
  });
}

Status CheckOptions(const SearchOptions& options) {
  const auto bad = [](const std::string& what) {
    return MakeError(ErrorCode::kInvalidArgument, what);
  };
  if (options.max_matches == 0 || options.max_matches > kMostMatches) {
    return bad("the number of matches is 1 to " + std::to_string(kMostMatches));
  }
  if (options.context_bytes > kMaxContextBytes) return bad("a context of more than 64 KiB");
  if (options.threads > kMaxSearchThreads) return bad("more than 1024 threads");
  if (options.space == Target::Space::kProcess) return bad("a process is searched by a range");
  return {};
}

/// What all threads of one search share; immutable while they run.
struct Job {
  const MemorySource& source;
  const KernelFacts* facts = nullptr;  ///< nullptr: no virtual memory is searched
  SearchPlan plan;
  MatcherMaker make_matcher;
  std::optional<PhysAddr> process_root;
  uint64_t most_a_unit = 0;
  const std::atomic<bool>* cancel = nullptr;
};

/// One thread's readers, each made at its first need.
class ThreadSearch {
 public:
  explicit ThreadSearch(const Job& job) : job_(job) {}

  [[nodiscard]] Result<UnitResult> Search(uint64_t index) {
    const SearchRegion& region = job_.plan.RegionOf(index);
    const bool physical = region.space == Target::Space::kPhysical;
    std::optional<UnitSearcher>& searcher = physical ? physical_ : virtual_;
    if (!searcher) KCD_TRY(Make(physical, searcher));
    UnitResult result;
    result.index = index;
    KCD_TRY(searcher->Search(region, job_.plan.RangeOf(index), job_.most_a_unit, result));
    return result;
  }

 private:
  [[nodiscard]] Status Make(bool physical, std::optional<UnitSearcher>& out) {
    KCD_ASSIGN(auto matcher, job_.make_matcher());
    auto pieces = physical ? MakePhysicalPieces(job_.source)
                           : MakeVirtualPieces(job_.source, *job_.facts, job_.process_root);
    if (!pieces.ok()) return std::move(pieces.error());
    KCD_ASSIGN(out,
               UnitSearcher::Create(std::move(matcher), std::move(pieces.value()), job_.cancel));
    return {};
  }

  const Job& job_;
  std::optional<UnitSearcher> physical_;
  std::optional<UnitSearcher> virtual_;
};

/// The threads, and their results in the order in which they end.
class Workers {
 public:
  explicit Workers(const Job& job) : job_(job), results_(kQueuedUnits) {}
  ~Workers() { Stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  [[nodiscard]] Status Start(unsigned wanted) {
    for (unsigned i = 0; i < wanted; ++i) {
      running_.fetch_add(1);
      try {
        threads_.emplace_back([this] { Work(); });
      } catch (const std::system_error& failure) {
        running_.fetch_sub(1);
        if (threads_.empty()) return SystemError("starting a thread", failure.code().value());
        break;
      }
    }
    return {};
  }
  [[nodiscard]] unsigned count() const { return static_cast<unsigned>(threads_.size()); }

  /// Nothing: all is searched, or all threads have stopped.
  [[nodiscard]] std::optional<Result<UnitResult>> Next() { return results_.Pop(); }

  void Stop() {
    results_.Close();
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void Work() {
    ThreadSearch search(job_);
    for (;;) {
      const uint64_t index = next_unit_.fetch_add(1);
      if (index >= job_.plan.units() || Stopped()) break;
      auto result = search.Search(index);
      const bool failed = !result.ok();
      if (!results_.Push(std::move(result)) || failed) break;
    }
    if (running_.fetch_sub(1) == 1) results_.Close();
  }

  [[nodiscard]] bool Stopped() const {
    return stop_.load() || (job_.cancel != nullptr && job_.cancel->load());
  }

  const Job& job_;
  BoundedQueue<Result<UnitResult>> results_;
  std::vector<std::thread> threads_;
  std::atomic<uint64_t> next_unit_{0};
  std::atomic<unsigned> running_{0};
  std::atomic<bool> stop_{false};
};

/// The readable bytes around a match, without what lies beyond a hole.
void AddContext(Kernel& kernel, uint64_t context_bytes, SearchMatch& match) {
  const uint64_t at = match.at.address;
  const uint64_t match_end = at + match.length;
  const uint64_t page = kernel.session().source().page_bytes();
  const uint64_t end = match_end + std::min(context_bytes, ~uint64_t{0} - match_end);
  match.context_address = at - std::min(at, context_bytes);
  for (uint64_t from = match.context_address; from < end;) {
    const uint64_t to = NextBoundary(from, page, end);
    const size_t before = match.context.size();
    match.context.resize(before + (to - from));
    Target target = match.at;
    target.address = from;
    const auto read = kernel.Read(target, std::span(match.context).subspan(before), nullptr);
    if (!read.ok() || read.value() < to - from) {
      match.context.resize(before);
      if (from > at) return;
      match.context.clear();
      match.context_address = to;
    }
    from = to;
  }
}

class SearchRun {
 public:
  SearchRun(Kernel& kernel, const SearchOptions& options, const Job& job, SearchReport& report)
      : kernel_(kernel),
        options_(options),
        job_(job),
        report_(report),
        locator_(kernel.session(), job.process_root) {}

  [[nodiscard]] Status Run() {
    const unsigned wanted = options_.threads != 0 ? options_.threads : UsableCpus();
    Workers workers(job_);
    KCD_TRY(workers.Start(static_cast<unsigned>(std::min<uint64_t>(wanted, job_.plan.units()))));
    report_.threads = workers.count();
    while (!enough_) {
      auto result = workers.Next();
      if (!result) break;
      if (!result->ok()) return std::move(result->error());
      UnitResult& unit = result->value();
      done_bytes_ += unit.unit_bytes;
      hole_bytes_ += unit.hole_bytes;
      waiting_.emplace(unit.index, std::move(unit));
      TakeInOrder();
      ShowProgress();
    }
    workers.Stop();
    report_.cancelled = job_.cancel != nullptr && job_.cancel->load();
    // Cut short, there are gaps; what was found behind them was found all the same.
    for (auto& [index, unit] : waiting_) Take(std::move(unit));
    Conclude();
    return {};
  }

 private:
  void TakeInOrder() {
    while (!waiting_.empty() && waiting_.begin()->first == next_ && !enough_) {
      UnitResult unit = std::move(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
      ++next_;
      Take(std::move(unit));
    }
  }

  void Take(UnitResult unit) {
    if (enough_) return;
    report_.searched_bytes += unit.searched_bytes;
    report_.hole_bytes += unit.hole_bytes;
    report_.unmapped_bytes += unit.unmapped_bytes;
    if (!(last_region_ == unit.region.range)) taken_to_ = 0;
    last_region_ = unit.region.range;
    for (FoundMatch& found : unit.found) {
      if (enough_) return;
      // What a unit finds at its start may begin inside the last match of the one before.
      if (options_.kind == PatternKind::kRegex && found.hit.address < taken_to_) continue;
      taken_to_ = found.hit.address + found.hit.length;
      if (IsKnown(unit.region.space, found.hit)) continue;
      Emit(unit.region.space, std::move(found));
    }
  }

  /// All of RAM came first: vmalloc space is searched for what only hangs together there.
  [[nodiscard]] bool IsKnown(Target::Space space, const Hit& hit) {
    return space == Target::Space::kKernel && !options_.range &&
           locator_.IsInRam(hit.address, hit.length);
  }

  void Emit(Target::Space space, FoundMatch found) {
    if (report_.matches.size() == options_.max_matches) {
      report_.stopped_at_max = enough_ = true;
      return;
    }
    SearchMatch match;
    match.at.space = space;
    match.at.address = found.hit.address;
    if (space == Target::Space::kProcess) match.at.pid = options_.range->at.pid;
    match.length = found.hit.length;
    match.bytes = std::move(found.bytes);
    locator_.Locate(match);
    if (options_.context_bytes != 0) AddContext(kernel_, options_.context_bytes, match);
    report_.matches.push_back(std::move(match));
    if (options_.on_match && !options_.on_match(report_.matches.back())) {
      enough_ = true;
    }
  }

  void ShowProgress() {
    if (!options_.on_progress) return;
    const double seconds = Seconds();
    if (seconds - shown_at_ < kSecondsBetweenProgress) return;
    shown_at_ = seconds;
    options_.on_progress({.done_bytes = done_bytes_,
                          .total_bytes = report_.total_bytes,
                          .hole_bytes = hole_bytes_,
                          .matches = report_.matches.size(),
                          .seconds = seconds});
  }

  void Conclude() {
    report_.seconds = Seconds();
    const bool all = next_ == job_.plan.units();
    report_.complete = all && !enough_ && !report_.cancelled;
    Findings& findings = report_.findings;
    for (const std::string& note : locator_.notes()) findings.Add(note);
    if (report_.hole_bytes != 0) {
      findings.Lost(HumanBytes(report_.hole_bytes) +
                    " of memory could not be read and was left out");
    }
    if (report_.stopped_at_max) {
      findings.Add("stopped after " + Grouped(report_.matches.size()) +
                   (report_.matches.size() == 1 ? " match" : " matches") +
                   "; there are more (--max)");
    }
    if (report_.cancelled) findings.Lost("interrupted: not all was searched");
  }

  [[nodiscard]] double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  }

  Kernel& kernel_;
  const SearchOptions& options_;
  const Job& job_;
  SearchReport& report_;
  HitLocator locator_;
  std::map<uint64_t, UnitResult> waiting_;  ///< units whose turn has not come
  uint64_t next_ = 0;                       ///< the unit whose turn it is
  Range last_region_;
  uint64_t taken_to_ = 0;  ///< the end of the last match, in that region
  bool enough_ = false;
  uint64_t done_bytes_ = 0;
  uint64_t hole_bytes_ = 0;
  double shown_at_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

/// The root of a process's page tables, where one is searched.
Result<std::optional<PhysAddr>> RootFor(Session& session, const SearchOptions& options) {
  if (!options.range || options.range->at.space != Target::Space::kProcess) {
    return std::optional<PhysAddr>();
  }
  KCD_ASSIGN(const uint64_t pgd, ProcessRoot(session, options.range->at.pid));
  KCD_ASSIGN(const PhysAddr root, session.kernel().Translate(VirtAddr{pgd}));
  return std::optional(root);
}

}  // namespace

Result<SearchReport> Search(Kernel& kernel, const SearchOptions& options) {
  KCD_TRY(CheckOptions(options));
  KCD_ASSIGN(auto make_matcher, PrepareMatcher(kernel, options));
  Session& session = kernel.session();
  SearchReport report;
  KCD_ASSIGN(const auto root, RootFor(session, options));
  KCD_ASSIGN(SearchPlan plan, SearchPlan::Create(session, options, report.findings));
  report.total_bytes = plan.total_bytes();
  // Asked for at need alone: they may have to be sought in all of memory.
  const bool physical = std::ranges::all_of(plan.regions(), [](const SearchRegion& region) {
    return region.space == Target::Space::kPhysical;
  });
  const KernelFacts* facts = physical ? nullptr : &session.facts();
  const Job job{.source = session.source(),
                .facts = facts,
                .plan = std::move(plan),
                .make_matcher = std::move(make_matcher),
                .process_root = root,
                // One more than is wanted tells that there are more; of regular expressions one may
                // be dropped where units meet.
                .most_a_unit = options.max_matches + 2,
                .cancel = options.cancel};
  KCD_TRY(SearchRun(kernel, options, job, report).Run());
  return report;
}

}  // namespace kcoredump
