// SPDX-License-Identifier: MIT
#include "format/elf/reader.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/try.h"
#include "base/unique_fd.h"
#include "format/snapshot/format.h"

namespace kcoredump {

namespace {

class ElfCoreReader : public SourceReader {
 public:
  /// `map` and `fd` are the source's; pread on one descriptor is for any number of threads.
  ElfCoreReader(const MemoryMap* map, int fd, uint64_t page_bytes)
      : map_(map), fd_(fd), page_bytes_(page_bytes) {}

  int64_t ReadUpTo(Location at, std::span<std::byte> out) override {
    const auto extent = map_->Find(at);
    if (!extent || !extent->in_file) return -ENXIO;
    const uint64_t bytes = std::min<uint64_t>(out.size(), extent->bytes);
    const ssize_t count = pread(fd_, out.data(), bytes, static_cast<off_t>(extent->offset));
    return count < 0 ? -errno : count;
  }

  /// What p_filesz leaves out of p_memsz was not dumped: neither read nor zero.
  void Label(PhysAddr first, std::span<PageLabel> labels) override {
    for (size_t i = 0; i < labels.size();) {
      const auto extent = map_->Find(PhysAddr{first.value + i * page_bytes_});
      const uint64_t pages = extent ? std::max<uint64_t>(extent->bytes / page_bytes_, 1) : 1;
      const size_t end = std::min<uint64_t>(labels.size(), i + pages);
      for (; i < end; ++i) {
        if (extent && !extent->in_file) labels[i] = {.outcome = PageOutcome::kAbsent};
      }
    }
  }

  std::optional<PhysAddr> ToPhysical(Location at) const override { return map_->ToPhysical(at); }

 private:
  const MemoryMap* map_;
  int fd_;
  uint64_t page_bytes_;
};

class ElfCoreSource : public MemorySource {
 public:
  ElfCoreSource(std::string path, UniqueFd fd, ElfCore core, MemoryMap map, NoteSegment notes,
                uint64_t page_bytes)
      : path_(std::move(path)),
        fd_(std::move(fd)),
        core_(std::move(core)),
        map_(std::move(map)),
        notes_(std::move(notes)),
        page_bytes_(page_bytes) {}

  SourceKind kind() const override { return SourceKind::kElfCore; }
  const std::string& path() const override { return path_; }
  uint16_t machine() const override { return core_.machine; }
  uint64_t page_bytes() const override { return page_bytes_; }
  const MemoryMap& map() const override { return map_; }
  const NoteSegment& notes() const override { return notes_; }

  Result<NoteSegment> VendorNotes() const override {
    const ProgramHeader* header = core_.Find(kVendorSegmentType);
    if (header == nullptr) return NoteSegment();
    return NoteSegment::Read(
        [this](uint64_t offset, std::span<std::byte> out) {
          return PreadUpTo(fd_.get(), out, offset);
        },
        *header);
  }

  Result<std::unique_ptr<SourceReader>> NewReader() const override {
    return std::unique_ptr<SourceReader>(new ElfCoreReader(&map_, fd_.get(), page_bytes_));
  }

 private:
  std::string path_;
  UniqueFd fd_;
  ElfCore core_;
  MemoryMap map_;
  NoteSegment notes_;
  uint64_t page_bytes_;
};

}  // namespace

Result<std::unique_ptr<MemorySource>> OpenElfCore(const std::string& path) {
  KCD_ASSIGN(UniqueFd fd, OpenForReading(path));
  const ReadAtFunction read_at = [&](uint64_t offset, std::span<std::byte> out) {
    return PreadUpTo(fd.get(), out, offset);
  };
  auto core = ReadElfCore(read_at);
  if (!core.ok()) return std::move(core.error()).WithContext(path);
  NoteSegment notes;
  if (const ProgramHeader* header = core.value().Find(PT_NOTE)) {
    auto bytes = NoteSegment::Read(read_at, *header);
    if (!bytes.ok()) return std::move(bytes.error()).WithContext(path);
    notes = std::move(bytes.value());
  }
  const uint64_t page_bytes = PageBytesFromNotes(notes);
  auto map = MemoryMap::Build(core.value(), MemoryMap::Dialect::kDump, page_bytes);
  if (!map.ok()) return std::move(map.error()).WithContext(path);
  return std::unique_ptr<MemorySource>(
      new ElfCoreSource(path, std::move(fd), std::move(core.value()), std::move(map.value()),
                        std::move(notes), page_bytes));
}

}  // namespace kcoredump
