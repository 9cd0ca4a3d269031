// SPDX-License-Identifier: MIT
#include "format/plain_source.h"

#include <algorithm>
#include <cerrno>

#include "base/try.h"

namespace kcoredump {

namespace {

class PlainReaderOf : public SourceReader {
 public:
  explicit PlainReaderOf(const PlainImage* image) : image_(image) {}

  int64_t ReadUpTo(Location at, std::span<std::byte> out) override {
    const auto extent = image_->map->Find(at);
    if (!extent || !extent->in_file) return -ENXIO;
    const uint64_t bytes = std::min<uint64_t>(out.size(), extent->bytes);
    return ReadForSource(image_->file, extent->offset, out.first(bytes));
  }

  void Label(PhysAddr first, std::span<PageLabel> labels) override {
    const uint64_t page_bytes = image_->page_bytes;
    for (size_t i = 0; i < labels.size();) {
      const auto extent = image_->map->Find(PhysAddr{first.value + i * page_bytes});
      const uint64_t pages = extent ? std::max<uint64_t>(extent->bytes / page_bytes, 1) : 1;
      const size_t end = std::min<uint64_t>(labels.size(), i + pages);
      for (; i < end; ++i) {
        // Segments are whole pages: less than one is left where the file ends within it.
        const bool there = !extent || (extent->in_file && extent->bytes >= page_bytes);
        if (!there) labels[i] = {.outcome = image_->left_out};
      }
    }
    LabelHoles(image_->holes, first, page_bytes, labels);
  }

  std::optional<PhysAddr> ToPhysical(Location at) const override {
    return image_->map->ToPhysical(at);
  }

 private:
  const PlainImage* image_;
};

/// Of the pages of `segment` that should be in the file, those that it has.
uint64_t PagesThere(const Segment& segment, uint64_t file_bytes, uint64_t page_bytes) {
  const uint64_t left = file_bytes > segment.offset ? file_bytes - segment.offset : 0;
  return std::min(left, segment.file_bytes) / page_bytes;
}

}  // namespace

Result<std::unique_ptr<SourceReader>> PlainSource::NewReader() const {
  return std::unique_ptr<SourceReader>(new PlainReaderOf(&image_));
}

Result<NoteSegment> PlainSource::VendorNotes() const {
  if (!image_.vendor) return NoteSegment();
  return NoteSegment::Read(image_.file.read_at, *image_.vendor);
}

std::vector<Range> PlainSource::PresentRanges() const {
  std::vector<Range> ranges;
  for (const Segment& segment : image_.map->ram()) {
    const uint64_t pages = PagesThere(segment, image_.file.bytes, image_.page_bytes);
    ranges.push_back({segment.phys, segment.phys + pages * image_.page_bytes});
  }
  return Normalized(std::move(ranges));
}

std::optional<PageCounts> PlainSource::Counts() const {
  PageCounts counts;
  for (const Segment& segment : image_.map->ram()) {
    const uint64_t pages = segment.virt.size() / image_.page_bytes;
    const uint64_t in_file = segment.file_bytes / image_.page_bytes;
    const uint64_t there = PagesThere(segment, image_.file.bytes, image_.page_bytes);
    counts.direct += there;
    counts.unreadable += in_file - there;
    counts.Of(image_.left_out) += pages - in_file;
  }
  for (const PageRun& hole : image_.holes) {
    counts.direct -= std::min(counts.direct, hole.pages);
    counts.Of(hole.outcome) += hole.pages;
  }
  return counts;
}

void LabelHoles(const std::vector<PageRun>& runs, PhysAddr first, uint64_t page_bytes,
                std::span<PageLabel> labels) {
  auto run = std::upper_bound(
      runs.begin(), runs.end(), first.value,
      [](uint64_t at, const PageRun& candidate) { return at < candidate.first.address; });
  if (run != runs.begin()) --run;
  const uint64_t end = first.value + labels.size() * page_bytes;
  for (; run != runs.end() && run->first.address < end; ++run) {
    if (!IsHole(run->outcome)) continue;
    const uint64_t from = std::max(run->first.address, first.value);
    const uint64_t to = std::min(run->first.address + run->pages * page_bytes, end);
    for (uint64_t at = from; at < to; at += page_bytes) {
      labels[(at - first.value) / page_bytes] = {.outcome = run->outcome,
                                                 .system_errno = run->system_errno,
                                                 .page_class = run->page_class};
    }
  }
}

}  // namespace kcoredump
