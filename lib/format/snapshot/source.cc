// SPDX-License-Identifier: MIT
//
// SnapshotSource: a snapshot seen as memory.
#include <elf.h>

#include <algorithm>
#include <cerrno>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "format/plain_source.h"
#include "format/snapshot/plain_reader.h"
#include "format/snapshot/reader.h"
#include "source/safe_copy.h"

namespace kcoredump {

namespace {

class SnapshotReader : public SourceReader {
 public:
  SnapshotReader(const MemoryMap* map, std::shared_ptr<const SnapshotFile> file, PlainReader plain,
                 uint64_t page_bytes)
      : map_(map), file_(std::move(file)), plain_(std::move(plain)), page_bytes_(page_bytes) {}

  /// Up to the end of a frame. The kernel does the copying, for `out` may be bad memory.
  int64_t ReadUpTo(Location at, std::span<std::byte> out) override {
    const auto extent = map_->Find(at);
    if (!extent || !extent->in_file) return -ENXIO;
    const FrameSpan* frame = file_->FrameAt(extent->offset);
    if (frame == nullptr) return 0;
    const auto content = plain_.Load(*frame);
    if (!content.ok()) return content.error().code == ErrorCode::kCorrupt ? -EBADMSG : -EIO;
    const std::span<const std::byte> rest =
        content.value().subspan(extent->offset - frame->plain_offset);
    const size_t bytes =
        std::min<uint64_t>({out.size(), extent->bytes, static_cast<uint64_t>(rest.size())});
    if (SafeCopy(rest.first(bytes), out.data()).system_errno != 0) return -EFAULT;
    return static_cast<int64_t>(bytes);
  }

  void Label(PhysAddr first, std::span<PageLabel> labels) override {
    const uint64_t captured = file_->plain_bytes();
    for (size_t i = 0; i < labels.size(); ++i) {
      const auto extent = map_->Find(PhysAddr{first.value + i * page_bytes_});
      if (!extent) continue;
      if (!extent->in_file || extent->offset + page_bytes_ > captured) {
        labels[i] = {.outcome =
                         extent->in_file ? PageOutcome::kNotReached : PageOutcome::kExcluded};
      }
    }
    if (file_->trailer()) LabelHoles(file_->trailer()->runs, first, page_bytes_, labels);
  }

  std::optional<PhysAddr> ToPhysical(Location at) const override { return map_->ToPhysical(at); }

