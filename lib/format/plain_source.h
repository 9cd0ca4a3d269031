// SPDX-License-Identifier: MIT
//
// Images whose memory stands in the file as it is: ELF cores, LiME, raw.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/input_file.h"
#include "source/memory_source.h"

namespace kcoredump {

/// What a PlainSource is made of.
struct PlainImage {
  SourceKind kind = SourceKind::kDump;
  InputFile file;
  uint16_t machine = 0;
  uint64_t page_bytes = kDefaultPageBytes;
  std::optional<MemoryMap> map;
  NoteSegment notes;
  /// The segment of KCOREDUMP notes.
  std::optional<ProgramHeader> vendor;
  /// What pages are that a segment has beyond its file_bytes.
  PageOutcome left_out = PageOutcome::kExcluded;
  /// Holes among those that are in the file: by address, free of overlap.
  std::vector<PageRun> holes;
  std::vector<std::string> caveats;
  bool outcomes_known = true;  ///< as MemorySource's
  std::string incomplete_reason;
  ImageFacts facts;
};

class PlainSource : public MemorySource {
 public:
  /// `image.map` is there.
  explicit PlainSource(PlainImage image) : image_(std::move(image)) {}

  SourceKind kind() const override { return image_.kind; }
  const std::string& path() const override { return image_.file.path; }
  uint16_t machine() const override { return image_.machine; }
  uint64_t page_bytes() const override { return image_.page_bytes; }
  const MemoryMap& map() const override { return *image_.map; }
  const NoteSegment& notes() const override { return image_.notes; }
  std::vector<std::string> Caveats() const override { return image_.caveats; }
  bool outcomes_known() const override { return image_.outcomes_known; }
  std::string IncompleteReason() const override { return image_.incomplete_reason; }
  ImageFacts Facts() const override { return image_.facts; }
  /// Pages that the file is too short for are unreadable.
  std::optional<PageCounts> Counts() const override;
  std::vector<Range> PresentRanges() const override;
  Result<NoteSegment> VendorNotes() const override;
  Result<std::unique_ptr<SourceReader>> NewReader() const override;

 private:
  PlainImage image_;
};

/// Gives the labels of `runs`, sorted and free of overlap, to the pages from `first` on that they
/// call holes.
void LabelHoles(const std::vector<PageRun>& runs, PhysAddr first, uint64_t page_bytes,
                std::span<PageLabel> labels);

}  // namespace kcoredump
