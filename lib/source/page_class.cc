// SPDX-License-Identifier: MIT
#include "kcoredump/page_class.h"

#include <algorithm>

#include "base/error.h"
#include "kcoredump/text.h"

namespace kcoredump {

std::string_view PageClassName(PageClass page_class) {
  switch (page_class) {
    case PageClass::kNone:
      return "none";
    case PageClass::kZero:
      return "zero";
    case PageClass::kCache:
      return "cache";
    case PageClass::kPrivateCache:
      return "private-cache";
    case PageClass::kUser:
      return "user";
    case PageClass::kFree:
      return "free";
    case PageClass::kNotWanted:
      return "not-wanted";
  }
  return "none";
}

std::string_view PageKindName(PageKind kind) {
  switch (kind) {
    case PageKind::kUnknown:
      return "unknown";
    case PageKind::kFree:
      return "free";
    case PageKind::kUser:
      return "user";
    case PageKind::kCache:
      return "cache";
    case PageKind::kSlab:
      return "slab";
    case PageKind::kPageTable:
      return "page-tables";
    case PageKind::kReserved:
      return "reserved";
    case PageKind::kKernel:
      return "kernel";
  }
  return "unknown";
}

Result<PageClasses> ParsePageClasses(std::string_view text) {
  PageClasses classes;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    PageClass found = PageClass::kNone;
    for (const PageClass candidate : kPageClasses) {
      if (PageClassName(candidate) == word) found = candidate;
    }
    if (found == PageClass::kNone) {
      return InvalidArgument("no class of pages is called \"" + std::string(word) +
                             "\"; there are zero, cache, private-cache, user and free");
    }
    classes.Add(PageClasses(static_cast<unsigned>(found)));
  }
  return classes;
}

uint64_t& ExcludedCounts::Of(PageClass page_class) {
  switch (page_class) {
    case PageClass::kZero:
      return zero;
    case PageClass::kCache:
      return cache;
    case PageClass::kPrivateCache:
      return private_cache;
    case PageClass::kUser:
      return user;
    case PageClass::kFree:
      return free;
    case PageClass::kNotWanted:
      return not_wanted;
    case PageClass::kNone:
      break;
  }
  return not_told;
}

std::array<std::pair<std::string_view, uint64_t>, 7> ExcludedCounts::Named() const {
  return {{{"free", free},
           {"zero", zero},
           {"cache", cache},
           {"private_cache", private_cache},
           {"user", user},
           {"not_wanted", not_wanted},
           {"not_told", not_told}}};
}

ExcludedCounts CountExcluded(const std::vector<PageRun>& runs) {
  ExcludedCounts counts;
  for (const PageRun& run : runs) {
    if (run.outcome == PageOutcome::kExcluded) counts.Of(run.page_class) += run.pages;
  }
  return counts;
}

namespace {

uint64_t CountTold(const ExcludedCounts& counts) {
  uint64_t told = 0;
  for (const auto& [name, pages] : counts.Named()) told += pages;
  return told - counts.not_told;
}

}  // namespace

std::string DescribeExcluded(const ExcludedCounts& counts) {
  std::string text;
  if (CountTold(counts) == 0) return text;
  for (const auto& [name, pages] : counts.Named()) {
    if (pages == 0) continue;
    std::string word(name);
    std::replace(word.begin(), word.end(), '_', ' ');
    text += (text.empty() ? "" : ", ") + Grouped(pages) + " " + word;
  }
  return text;
}

}  // namespace kcoredump
