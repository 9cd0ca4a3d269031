// SPDX-License-Identifier: MIT
#include "inspect/describe.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash256.h"
#include "base/json_depth.h"
#include "base/try.h"
#include "format/registry.h"
#include "format/snapshot/reader.h"
#include "inspect/cpus.h"
#include "kcoredump/inspect.h"
#include "kcoredump/text.h"
#include "kernel/kernel_facts.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxMetaBytes = 4 << 20;

void AddSegments(const MemoryMap& map, ImageInfo& info) {
  for (const std::vector<Segment>* list : {&map.ram(), &map.others()}) {
    for (const Segment& segment : *list) {
      SegmentInfo entry{.kind = segment.kind,
                        .virt = segment.virt.begin,
                        .phys = std::nullopt,
                        .bytes = segment.virt.size()};
      if (segment.kind == SegmentKind::kRam || segment.kind == SegmentKind::kKernelImage) {
        entry.phys = segment.phys;
      }
      info.segments.push_back(entry);
    }
  }
}

std::string VendorNoteName(const Note& note) {
  std::string name = NoteTypeName(note.type);
  if (note.type != static_cast<uint32_t>(NoteType::kBtf)) return name;
  const std::string_view text = AsText(note.data);
  return name + " " + std::string(text.substr(0, std::min(text.find('\0'), text.size())));
}

void AddNotes(const NoteSegment& segment, ImageInfo& info) {
  const auto notes = segment.Parse();
  if (!notes.ok()) {
    info.damage.push_back(notes.error().message);
    return;
  }
  for (const Note& note : notes.value()) {
    const bool ours = note.owner == kNoteOwner;
    info.notes.push_back({.owner = note.owner,
                          .name = ours ? VendorNoteName(note) : std::string(),
                          .type = note.type,
                          .bytes = note.data.size()});
    if (!ours) continue;
    if (note.type == static_cast<uint32_t>(NoteType::kMeta) && note.data.size() <= kMaxMetaBytes &&
        IsShallowJson(AsText(note.data))) {
      info.meta_json = AsText(note.data);
    }
    if (note.type == static_cast<uint32_t>(NoteType::kVersion)) {
      info.kernel_version = TrimmedRight(AsText(note.data));
    }
  }
}

void CountRegisterNotes(ImageInfo& info) {
  info.register_notes = static_cast<uint64_t>(std::count_if(
      info.notes.begin(), info.notes.end(),
      [](const NoteInfo& note) { return note.owner == "CORE" && note.type == NT_PRSTATUS; }));
}

void AddFileFacts(const MemorySource& source, ImageInfo& info) {
  ImageFacts facts = source.Facts();
  info.is_file = true;
  if (facts.format != info.format) info.format += " " + facts.format;
  info.format_version = facts.version;
  info.compression = std::move(facts.compression);
  info.flags = std::move(facts.flags);
  info.dump_level = facts.dump_level;
  info.files = std::move(facts.files);
  info.file_bytes = facts.file_bytes;
  info.incomplete_reason = source.IncompleteReason();
  info.complete = info.incomplete_reason.empty();
  info.outcomes_known = source.outcomes_known();
  info.pages = source.Counts().value_or(PageCounts());
}

void AddBases(const SnapshotFile& file, ImageInfo& info) {
  info.base = FolderOf(file.path()) + file.link()->name;
  info.base_identity = ToHex(file.link()->id);
  if (file.trailer()) info.referenced_frames = file.trailer()->references;
  for (const SnapshotFile* one = file.base().get(); one != nullptr; one = one->base().get()) {
    info.bases.push_back(one->path());
  }
  if (!info.bases.empty()) info.base = info.bases.front();
}

void AddSnapshotFacts(const SnapshotSource& snapshot, ImageInfo& info) {
  const SnapshotFile& file = snapshot.file();
  info.is_snapshot = true;
  info.complete = file.complete();
  info.damage = file.damage();
  info.outcomes_known = snapshot.outcomes_known();
  info.plain_bytes = file.plain_bytes();
  info.frames = file.frames().size();
  if (file.link()) AddBases(file, info);
  if (const auto identity = file.Identity(); identity.ok()) {
    info.identity = ToHex(identity.value());
  }
  if (file.trailer()) {
    info.hashes = !file.trailer()->frame_hashes.empty();
    info.zero_pages = file.trailer()->zero_pages;
    info.excluded = CountExcluded(file.trailer()->runs);
    for (const PageRun& run : file.trailer()->runs) {
      if (IsFailure(run.outcome)) info.holes.push_back(run);
    }
  }
}

}  // namespace

Result<ImageInfo> Describe(const std::string& path) {
  KCD_ASSIGN(const Format* format, DetectFormat(path));
  auto source = format->open(path);
  if (source.ok()) return DescribeSource(*source.value(), *format, path);
  if (format->name != "snapshot") return std::move(source.error());
  // Without its base an incremental snapshot still says what it is of, and which base it wants.
  const auto alone = SnapshotFile::OpenAlone(path);
  if (!alone.ok() || !alone.value()->link()) return std::move(source.error());
  const auto itself = SnapshotSource::FromFile(alone.value());
  if (!itself.ok()) return std::move(source.error());
  KCD_ASSIGN(ImageInfo info, DescribeSource(*itself.value(), *format, path));
  info.complete = false;
  info.incomplete_reason = "its base cannot be used";
  info.damage.push_back(source.error().message);
  return info;
}

Result<ImageInfo> DescribeSource(const MemorySource& source, const Format& format,
                                 const std::string& path) {
  ImageInfo info;
  info.path = path;
  info.format = format.name;
  info.architecture = MachineName(source.machine());
  info.page_bytes = source.page_bytes();
  AddSegments(source.map(), info);
  info.total_pages = source.map().ram_bytes() / source.page_bytes();
  info.caveats = source.Caveats();
  AddNotes(source.notes(), info);
  CountRegisterNotes(info);
  if (source.kind() != SourceKind::kLive) AddFileFacts(source, info);
  if (source.kind() == SourceKind::kSnapshot) {
    AddSnapshotFacts(static_cast<const SnapshotSource&>(source), info);
  }
  if (const auto vendor = source.VendorNotes(); vendor.ok()) {
    AddNotes(vendor.value(), info);
  } else {
    info.damage.push_back("the notes of the capture cannot be read: " + vendor.error().message);
  }
  if (const auto facts = GatherKernelFacts(source); facts.ok()) {
    info.kernel_release = facts.value().vmcoreinfo.Text("OSRELEASE").value_or("");
    info.kaslr_offset = facts.value().vmcoreinfo.KaslrOffset();
    if (facts.value().arch != nullptr) info.architecture = facts.value().arch->name();
  }
  info.cpus = DescribeCpus(source, path);
  // Notes that cannot be read are damage, too, and no damaged file is complete.
  if (info.complete && !info.damage.empty()) {
    info.complete = false;
    info.incomplete_reason = info.damage.front();
  }
  return info;
}

}  // namespace kcoredump
