// SPDX-License-Identifier: MIT
#include "format/avml/reader.h"

#include <elf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/checked.h"
#include "base/try.h"
#include "format/avml/chunk_index.h"
#include "format/avml/format.h"
#include "format/codec_page.h"
#include "source/safe_copy.h"

namespace kcoredump {

namespace {

/// What the source and its readers share.
struct AvmlImage {
  InputFile file;
  ChunkIndex index;
  std::optional<MemoryMap> map;
  bool marks_at_pages = true;  ///< blocks can begin where chunks do
};

/// The mark at or before `phys`; the end: there is none.
auto MarkBefore(const std::vector<ChunkMark>& marks, uint64_t phys) {
  const auto after =
      std::upper_bound(marks.begin(), marks.end(), phys,
                       [](uint64_t at, const ChunkMark& mark) { return at < mark.phys; });
  return after == marks.begin() ? marks.end() : std::prev(after);
}

class AvmlReader : public SourceReader {
 public:
  AvmlReader(const AvmlImage* image, PageDecompressor decompressor)
      : image_(image), decompressor_(std::move(decompressor)) {}

  /// Up to the end of a chunk. The kernel does the copying, for `out` may be bad memory.
  int64_t ReadUpTo(Location at, std::span<std::byte> out) override {
    if (at.space != Space::kPhysical || image_->map->FindRam(at.address) == nullptr) return -ENXIO;
    if (image_->index.missing.Contains(at.address)) return -ENODATA;
    if (!loaded_.Contains(at.address)) {
      if (const int failure = LoadChunkAt(at.address); failure != 0) return failure;
    }
    const auto content = std::span<const std::byte>(content_).subspan(at.address - loaded_.begin);
    const size_t bytes = std::min(out.size(), content.size());
    if (SafeCopy(content.first(bytes), out.data()).system_errno != 0) return -EFAULT;
    return static_cast<int64_t>(bytes);
  }

  void Label(PhysAddr first, std::span<PageLabel> labels) override {
    const Range& missing = image_->index.missing;
    for (size_t i = 0; i < labels.size(); ++i) {
      const uint64_t begin = first.value + i * kDefaultPageBytes;
      if (begin < missing.end && begin + kDefaultPageBytes > missing.begin && !missing.empty()) {
        labels[i] = {.outcome = PageOutcome::kNotReached};
      }
    }
  }

  std::optional<PhysAddr> ToPhysical(Location at) const override {
    return image_->map->ToPhysical(at);
  }

 private:
  /// From the chunk after the last one where reads follow each other, else from the mark before.
  int LoadChunkAt(uint64_t phys) {
    const auto mark = MarkBefore(image_->index.marks, phys);
    if (mark == image_->index.marks.end()) return -EBADMSG;
    const bool follows = loaded_.end != 0 && loaded_.end == phys && mark->phys < phys;
    uint64_t begin = follows ? loaded_.end : mark->phys;
    uint64_t position = follows ? next_position_ : mark->position;
    loaded_ = {};
    for (unsigned i = 0; i < kChunksAMark; ++i) {
      const auto chunk = NextChunk(image_->file, ahead_, position);
      if (!chunk.ok()) return chunk.error().system_errno != 0 ? -EIO : -EBADMSG;
      const Range content{begin, begin + chunk.value().content_bytes};
      position = chunk.value().end();
      begin = content.end;
      if (!content.Contains(phys)) continue;
      if (const int failure = Unpack(chunk.value()); failure != 0) return failure;
      loaded_ = content;
      next_position_ = position;
      return 0;
    }
    return -EBADMSG;
  }

  int Unpack(const AvmlChunk& chunk) {
    int failure = 0;
    const auto body = ahead_.At(image_->file, chunk.position + kSnappyChunkHeaderBytes,
                                chunk.body_bytes, failure);
    if (failure != 0) return failure;
    if (body.size() < chunk.body_bytes) return -ENODATA;
    uint32_t checksum = 0;
    std::memcpy(&checksum, body.data(), sizeof(checksum));
    const auto data = body.subspan(kSnappyChecksumBytes);
    content_.resize(chunk.content_bytes);
    if (chunk.type == kSnappyUncompressed) {
      std::memcpy(content_.data(), data.data(), data.size());
    } else if (!decompressor_.Decompress(PageCodec::kSnappy, data, content_).ok()) {
      return -EBADMSG;
    }
    return SnappyChecksum(content_) == checksum ? 0 : -EBADMSG;
  }

