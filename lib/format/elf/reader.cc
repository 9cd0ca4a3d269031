// SPDX-License-Identifier: MIT
#include "format/elf/reader.h"

#include <elf.h>

#include <utility>

#include "base/try.h"
#include "format/plain_source.h"
#include "format/snapshot/format.h"

namespace kcoredump {

namespace {

Result<PlainImage> ReadElfImage(const InputFile& file) {
  PlainImage image;
  KCD_ASSIGN(const ElfCore core, ReadElfCore(file.read_at));
  image.kind = SourceKind::kElfCore;
  image.machine = core.machine;
  if (const ProgramHeader* header = core.Find(PT_NOTE)) {
    KCD_ASSIGN(image.notes, NoteSegment::Read(file.read_at, *header));
  }
  if (const ProgramHeader* header = core.Find(kVendorSegmentType)) {
    image.vendor = *header;
    image.outcomes_known = false;
    image.caveats.push_back(
        file.path +
        " is a capture as plain ELF, without the account of its pages: those that could not be "
        "read when it was captured cannot be told from zeros; the snapshot that it was made from "
        "knows them");
  }
  image.page_bytes = PageBytesFromNotes(image.notes);
  KCD_ASSIGN(image.map, MemoryMap::Build(core, MemoryMap::Dialect::kDump, image.page_bytes));
  // What p_filesz leaves out of p_memsz was not dumped (makedumpfile -E): neither read nor zero.
  image.left_out = PageOutcome::kExcluded;
  image.incomplete_reason = file.torn;
  image.facts.format = "elf";
  image.facts.file_bytes = file.disk_bytes;
  image.file = file;
  return image;
}

}  // namespace

Result<std::unique_ptr<MemorySource>> OpenElfCore(const std::string& path) {
  KCD_ASSIGN(const InputFile file, OpenInputFile(path));
  return OpenElfCoreIn(file);
}

Result<std::unique_ptr<MemorySource>> OpenElfCoreIn(const InputFile& file) {
  auto image = ReadElfImage(file);
  if (!image.ok()) return std::move(image.error()).WithContext(file.path);
  return std::unique_ptr<MemorySource>(new PlainSource(std::move(image.value())));
}

}  // namespace kcoredump
