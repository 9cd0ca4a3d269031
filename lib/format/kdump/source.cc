// SPDX-License-Identifier: MIT
#include "format/kdump/source.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "format/kdump/page_reader.h"
#include "format/kdump/reader.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxVmcoreinfoBytes = 1 << 20;
constexpr uint64_t kBlockBytes = 16 << 10;

/// Descriptor `index` of a file's pages; nothing: the file ends before it.
Result<std::optional<PageDescriptor>> DescriptorAt(const KdumpPages& pages, uint64_t index) {
  PageDescriptor descriptor;
  KCD_ASSIGN(const size_t count,
             pages.file.read_at(pages.descriptors + index * sizeof(descriptor),
                                std::as_writable_bytes(std::span(&descriptor, 1))));
  if (count < sizeof(descriptor)) return std::optional<PageDescriptor>();
  return std::optional<PageDescriptor>(descriptor);
}

/// Pages are written in their order, but for those of zeros, which share one page of data at the
/// start: a file that has the last of the others has them all.
Result<bool> HasItsEnd(const KdumpPages& pages) {
  static constexpr uint64_t kMostLooks = 1 << 20;
  static constexpr uint64_t kStep = 1 << 10;
  if (pages.count == 0) return true;
  KCD_ASSIGN(const auto last, DescriptorAt(pages, pages.count - 1));
  if (!last || !IsWritten(*last, pages)) return false;
  std::vector<PageDescriptor> step;
  const uint64_t least = pages.count - std::min(pages.count, kMostLooks);
  for (uint64_t end = pages.count - 1; end > least; end -= step.size()) {
    step.resize(std::min(kStep, end - least));
    KCD_TRY(pages.file.ReadExactly(pages.descriptors + (end - step.size()) * sizeof(PageDescriptor),
                                   std::as_writable_bytes(std::span(step))));
    const auto other = std::find_if(step.rbegin(), step.rend(), [&](const PageDescriptor& one) {
      return one.offset != last->offset;
    });
    if (other != step.rend()) return IsWritten(*other, pages);
  }
  return true;
}

/// Pages of a torn file that it does have.
Result<uint64_t> CountWritten(const KdumpPages& pages) {
  static constexpr uint64_t kStep = 1 << 16;
  std::vector<PageDescriptor> step;
  uint64_t written = 0;
  for (uint64_t index = 0; index < pages.count; index += step.size()) {
    step.resize(std::min(kStep, pages.count - index));
    KCD_ASSIGN(const size_t bytes,
               pages.file.read_at(pages.descriptors + index * sizeof(PageDescriptor),
                                  std::as_writable_bytes(std::span(step))));
    const size_t whole = bytes / sizeof(PageDescriptor);
    for (size_t i = 0; i < whole; ++i) written += IsWritten(step[i], pages) ? 1 : 0;
    if (whole < step.size()) break;
  }
  return written;
}

std::string PageRange(uint64_t begin, uint64_t end, uint64_t page_bytes) {
  return HexAddress(begin * page_bytes) + " to " + HexAddress(end * page_bytes - 1);
}

}  // namespace

bool IsWritten(const PageDescriptor& descriptor, const KdumpPages& pages) {
  const auto end = CheckedAdd(descriptor.offset, descriptor.bytes);
  return descriptor.offset != 0 && end && *end <= pages.file.bytes;
}

Result<std::unique_ptr<MemorySource>> OpenKdump(const std::string& path) {
  KCD_ASSIGN(const InputFile file, OpenInputFile(path));
  return OpenKdumpIn(file);
}

Result<std::unique_ptr<MemorySource>> OpenKdumpIn(const InputFile& file) {
  auto source = KdumpSource::Open(file);
  if (!source.ok()) return std::move(source.error()).WithContext(file.path);
  return source;
}