  const AvmlImage* image_;
  PageDecompressor decompressor_;
  ReadAhead ahead_;
  std::vector<std::byte> content_;  ///< of the chunk loaded last
  Range loaded_;                    ///< its physical addresses
  uint64_t next_position_ = 0;      ///< of the chunk after it
};

class AvmlSource : public MemorySource {
 public:
  explicit AvmlSource(AvmlImage image) : image_(std::move(image)) {}

  SourceKind kind() const override { return SourceKind::kDump; }
  const std::string& path() const override { return image_.file.path; }
  uint16_t machine() const override { return EM_NONE; }  // the format does not say
  uint64_t page_bytes() const override { return kDefaultPageBytes; }
  const MemoryMap& map() const override { return *image_.map; }
  const NoteSegment& notes() const override { return notes_; }
  std::string IncompleteReason() const override { return image_.index.incomplete_reason; }
  std::vector<std::string> Caveats() const override {
    return {
        "AVML leaves out memory that is all zero, in blocks of up to 16 MiB: what this file does "
        "not hold may have been zeros"};
  }
  ImageFacts Facts() const override {
    ImageFacts facts;
    facts.format = "avml";
    facts.version = kAvmlVersion;
    facts.compression = {"snappy"};
    facts.file_bytes = image_.file.disk_bytes;
    return facts;
  }
  std::optional<PageCounts> Counts() const override {
    PageCounts counts;
    const Range& missing = image_.index.missing;
    if (!missing.empty()) {
      const Range pages{AlignDown(missing.begin, kDefaultPageBytes),
                        AlignDown(missing.end, kDefaultPageBytes)};
      counts.not_reached = pages.size() / kDefaultPageBytes;
    }
    counts.direct = image_.map->ram_bytes() / kDefaultPageBytes - counts.not_reached;
    return counts;
  }
  std::vector<Range> PresentRanges() const override {
    const Range& missing = image_.index.missing;
    if (missing.empty()) return image_.map->RamRanges();
    return Subtract(image_.map->RamRanges(),
                    {{AlignDown(missing.begin, kDefaultPageBytes), missing.end}});
  }
  /// What one chunk of the usual size holds.
  Range BlockAround(PhysAddr phys) const override {
    if (!image_.marks_at_pages) return MemorySource::BlockAround(phys);
    const Segment* ram = image_.map->FindRam(phys.value);
    const auto& marks = image_.index.marks;
    const auto mark = MarkBefore(marks, phys.value);
    if (ram == nullptr || mark == marks.end() || mark->phys < ram->phys) {
      return MemorySource::BlockAround(phys);
    }
    const uint64_t begin =
        mark->phys + AlignDown(phys.value - mark->phys, uint64_t{kMaxSnappyContentBytes});
    const auto next = std::next(mark);
    const uint64_t limit =
        next == marks.end() ? ram->PhysRange().end : std::min(next->phys, ram->PhysRange().end);
    return {begin, std::min(begin + kMaxSnappyContentBytes, limit)};
  }
  Result<std::unique_ptr<SourceReader>> NewReader() const override {
    KCD_ASSIGN(PageDecompressor decompressor, PageDecompressor::Create());
    return std::unique_ptr<SourceReader>(new AvmlReader(&image_, std::move(decompressor)));
  }

 private:
  AvmlImage image_;
  NoteSegment notes_;
};

Result<AvmlImage> ReadAvmlImage(const std::string& path) {
  AvmlImage image;
  KCD_ASSIGN(image.file, OpenInputFile(path));
  KCD_ASSIGN(image.index, IndexChunks(image.file));
  std::vector<Segment> ram;
  for (const Range& range : image.index.memory) {
    ram.push_back({.virt = {0, range.size()}, .phys = range.begin, .file_bytes = range.size()});
  }
  KCD_ASSIGN(image.map, MemoryMap::OfPhysical(std::move(ram), kDefaultPageBytes));
  image.marks_at_pages =
      std::all_of(image.index.marks.begin(), image.index.marks.end(),
                  [](const ChunkMark& mark) { return mark.phys % kDefaultPageBytes == 0; });
  return image;
}

}  // namespace

Result<std::unique_ptr<MemorySource>> OpenAvml(const std::string& path) {
  auto image = ReadAvmlImage(path);
  if (!image.ok()) return std::move(image.error()).WithContext(path);
  return std::unique_ptr<MemorySource>(new AvmlSource(std::move(image.value())));
}

}  // namespace kcoredump
