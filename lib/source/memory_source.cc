// SPDX-License-Identifier: MIT
#include "source/memory_source.h"

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/checked.h"

namespace kcoredump {

namespace {

std::string FindVmcoreinfo(const NoteSegment& notes) {
  const auto parsed = notes.Parse();
  if (!parsed.ok()) return {};
  for (const Note& note : parsed.value()) {
    if (note.owner == "VMCOREINFO") return std::string(AsText(note.data));
  }
  return {};
}

}  // namespace

Range MemorySource::BlockAround(PhysAddr phys) const {
  static constexpr uint64_t kBlockBytes = 64 << 10;
  const Segment* ram = map().FindRam(phys.value);
  if (ram == nullptr) return {};
  const Range all = ram->PhysRange();
  const uint64_t begin = AlignDown(phys.value, kBlockBytes);
  return {std::max(begin, all.begin),
          all.end - begin > kBlockBytes ? begin + kBlockBytes : all.end};
}

std::string VmcoreinfoText(const MemorySource& source) { return FindVmcoreinfo(source.notes()); }

bool IsPageSize(uint64_t bytes) { return bytes == 4096 || bytes == 16384 || bytes == 65536; }

uint64_t PageBytesFromNotes(const NoteSegment& notes) {
  static constexpr std::string_view kKey = "PAGESIZE=";
  const std::string text = "\n" + FindVmcoreinfo(notes);
  const size_t at = text.find("\n" + std::string(kKey));
  if (at == std::string::npos) return kDefaultPageBytes;
  uint64_t bytes = 0;
  const char* digits = text.data() + at + 1 + kKey.size();
  std::from_chars(digits, text.data() + text.size(), bytes);
  return IsPageSize(bytes) ? bytes : kDefaultPageBytes;
}

}  // namespace kcoredump