Result<std::unique_ptr<MemorySource>> KdumpSource::Open(const InputFile& file) {
  std::unique_ptr<KdumpSource> source(new KdumpSource());
  KCD_ASSIGN(KdumpPart part, ReadKdumpPart(file));
  source->path_ = file.path;
  source->layout_ = part.layout;
  source->machine_ = MachineFromName(part.layout.machine);
  KCD_TRY(source->LoadNotes(part));
  KCD_TRY(source->Load(GatherKdumpSet(std::move(part))));
  return std::unique_ptr<MemorySource>(std::move(source));
}

Status KdumpSource::Load(std::vector<KdumpPart> parts) {
  const KdumpPart& first = parts.front();
  KCD_ASSIGN(BitmapScan scan, ScanBitmaps(first.file, first.layout));
  dumped_ = std::move(scan.dumped);
  memory_pages_ = scan.memory_pages;
  std::vector<Segment> ram;
  ram.reserve(scan.memory.size());
  for (const Range& range : scan.memory) {
    const uint64_t bytes = range.size() * layout_.page_bytes;
    ram.push_back(
        {.virt = {0, bytes}, .phys = range.begin * layout_.page_bytes, .file_bytes = bytes});
  }
  KCD_ASSIGN(map_, MemoryMap::OfPhysical(std::move(ram), layout_.page_bytes));
  KCD_TRY(LoadPages(parts));
  incomplete_reason_ = WhyIncomplete(parts);
  return {};
}

Status KdumpSource::LoadPages(const std::vector<KdumpPart>& parts) {
  BitmapCursor cursor(&dumped_);
  for (const KdumpPart& part : parts) {
    KdumpPages pages{.file = part.file,
                     .pfns = {part.layout.start_pfn, part.layout.end_pfn},
                     .descriptors = part.layout.descriptors};
    KCD_ASSIGN(pages.first_rank, cursor.Rank(pages.pfns.begin));
    KCD_ASSIGN(const uint64_t end_rank, cursor.Rank(pages.pfns.end));
    pages.count = end_rank - pages.first_rank;
    const uint64_t descriptor_bytes =
        pages.file.bytes - std::min(pages.file.bytes, pages.descriptors);
    const uint64_t described = descriptor_bytes / sizeof(PageDescriptor);
    pages.end_pfn = pages.pfns.end;
    if (described < pages.count) {
      KCD_ASSIGN(pages.end_pfn, cursor.Select(pages.first_rank + described));
    }
    KCD_ASSIGN(const bool has_its_end, HasItsEnd(pages));
    pages.torn =
        !has_its_end || !part.file.torn.empty() || (part.layout.status & kKdumpIncomplete) != 0;
    pages_.push_back(std::move(pages));
  }
  return {};
}

/// The first reason, in a line.
std::string KdumpSource::WhyIncomplete(const std::vector<KdumpPart>& parts) const {
  uint64_t next_pfn = 0;
  const auto missing = [&](uint64_t end) {
    return "the part of the split set that holds physical " +
           PageRange(next_pfn, end, layout_.page_bytes) + " is not beside " + path_;
  };
  for (size_t i = 0; i < parts.size(); ++i) {
    const KdumpLayout& layout = parts[i].layout;
    if (layout.start_pfn > next_pfn) return missing(layout.start_pfn);
    next_pfn = layout.end_pfn;
    if (!parts[i].file.torn.empty()) return parts[i].file.torn;
    if ((layout.status & kKdumpIncomplete) != 0) {
      return parts[i].file.path + " says that it is incomplete: it could not be written to its end";
    }
    if (pages_[i].torn) return parts[i].file.path + " was cut off: it ends before its last page";
  }
  return next_pfn < layout_.max_pfn ? missing(layout_.max_pfn) : "";
}

