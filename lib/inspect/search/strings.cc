// SPDX-License-Identifier: MIT
#include "kcoredump/strings.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/try.h"
#include "inspect/search/search_pattern.h"
#include "inspect/search/string_owner.h"
#include "inspect/search/strings_scan.h"
#include "inspect/value/object_bytes.h"

namespace kcoredump {

namespace {

constexpr uint64_t kStringsStepBytes = 1 << 20;
constexpr std::chrono::milliseconds kStringsProgressEvery{100};

class StringsSearch {
 public:
  StringsSearch(Session& session, const StringsOptions& options, std::unique_ptr<Matcher> pattern,
                StringsReport& report)
      : session_(session),
        options_(options),
        pattern_(std::move(pattern)),
        report_(report),
        owners_(session, report.findings) {}

  /// False: enough.
  [[nodiscard]] bool Step(const Range& phys);

 private:
  [[nodiscard]] bool Page(uint64_t phys, std::span<const std::byte> bytes);
  [[nodiscard]] bool Wanted(const std::string& text);

  Session& session_;
  const StringsOptions& options_;
  std::unique_ptr<Matcher> pattern_;
  StringsReport& report_;
  StringOwners owners_;
  std::vector<ScannedString> scanned_;
  std::vector<Hit> hits_;
};

bool StringsSearch::Wanted(const std::string& text) {
  if (pattern_ == nullptr) return true;
  hits_.clear();
  const SearchText view{.address = 0, .bytes = std::as_bytes(std::span(text))};
  (void)pattern_->Find(view, 0, text.size(), 1, hits_);  // one is enough
  return !hits_.empty();
}

bool StringsSearch::Page(uint64_t phys, std::span<const std::byte> bytes) {
  scanned_.clear();
  ScanStrings(bytes, options_.least_characters, scanned_);
  for (ScannedString& each : scanned_) {
    if (!Wanted(each.text)) continue;
    FoundString found{
        .physical = phys + each.offset, .wide = each.wide, .text = std::move(each.text)};
    owners_.Tell(found);
    ++report_.strings;
    if (!options_.on_string(found)) return false;
  }
  return true;
}

bool StringsSearch::Step(const Range& phys) {
  const uint64_t page_bytes = session_.source().page_bytes();
  const ObjectBytes bytes = ObjectBytes::Read(session_.physical(), phys.begin, phys.size());
  for (uint64_t at = 0; at < phys.size(); at += page_bytes) {
    const uint64_t count = std::min(page_bytes, phys.size() - at);
    if (bytes.StateOf(at, count) != ValueState::kRead) {
      report_.hole_bytes += count;
      continue;
    }
    report_.searched_bytes += count;
    if (!Page(phys.begin + at, bytes.At(at, count))) return false;
  }
  return true;
}

}  // namespace

Result<StringsReport> FindStrings(Kernel& kernel, const StringsOptions& options) {
  if (options.least_characters == 0 || options.least_characters > kMostLeastCharacters) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        "a string has at least 1 to " + std::to_string(kMostLeastCharacters) + " characters");
  }
  Session& session = kernel.session();
  std::unique_ptr<Matcher> pattern;
  if (!options.pattern.empty()) {
    KCD_ASSIGN(pattern, MakeRegexMatcher(options.pattern, false, 1));
  }
  StringsReport report;
  const std::vector<Range> ram = session.source().map().RamRanges();
  for (const Range& range : ram) report.total_bytes += range.size();
  StringsSearch search(session, options, std::move(pattern), report);
  uint64_t done = 0;
  auto told = std::chrono::steady_clock::now();
  for (const Range& range : ram) {
    for (uint64_t at = range.begin; at < range.end;) {
      if (options.cancel != nullptr && options.cancel->load()) return report;
      const Range step{at, std::min(range.end, at + kStringsStepBytes)};
      if (!search.Step(step)) return report;
      at = step.end;
      done += step.size();
      const auto now = std::chrono::steady_clock::now();
      if (!options.on_progress || now - told < kStringsProgressEvery) continue;
      told = now;
      options.on_progress(done, report.total_bytes);
    }
  }
  report.complete = true;
  LimitNotes(report.findings.notes);
  return report;
}

}  // namespace kcoredump
