// SPDX-License-Identifier: MIT
//
// A memory source that does what a script says, page by page.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "source/memory_source.h"
#include "support/elf_builder.h"
#include "support/test_bytes.h"

namespace kcoredump::test {

/// One call of ReadUpTo as it was made.
struct ReadCall {
  Location at;
  size_t bytes = 0;
};

/// What all readers of a fake source share. Set up before the first read; locked inside.
struct FakeScript {
  /// A call that touches the page fails with the front errno, which is then used up. As kcore does,
  /// the whole call fails, though it wrote some bytes (of 0xee) before.
  std::map<uint64_t, std::deque<int>> failures;
  /// A call that touches the page fails with this errno, always.
  std::map<uint64_t, int> failing_for_ever;
  std::map<uint64_t, PageLabel> labels;
  /// Labels that come true only after so many looks at the labels: a page that goes offline
  /// meanwhile.
  std::map<uint64_t, PageLabel> late_labels;
  unsigned looks_before_late = 0;
  bool live = false;                      ///< labels may change
  std::map<uint64_t, PageClass> classes;  ///< what pages are used for, when asked
  /// From the second time on that classes are asked for.
  std::map<uint64_t, PageClass> later_classes;
  unsigned asked_for_classes = 0;
  unsigned looks = 0;
  std::map<uint64_t, PageKind> kinds;  ///< all others: kKernel
  std::set<uint64_t> zero_pages;
  /// Reads that touch the page do not return before Release.
  std::set<uint64_t> blocking;
  size_t most_bytes_a_call = ~size_t{0};  ///< short reads
  unsigned interruptions = 0;             ///< calls that give EINTR first
  bool interrupted_for_ever = false;
  uint64_t end = ~uint64_t{0};  ///< addresses from here on: the end of the source
  int64_t lie = 0;              ///< added to every count: a source that is wrong
  bool no_memory = false;       ///< reads throw std::bad_alloc
  uint64_t moves_a_read = 0;
  std::vector<ReadCall> calls;

  std::mutex mutex;
  std::condition_variable released;
  bool open_gate = false;
  unsigned blocked = 0;

  void Release();
  /// Calls that began at this address.
  [[nodiscard]] size_t CallsAt(uint64_t address);
};

class FakeReader : public SourceReader {
 public:
  FakeReader(const MemoryMap* map, std::shared_ptr<FakeScript> script)
      : map_(map), script_(std::move(script)) {}

  int64_t ReadUpTo(Location at, std::span<std::byte> out) override;
  void Label(PhysAddr first, std::span<PageLabel> labels) override;
  std::optional<PhysAddr> ToPhysical(Location at) const override { return map_->ToPhysical(at); }
  uint64_t moves() const override { return moves_; }
  bool labels_may_change() const override { return script_->live; }
  bool Classify(PhysAddr first, std::span<PageClass> classes) override;
  bool TellKinds(PhysAddr first, std::span<PageKind> kinds) override;

 private:
  [[nodiscard]] int ScriptedFailure(Location at, size_t bytes);

  const MemoryMap* map_;
  std::shared_ptr<FakeScript> script_;
  uint64_t moves_ = 0;
};

class FakeSource : public MemorySource {
 public:
  /// `elf`: what ElfBuilder built; only its headers and notes count.
  explicit FakeSource(const Bytes& elf, MemoryMap::Dialect dialect = MemoryMap::Dialect::kDump);

  SourceKind kind() const override { return as_kind; }
  bool labels_known() const override { return knows_labels; }
  const std::string& path() const override { return path_; }
  uint16_t machine() const override { return core_.machine; }
  uint64_t page_bytes() const override { return kPage; }
  const MemoryMap& map() const override { return *map_; }
  const NoteSegment& notes() const override { return notes_; }
  Result<NoteSegment> VendorNotes() const override { return NoteSegment::Copy(vendor_notes); }
  Result<std::unique_ptr<SourceReader>> NewReader() const override;

  [[nodiscard]] FakeScript& script() { return *script_; }
  [[nodiscard]] const std::shared_ptr<FakeScript>& shared_script() const { return script_; }
  /// So many calls of NewReader fail.
  mutable std::atomic<unsigned> readers_to_refuse{0};
  static constexpr unsigned kAllReaders = ~0U;
  Bytes vendor_notes;
  SourceKind as_kind = SourceKind::kElfCore;
  bool knows_labels = true;

 private:
  std::string path_ = "fake";
  ElfCore core_;
  std::optional<MemoryMap> map_;
  NoteSegment notes_;
  std::shared_ptr<FakeScript> script_ = std::make_shared<FakeScript>();
};

/// RAM of `pages` pages from physical 0x10000 on, and nothing else.
[[nodiscard]] std::shared_ptr<FakeSource> FlatSource(uint64_t pages);
inline constexpr uint64_t kFlatStart = 0x10000;

/// ReadElfCore over bytes.
[[nodiscard]] Result<ElfCore> ParseElf(const Bytes& bytes);

}  // namespace kcoredump::test
