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

/// Pages of the sample that lie so close are read together: what stands around a read (labels, the
/// layout) takes longer than some pages more.
constexpr uint64_t kWindowBytes = 256 << 10;

bool IsHoleAt(const ReadReport& report, uint64_t phys, uint64_t page_bytes) {
  return std::any_of(report.runs.begin(), report.runs.end(), [&](const PageRun& run) {
    return IsHole(run.outcome) && phys - run.first.address < run.pages * page_bytes;
  });
}

SmearReport Summary(std::array<SmearClass, kPageKinds>& classes) {
  SmearReport report;
  for (size_t i = 0; i < classes.size(); ++i) {
    SmearClass& of = classes[i];
    if (of.sampled_pages == 0) continue;
    of.kind = static_cast<PageKind>(i);
    of.changed = ShareOf(of.changed_pages, of.sampled_pages);
    report.sampled_pages += of.sampled_pages;
    report.changed_pages += of.changed_pages;
    report.classes.push_back(of);
  }
  report.changed = ShareOf(report.changed_pages, report.sampled_pages);
  return report;
}

}  // namespace

SmearShare ShareOf(uint64_t some, uint64_t all) {
  if (all == 0) return {.share = 0, .low = 0, .high = 1};
  const double n = static_cast<double>(all);
  const double p = static_cast<double>(some) / n;
  const double scale = 1 + kZ * kZ / n;
  const double centre = (p + kZ * kZ / (2 * n)) / scale;
  const double half = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n)) / scale;
  // Rounding must not keep the ends from holding what they are about.
  return {.share = p,
          .low = some == 0 ? 0.0 : std::max(0.0, centre - half),
          .high = some == all ? 1.0 : std::min(1.0, centre + half)};
}

Result<std::shared_ptr<SmearSample>> SmearSample::Take(const MemorySource& source, uint64_t pages) {
  if (source.kind() != SourceKind::kLive) {
    return InvalidArgument("--smear is for a live kernel: a dump does not change");
  }
  KCD_ASSIGN(auto reader, source.NewReader());
  std::shared_ptr<SmearSample> sample(new SmearSample(source.page_bytes()));
  sample->ChoosePages(source, pages);
  for (Page& page : sample->pages_) (void)reader->TellKinds(PhysAddr{page.phys}, {&page.kind, 1});
  return sample;
}

/// One page by chance out of each of `pages` parts of RAM that are equally large: no worse than by
/// chance alone, and sorted.
void SmearSample::ChoosePages(const MemorySource& source, uint64_t pages) {
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
    Page& page = pages_.emplace_back();
    page.phys = segment->phys + (chosen - before) * page_bytes_;
  }
}

void SmearSample::Note(PhysAddr phys, std::span<const std::byte> bytes,
                       std::span<const PageContent> pages, Clock::time_point read) {
  auto page = std::partition_point(pages_.begin(), pages_.end(),
                                   [&](const Page& one) { return one.phys < phys.value; });
  for (; page != pages_.end() && page->phys - phys.value < bytes.size(); ++page) {
    const uint64_t offset = page->phys - phys.value;
    if (pages[offset / page_bytes_] == PageContent::kHole) continue;
    page->hash = Hash64(bytes.subspan(offset, page_bytes_));
    page->read = read;
    page->captured = true;
  }
}

Result<SmearReport> SmearSample::Compare(const MemorySource& source, ReadWatch* watch) {
  KCD_ASSIGN(auto reader, RangeReader::Create(source, {}, watch));
  std::array<SmearClass, kPageKinds> classes;
  std::vector<std::byte> again(kWindowBytes);
  double seconds = 0;
  for (auto first = pages_.begin(); first != pages_.end();) {
    if (stop_.load()) return MakeError(ErrorCode::kCancelled, "interrupted");
    const uint64_t start = first->phys;
    const auto end = std::find_if(first, pages_.end(), [&](const Page& page) {
      return page.phys + page_bytes_ - start > kWindowBytes;
    });
    const auto window = std::span(again).first((end - 1)->phys + page_bytes_ - start);
    ReadReport read;
    KCD_TRY(reader->Read(PhysAddr{start}, window, read));
    const auto now = Clock::now();
    for (; first != end; ++first) {
      compared_.fetch_add(1);
      // Or it went offline meanwhile.
      if (!first->captured || IsHoleAt(read, first->phys, page_bytes_)) continue;
      SmearClass& of = classes[static_cast<size_t>(first->kind)];
      ++of.sampled_pages;
      const bool same = Hash64(window.subspan(first->phys - start, page_bytes_)) == first->hash;
      of.changed_pages += same ? 0 : 1;
      seconds += std::chrono::duration<double>(now - first->read).count();
    }
  }
  SmearReport report = Summary(classes);
  if (report.sampled_pages != 0) {
    report.seconds_between = seconds / static_cast<double>(report.sampled_pages);
  }
  return report;
}

}  // namespace kcoredump