 private:
  const MemoryMap* map_;
  std::shared_ptr<const SnapshotFile> file_;
  PlainReader plain_;
  uint64_t page_bytes_;
};

}  // namespace

Result<std::unique_ptr<MemorySource>> SnapshotSource::Open(const std::string& path) {
  KCD_ASSIGN(auto file, SnapshotFile::Open(path));
  KCD_ASSIGN(auto source, FromFile(std::move(file)));
  return std::unique_ptr<MemorySource>(std::move(source));
}

Result<std::unique_ptr<SnapshotSource>> SnapshotSource::FromFile(
    std::shared_ptr<const SnapshotFile> file) {
  const std::string& path = file->path();
  KCD_ASSIGN(PlainReader plain, PlainReader::Create(file));
  const ReadAtFunction read_at = [&](uint64_t offset, std::span<std::byte> out) {
    return plain.ReadAt(offset, out);
  };
  auto core = ReadElfCore(read_at);
  if (!core.ok()) return std::move(core.error()).WithContext(path + ", the ELF core inside");
  NoteSegment notes;
  if (const ProgramHeader* header = core.value().Find(PT_NOTE)) {
    auto bytes = NoteSegment::Read(read_at, *header);
    if (!bytes.ok()) return std::move(bytes.error()).WithContext(path);
    notes = std::move(bytes.value());
  }
  const uint64_t page_bytes =
      file->trailer() ? file->trailer()->page_bytes : PageBytesFromNotes(notes);
  auto map = MemoryMap::Build(core.value(), MemoryMap::Dialect::kDump, page_bytes);
  if (!map.ok()) return std::move(map.error()).WithContext(path + ", the ELF core inside");
  return std::unique_ptr<SnapshotSource>(
      new SnapshotSource(std::move(file), std::move(core.value()), std::move(map.value()),
                         std::move(notes), page_bytes));
}

SnapshotSource::SnapshotSource(std::shared_ptr<const SnapshotFile> file, ElfCore core,
                               MemoryMap map, NoteSegment notes, uint64_t page_bytes)
    : file_(std::move(file)),
      core_(std::move(core)),
      map_(std::move(map)),
      notes_(std::move(notes)),
      page_bytes_(page_bytes) {}

Result<std::unique_ptr<SourceReader>> SnapshotSource::NewReader() const {
  KCD_ASSIGN(PlainReader plain, PlainReader::Create(file_));
  return std::unique_ptr<SourceReader>(
      new SnapshotReader(&map_, file_, std::move(plain), page_bytes_));
}

uint64_t SnapshotSource::reader_bytes() const { return PlainReader::MostBytes(*file_); }

/// What of a frame belongs to one segment, so that one decompression fills a block.
Range SnapshotSource::BlockAround(PhysAddr phys) const {
  const Segment* ram = map_.FindRam(phys.value);
  if (ram == nullptr) return {};
  const Range all = ram->PhysRange();
  // A foreign file's frames may end within a page: that page belongs to the frame it begins in.
  const uint64_t inside = AlignDown(phys.value - all.begin, page_bytes_);
  const FrameSpan* frame =
      inside < ram->file_bytes ? file_->FrameAt(ram->offset + inside) : nullptr;
  if (frame == nullptr) return MemorySource::BlockAround(phys);
  const uint64_t frame_end = frame->plain_offset + frame->content_bytes;
  const uint64_t begin = frame->plain_offset > ram->offset ? frame->plain_offset - ram->offset : 0;
  const uint64_t end = std::min(frame_end - ram->offset, all.size());
  return {all.begin + AlignUp(begin, page_bytes_),
          all.begin + std::min(AlignUp(end, page_bytes_), all.size())};
}

bool SnapshotSource::labels_known() const {
  return !file_->trailer() || file_->trailer()->labels_known;
}

bool SnapshotSource::outcomes_known() const {
  return file_->trailer() && file_->trailer()->outcomes_known;
}

std::vector<std::string> SnapshotSource::Caveats() const {
  if (!file_->trailer()) {
    return {path() +
            " has no trailer: pages that could not be read when it was captured cannot be "
            "told from zeros"};
  }
  std::vector<std::string> caveats;
  if (!outcomes_known()) {
    caveats.push_back(
        path() +
        " was captured from a file without an account of its pages: those that could not be read "
        "before cannot be told from zeros");
  }
  if (!labels_known()) {
    caveats.push_back(path() +
                      " was captured without /proc/kpageflags: poisoned, offline and ballooned "
                      "pages cannot be told from zeros");
  }
  return caveats;
}

ImageFacts SnapshotSource::Facts() const {
  ImageFacts facts{.format = "snapshot",
                   .version = std::nullopt,
                   .compression = {"zstd"},
                   .flags = {},
                   .dump_level = std::nullopt,
                   .files = {},
                   .file_bytes = file_->file_bytes()};
  if (file_->trailer()) facts.version = kTrailerVersion;
  if (file_->base() != nullptr) facts.flags.emplace_back("incremental");
  return facts;
}

std::optional<CaptureTimes> SnapshotSource::Times() const {
  if (!file_->trailer()) return std::nullopt;
  return CaptureTimes{.started_utc_ns = file_->trailer()->started_utc_ns,
                      .ended_utc_ns = file_->trailer()->ended_utc_ns};
}

uint32_t SnapshotSource::MillisecondsAt(PhysAddr phys) const {
  const auto extent = map_.Find(phys);
  const FrameSpan* frame =
      extent && extent->in_file && file_->trailer() ? file_->FrameAt(extent->offset) : nullptr;
  if (frame == nullptr) return 0;
  return file_->trailer()->frame_ms[static_cast<size_t>(frame - file_->frames().data())];
}

Result<NoteSegment> SnapshotSource::VendorNotes() const {
  const ProgramHeader* header = core_.Find(kVendorSegmentType);
  if (header == nullptr) return NoteSegment();
  KCD_ASSIGN(PlainReader plain, PlainReader::Create(file_));
  return NoteSegment::Read(
      [&](uint64_t offset, std::span<std::byte> out) { return plain.ReadAt(offset, out); },
      *header);
}

std::vector<Range> SnapshotSource::PresentRanges() const {
  std::vector<Range> ranges;
  for (const Segment& segment : map_.ram()) {
    const uint64_t captured = file_->plain_bytes();
    const uint64_t left = captured > segment.offset ? captured - segment.offset : 0;
    const uint64_t bytes = AlignDown(std::min(left, segment.file_bytes), page_bytes_);
    ranges.push_back({segment.phys, segment.phys + bytes});
  }
  return Normalized(std::move(ranges));
}

std::optional<PageCounts> SnapshotSource::Counts() const {
  if (file_->trailer()) return file_->trailer()->counts;
  PageCounts counts;
  const uint64_t captured = file_->plain_bytes();
  for (const Segment& segment : map_.ram()) {
    const uint64_t pages = segment.virt.size() / page_bytes_;
    const uint64_t in_file = segment.file_bytes / page_bytes_;
    const uint64_t have = captured > segment.offset
                              ? std::min((captured - segment.offset) / page_bytes_, in_file)
                              : 0;
    counts.direct += have;
    counts.not_reached += in_file - have;
    counts.excluded += pages - in_file;
  }
  return counts;
}

}  // namespace kcoredump
