// SPDX-License-Identifier: MIT
#include "capture/smear.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "base/error.h"
#include "base/try.h"
#include "format/codec.h"
#include "source/range_reader.h"

namespace kcoredump {

namespace {

/// Of the normal distribution, for 95 %.
constexpr double kZ = 1.959964;

PageUseName UseOf(PageClass page_class, PageVolatility volatility) {
  if (volatility == PageVolatility::kPageTable) return PageUseName::kPageTable;
  if (volatility == PageVolatility::kSlab) return PageUseName::kSlab;
  switch (page_class) {
    case PageClass::kFree:
      return PageUseName::kFree;
    case PageClass::kCache:
    case PageClass::kPrivateCache:
      return PageUseName::kCache;
    case PageClass::kUser:
      return PageUseName::kUser;
    default:
      return PageUseName::kKernel;
  }
}

}  // namespace

SmearShare ShareOf(uint64_t some, uint64_t all) {
  if (all == 0) return {.share = 0, .low = 0, .high = 1};
  const double n = static_cast<double>(all);
  const double p = static_cast<double>(some) / n;
  const double centre = (p + kZ * kZ / (2 * n)) / (1 + kZ * kZ / n);
  const double half = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n)) / (1 + kZ * kZ / n);
  return {.share = p, .low = std::max(0.0, centre - half), .high = std::min(1.0, centre + half)};
}

Result<std::shared_ptr<SmearSample>> SmearSample::Take(const MemorySource& source, uint64_t pages) {
  if (source.kind() != SourceKind::kLive) {
    return MakeError(ErrorCode::kInvalidArgument, "a dump does not change: there is no smear");
  }
  std::shared_ptr<SmearSample> sample(new SmearSample(source.page_bytes()));
  KCD_TRY(sample->ChoosePages(source, pages));
  KCD_TRY(sample->AskUses(source));
  return sample;
}

/// One page by chance out of each of `pages` parts of RAM that are equally large: as good as by
/// chance alone, and sorted.
Status SmearSample::ChoosePages(const MemorySource& source, uint64_t pages) {
  const auto& ram = source.map().ram();
  uint64_t total = 0;
  for (const Segment& segment : ram) total += segment.virt.size() / page_bytes_;
  pages = std::min(pages, total);
  std::mt19937_64 random{std::random_device{}()};
  pages_.reserve(pages);
  auto segment = ram.begin();
  uint64_t before = 0;  // pages of the segments before
  for (uint64_t i = 0; i < pages; ++i) {
    const auto part = [&](uint64_t index) {
      return total / pages * index + total % pages * index / pages;
    };
    const uint64_t chosen =
        std::uniform_int_distribution<uint64_t>(part(i), part(i + 1) - 1)(random);
    while (chosen - before >= segment->virt.size() / page_bytes_) {
      before += segment->virt.size() / page_bytes_;
      ++segment;
    }
    pages_.push_back({.phys = segment->phys + (chosen - before) * page_bytes_});
  }
  return {};
}

Status SmearSample::AskUses(const MemorySource& source) {
  KCD_ASSIGN(auto reader, source.NewReader());
  for (Page& page : pages_) {
    PageClass page_class = PageClass::kNone;
    PageVolatility volatility = PageVolatility::kOther;
    (void)reader->Classify(PhysAddr{page.phys}, {&page_class, 1});
    (void)reader->RankVolatile(PhysAddr{page.phys}, {&volatility, 1});
    page.use = UseOf(page_class, volatility);
  }
  return {};
}

void SmearSample::Note(PhysAddr phys, std::span<const std::byte> bytes,
                       std::span<const PageContent> pages, double seconds) {
  auto page = std::partition_point(pages_.begin(), pages_.end(),
                                   [&](const Page& one) { return one.phys < phys.value; });
  for (; page != pages_.end() && page->phys < phys.value + bytes.size(); ++page) {
    const uint64_t offset = page->phys - phys.value;
    if (pages[offset / page_bytes_] == PageContent::kHole) continue;
    page->hash = Hash64(bytes.subspan(offset, page_bytes_));
    page->seconds = seconds;
    page->captured = true;
  }
}

Result<SmearReport> SmearSample::Compare(const MemorySource& source,
                                         const std::function<double()>& seconds_now,
                                         const std::atomic<bool>* cancel) const {
  KCD_ASSIGN(auto reader, RangeReader::Create(source, {}));
  SmearReport report;
  std::array<SmearClass, kPageUseNames> classes;
  std::vector<std::byte> again(page_bytes_);
  double seconds = 0;
  for (const Page& page : pages_) {
    if (!page.captured) continue;
    if (cancel != nullptr && cancel->load()) break;
    ReadReport read;
    KCD_TRY(reader->Read(PhysAddr{page.phys}, again, read));
    if (read.FirstHole() != nullptr) continue;  // it went offline meanwhile
    SmearClass& of = classes[static_cast<size_t>(page.use)];
    ++of.sampled_pages;
    of.changed_pages += Hash64(again) != page.hash ? 1 : 0;
    seconds += seconds_now() - page.seconds;
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    if (classes[i].sampled_pages == 0) continue;
    classes[i].use = static_cast<PageUseName>(i);
    classes[i].changed = ShareOf(classes[i].changed_pages, classes[i].sampled_pages);
    report.sampled_pages += classes[i].sampled_pages;
    report.changed_pages += classes[i].changed_pages;
    report.classes.push_back(classes[i]);
  }
  report.changed = ShareOf(report.changed_pages, report.sampled_pages);
  if (report.sampled_pages != 0) seconds /= static_cast<double>(report.sampled_pages);
  report.seconds_between = seconds;
  return report;
}

}  // namespace kcoredump
