// SPDX-License-Identifier: MIT
#include "format/raw/reader.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/checked.h"
#include "base/file.h"
#include "base/try.h"
#include "format/plain_source.h"
#include "format/raw/format.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

std::string SidecarOf(const std::string& path) { return path + kRawSidecarSuffix; }

NoteSegment NotesOf(const std::string& vmcoreinfo) {
  if (vmcoreinfo.empty()) return {};
  std::vector<std::byte> note;
  AppendNoteHeader(note, "VMCOREINFO", 0, static_cast<uint32_t>(vmcoreinfo.size()));
  const auto text = std::as_bytes(std::span(vmcoreinfo));
  note.insert(note.end(), text.begin(), text.end());
  note.resize(AlignUp(note.size(), 4));  // libelf refuses a note whose padding is missing
  return NoteSegment::Copy(note);
}

/// Those of `holes` that lie in RAM.
std::vector<PageRun> HolesIn(const MemoryMap& map, const std::vector<PageRun>& holes,
                             uint64_t page_bytes) {
  std::vector<PageRun> inside;
  for (const PageRun& hole : holes) {
    const Segment* ram = map.FindRam(hole.first.address);
    const uint64_t end = hole.first.address + hole.pages * page_bytes;
    if (ram != nullptr && end <= ram->PhysRange().end) inside.push_back(hole);
  }
  return inside;
}

Result<PlainImage> ReadRawImage(const std::string& path) {
  KCD_ASSIGN(const std::string text, ReadTextFile(SidecarOf(path), kMaxRawSidecarBytes));
  KCD_ASSIGN(const RawRanges ranges, ParseRawRanges(text));
  PlainImage image;
  KCD_ASSIGN(image.file, OpenInputFile(path));
  std::vector<Segment> ram;
  for (const RawRange& range : ranges.ranges) {
    const uint64_t left = image.file.bytes - std::min(image.file.bytes, range.offset);
    const uint64_t there = std::min(range.phys.size(), left);
    if (there < range.phys.size() && image.incomplete_reason.empty()) {
      image.incomplete_reason =
          "the file ends within the range at physical " + HexAddress(range.phys.begin);
    }
    ram.push_back({.virt = {0, range.phys.size()},
                   .phys = range.phys.begin,
                   .offset = range.offset,
                   .file_bytes = there});
  }
  image.page_bytes = ranges.page_bytes;
  image.machine = ranges.machine;
  image.notes = NotesOf(ranges.vmcoreinfo);
  KCD_ASSIGN(image.map, MemoryMap::OfPhysical(std::move(ram), image.page_bytes));
  image.holes = HolesIn(*image.map, ranges.holes, image.page_bytes);
  image.left_out = PageOutcome::kNotReached;
  image.facts.format = "raw";
  image.facts.version = kRawRangesVersion;
  image.facts.file_bytes = image.file.disk_bytes;
  return image;
}

}  // namespace

bool HasRawSidecar(const std::string& path) {
  struct stat info {};
  return stat(SidecarOf(path).c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Result<std::unique_ptr<MemorySource>> OpenRaw(const std::string& path) {
  auto image = ReadRawImage(path);
  if (!image.ok()) return std::move(image.error()).WithContext(path);
  return std::unique_ptr<MemorySource>(new PlainSource(std::move(image.value())));
}

}  // namespace kcoredump
