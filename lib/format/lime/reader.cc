// SPDX-License-Identifier: MIT
#include "format/lime/reader.h"

#include <elf.h>

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "format/lime/format.h"
#include "format/plain_source.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxRanges = kMaxProgramHeaders;

/// What is at `position`: a header, or an error. Something else after good ranges ends the file.
Result<MemoryRangeHeader> HeaderAt(const InputFile& file, uint64_t position) {
  MemoryRangeHeader header;
  KCD_TRY(file.ReadExactly(position, std::as_writable_bytes(std::span(&header, 1))));
  if (header.magic != kLimeMagic) {
    return MakeError(ErrorCode::kCorrupt, "there is no LiME header");
  }
  if (header.version != kLimeVersion) {
    return MakeError(ErrorCode::kUnsupported, "a LiME header of version " +
                                                  std::to_string(header.version) +
                                                  "; this program knows version 1");
  }
  return header;
}

/// Appends the range at `position` and moves behind it.
Status AddRange(const InputFile& file, uint64_t& position, std::vector<Segment>& ram) {
  KCD_ASSIGN(const MemoryRangeHeader header, HeaderAt(file, position));
  KCD_ASSIGN(const Range phys, header.PhysRange());
  if (ram.size() == kMaxRanges) {
    return MakeError(ErrorCode::kLimitExceeded, "more than " + Grouped(kMaxRanges) + " ranges");
  }
  position += sizeof(header);
  const uint64_t there = std::min(phys.size(), file.bytes - position);
  ram.push_back(
      {.virt = {0, phys.size()}, .phys = phys.begin, .offset = position, .file_bytes = there});
  position += there;
  return {};
}

Result<PlainImage> ReadLimeImage(const std::string& path) {
  PlainImage image;
  KCD_ASSIGN(image.file, OpenInputFile(path));
  std::vector<Segment> ram;
  for (uint64_t position = 0; position < image.file.bytes || ram.empty();) {
    const uint64_t at = position;
    Status added = AddRange(image.file, position, ram);
    if (added.ok()) continue;
    if (ram.empty() || added.error().code == ErrorCode::kLimitExceeded) {
      return std::move(added.error());
    }
    image.incomplete_reason =
        "what follows the range before " + Hex(at) + " is damaged: " + added.error().message;
    break;
  }
  if (ram.back().file_bytes < ram.back().virt.size()) {
    image.incomplete_reason =
        "the file ends within the range at physical " + HexAddress(ram.back().phys);
  }
  KCD_ASSIGN(image.map, MemoryMap::OfPhysical(std::move(ram), image.page_bytes));
  image.machine = EM_NONE;  // the format does not say
  image.left_out = PageOutcome::kNotReached;
  image.facts.format = "lime";
  image.facts.version = kLimeVersion;
  image.facts.file_bytes = image.file.disk_bytes;
  image.caveats.push_back(
      "LiME writes zeros for pages that it could not read: they cannot be told from zeros that "
      "were read");
  return image;
}

}  // namespace

Result<std::unique_ptr<MemorySource>> OpenLime(const std::string& path) {
  auto image = ReadLimeImage(path);
  if (!image.ok()) return std::move(image.error()).WithContext(path);
  return std::unique_ptr<MemorySource>(new PlainSource(std::move(image.value())));
}

}  // namespace kcoredump
