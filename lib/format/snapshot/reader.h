// SPDX-License-Identifier: MIT
//
// Reading a snapshot back: where its frames are, its trailer, and itself as a memory source.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/hash256.h"
#include "base/unique_fd.h"
#include "format/snapshot/format.h"
#include "source/memory_source.h"

namespace kcoredump {

/// A data frame: where it stands in the file and what it holds.
struct FrameSpan {
  uint64_t file_offset = 0;
  uint64_t plain_offset = 0;
  uint32_t compressed_bytes = 0;
  uint32_t content_bytes = 0;
};

/// Whether a file that starts so may be a snapshot.
[[nodiscard]] bool LooksLikeSnapshot(std::span<const std::byte> head);

/// The frames of a snapshot file. Immutable; any thread may call any method.
class SnapshotFile {
 public:
  /// By seek table and trailer; where those are missing or damaged, by walking the frames, as far
  /// as they are whole. An incremental one opens its base, too, and the base's, which must be the
  /// very ones. kUnsupported: not a zstd file, or one without frames of known size.
  [[nodiscard]] static Result<std::shared_ptr<const SnapshotFile>> Open(const std::string& path);

  /// As Open, but without bases: frames that one has are damaged.
  [[nodiscard]] static Result<std::shared_ptr<const SnapshotFile>> OpenAlone(
      const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::vector<FrameSpan>& frames() const { return frames_; }
  [[nodiscard]] uint64_t plain_bytes() const;
  [[nodiscard]] uint64_t file_bytes() const { return file_bytes_; }
  /// Nothing: there is none, or it is damaged; damage() says.
  [[nodiscard]] const std::optional<Trailer>& trailer() const { return trailer_; }
  /// What is wrong with the file's structure, in the order of the file; empty: nothing.
  [[nodiscard]] const std::vector<std::string>& damage() const { return damage_; }
  /// Why it is not complete, in a line; empty when it is.
  [[nodiscard]] std::string IncompleteReason() const;
  /// True only with a trailer that says so and a structure without damage.
  [[nodiscard]] bool complete() const;
  /// For pread, which any number of threads may use on it.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// The frame that holds `plain_offset`; nullptr: past the end.
  [[nodiscard]] const FrameSpan* FrameAt(uint64_t plain_offset) const;
  /// The checksum that the seek table gives frame `index`; nothing without a seek table.
  [[nodiscard]] std::optional<uint32_t> TableChecksum(size_t index) const;
  /// What an incremental snapshot says of its base.
  [[nodiscard]] const std::optional<BaseLink>& link() const { return link_; }
  /// Of an incremental snapshot that was not opened alone; else nullptr.
  [[nodiscard]] const std::shared_ptr<const SnapshotFile>& base() const { return base_; }
  /// The base, its base and so on.
  [[nodiscard]] size_t CountBases() const;
  /// SHA-256 of the trailer's payload, which knows every frame. kCorrupt: there is no trailer.
  [[nodiscard]] Result<Hash256> Identity() const;
  /// Whether it would be lost with the file at `path`: that is it, or its base, or the base's.
  [[nodiscard]] bool IsMadeOf(const std::string& path) const;

 private:
  /// Those that were opened for the one at hand: no base may be made from itself.
  using FileIds = std::vector<std::pair<uint64_t, uint64_t>>;  // device, inode

  [[nodiscard]] Status CountAsOpened(FileIds& opened) const;
  [[nodiscard]] static Result<std::shared_ptr<SnapshotFile>> OpenItself(const std::string& path);
  SnapshotFile(std::string path, UniqueFd fd, uint64_t file_bytes)
      : path_(std::move(path)), fd_(std::move(fd)), file_bytes_(file_bytes) {}
  [[nodiscard]] Status LoadSeekTable();
  [[nodiscard]] Result<std::vector<SeekEntry>> LoadEntries(uint64_t table_offset, uint32_t count);
  [[nodiscard]] Result<uint64_t> LoadTrailer(std::span<const SeekEntry> entries);
  [[nodiscard]] Status WalkFrames();
  [[nodiscard]] uint64_t DataEnd() const;
  [[nodiscard]] Status CheckFirstFrame() const;
  [[nodiscard]] Status LoadBaseLink();
  [[nodiscard]] Status OpenBase(FileIds& opened);
  [[nodiscard]] Result<std::string> FindBase() const;
  void ForgetAllButFrames();

  std::string path_;
  UniqueFd fd_;
  uint64_t file_bytes_;
  std::vector<FrameSpan> frames_;
  std::vector<uint32_t> checksums_;  ///< of the seek table, a frame each
  std::optional<Trailer> trailer_;
  uint64_t trailer_offset_ = 0;  ///< of its payload
  uint64_t trailer_bytes_ = 0;
  std::vector<std::string> damage_;
  uint64_t data_offset_ = 0;  ///< of the first data frame
  std::optional<BaseLink> link_;
  std::shared_ptr<const SnapshotFile> base_;
};

/// A snapshot as a memory source: holes keep their labels.
class SnapshotSource : public MemorySource {
 public:
  [[nodiscard]] static Result<std::unique_ptr<MemorySource>> Open(const std::string& path);
  [[nodiscard]] static Result<std::unique_ptr<SnapshotSource>> FromFile(
      std::shared_ptr<const SnapshotFile> file);

  SourceKind kind() const override { return SourceKind::kSnapshot; }
  const std::string& path() const override { return file_->path(); }
  uint16_t machine() const override { return core_.machine; }
  uint64_t page_bytes() const override { return page_bytes_; }
  const MemoryMap& map() const override { return map_; }
  const NoteSegment& notes() const override { return notes_; }
  std::vector<std::string> Caveats() const override;
  bool labels_known() const override;
  bool outcomes_known() const override;
  std::string IncompleteReason() const override { return file_->IncompleteReason(); }
  Result<NoteSegment> VendorNotes() const override;
  ImageFacts Facts() const override;
  std::optional<CaptureTimes> Times() const override;
  uint32_t MillisecondsAt(PhysAddr phys) const override;
  std::vector<Range> PresentRanges() const override;
  Range BlockAround(PhysAddr phys) const override;
  uint64_t reader_bytes() const override;
  Result<std::unique_ptr<SourceReader>> NewReader() const override;

  [[nodiscard]] const SnapshotFile& file() const { return *file_; }
  [[nodiscard]] const ElfCore& core() const { return core_; }
  /// Accounting: the trailer's, or for a torn file what can be told without one.
  std::optional<PageCounts> Counts() const override;

  SnapshotSource(std::shared_ptr<const SnapshotFile> file, ElfCore core, MemoryMap map,
                 NoteSegment notes, uint64_t page_bytes);

 private:
  std::shared_ptr<const SnapshotFile> file_;
  ElfCore core_;
  MemoryMap map_;
  NoteSegment notes_;
  uint64_t page_bytes_;
};

}  // namespace kcoredump