/// Version 3 has VMCOREINFO alone; from version 4 on it is one of the notes.
Status KdumpSource::LoadNotes(const KdumpPart& part) {
  const KdumpLayout& layout = part.layout;
  if (layout.note_bytes != 0) {
    const ProgramHeader header{.offset = layout.note_offset, .filesz = layout.note_bytes};
    auto notes = NoteSegment::Read(part.file.read_at, header);
    if (!notes.ok()) return std::move(notes.error());
    notes_ = std::move(notes.value());
  }
  if (layout.vmcoreinfo_bytes == 0 || !VmcoreinfoText(*this).empty()) return {};
  if (layout.vmcoreinfo_bytes > kMaxVmcoreinfoBytes) {
    return MakeError(ErrorCode::kLimitExceeded,
                     "VMCOREINFO of " + HumanBytes(layout.vmcoreinfo_bytes));
  }
  std::vector<std::byte> text(layout.vmcoreinfo_bytes);
  KCD_TRY(part.file.ReadExactly(layout.vmcoreinfo_offset, text));
  const std::span<const std::byte> before = notes_.bytes();
  std::vector<std::byte> all(before.begin(), before.end());
  all.resize(AlignUp(all.size(), 4));
  AppendNoteHeader(all, "VMCOREINFO", 0, static_cast<uint32_t>(text.size()));
  all.insert(all.end(), text.begin(), text.end());
  all.resize(AlignUp(all.size(), 4));
  notes_ = NoteSegment::Copy(all);
  return {};
}

ImageFacts KdumpSource::Facts() const {
  ImageFacts facts;
  facts.format = "kdump";
  facts.version = layout_.version;
  facts.compression = KdumpCodecNames(layout_.status);
  facts.dump_level = layout_.dump_level;
  if ((layout_.status & kKdumpIncomplete) != 0) facts.flags.emplace_back("incomplete");
  if ((layout_.status & kKdumpExcludedVmemmap) != 0) facts.flags.emplace_back("excluded-vmemmap");
  if (layout_.split) facts.flags.emplace_back("split");
  for (const KdumpPages& pages : pages_) {
    facts.file_bytes += pages.file.disk_bytes;
    if (layout_.split) facts.files.push_back(pages.file.path);
  }
  return facts;
}

std::optional<PageCounts> KdumpSource::Counts() const {
  PageCounts counts;
  for (const KdumpPages& pages : pages_) {
    const auto written = pages.torn ? CountWritten(pages) : Result<uint64_t>(pages.count);
    counts.direct += written.ok() ? written.value() : 0;
  }
  counts.not_reached = dumped_.set_bits() - counts.direct;
  counts.excluded = memory_pages_ - dumped_.set_bits();
  return counts;
}

std::vector<Range> KdumpSource::PresentRanges() const {
  std::vector<Range> absent;
  uint64_t at = 0;
  for (const KdumpPages& pages : pages_) {
    absent.push_back({at, pages.pfns.begin * layout_.page_bytes});
    at = pages.end_pfn * layout_.page_bytes;
  }
  absent.push_back({at, ~uint64_t{0}});
  return Subtract(map_->RamRanges(), Normalized(std::move(absent)));
}

Range KdumpSource::BlockAround(PhysAddr phys) const {
  const Segment* ram = map_->FindRam(phys.value);
  if (ram == nullptr) return {};
  const uint64_t block_bytes = std::max(kBlockBytes, layout_.page_bytes);
  const Range all = ram->PhysRange();
  const uint64_t begin = AlignDown(phys.value, block_bytes);
  return {std::max(begin, all.begin), std::min(begin + block_bytes, all.end)};
}

const KdumpPages* KdumpSource::FindPages(uint64_t pfn) const {
  auto after =
      std::upper_bound(pages_.begin(), pages_.end(), pfn,
                       [](uint64_t at, const KdumpPages& pages) { return at < pages.pfns.begin; });
  if (after == pages_.begin()) return nullptr;
  const KdumpPages& pages = *std::prev(after);
  return pages.pfns.Contains(pfn) ? &pages : nullptr;
}

Result<std::unique_ptr<SourceReader>> KdumpSource::NewReader() const {
  KCD_ASSIGN(auto reader, KdumpReader::Create(this));
  return std::unique_ptr<SourceReader>(std::move(reader));
}

}  // namespace kcoredump
