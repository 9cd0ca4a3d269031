// SPDX-License-Identifier: MIT
//
// Where bytes come from. A live kernel, a snapshot and an ELF core look the same from above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kcoredump/address.h"
#include "kcoredump/memory.h"
#include "kcoredump/page_class.h"
#include "kcoredump/result.h"
#include "source/memory_map.h"

namespace kcoredump {

/// What is known of a page before it is read. Labelled pages are never read.
struct PageLabel {
  PageOutcome outcome = PageOutcome::kDirect;  ///< kDirect: nothing, read it
  int system_errno = 0;
  PageClass page_class = PageClass::kNone;  ///< of kExcluded, where it is known

  bool operator==(const PageLabel&) const = default;
};

/// One thread's way into a source. Not for use by two threads.
class SourceReader {
 public:
  virtual ~SourceReader() = default;

  /// Reads up to `out.size()` bytes from `at`. Returns how many; 0: the source ends here; −errno:
  /// none are valid, whatever was written. May read short anywhere.
  [[nodiscard]] virtual int64_t ReadUpTo(Location at, std::span<std::byte> out) = 0;

  /// Says of `labels.size()` pages from `first`, a page's address, which must not be read, or of
  /// which that cannot be told.
  virtual void Label(PhysAddr first, std::span<PageLabel> labels) = 0;

  /// True for a live kernel: a page may go offline or turn bad while it is read, so its label is
  /// asked for on both sides of the read.
  [[nodiscard]] virtual bool labels_may_change() const { return false; }

  /// What a live kernel uses pages from `first` on for. False: this source does not say.
  [[nodiscard]] virtual bool Classify(PhysAddr /*first*/, std::span<PageClass> /*classes*/) {
    return false;
  }

  /// As Classify, finer.
  [[nodiscard]] virtual bool TellKinds(PhysAddr /*first*/, std::span<PageKind> /*kinds*/) {
    return false;
  }

  /// Where `at` is in physical memory, if that can be told.
  [[nodiscard]] virtual std::optional<PhysAddr> ToPhysical(Location at) const = 0;

  /// How often the layout moved under this reader, each time with a batch read again.
  [[nodiscard]] virtual uint64_t moves() const { return 0; }
};

enum class SourceKind : uint8_t {
  kLive,
  kSnapshot,
  kElfCore,
  kDump,  ///< any other file: kdump, LiME, AVML, raw
};

/// Of a capture, in nanoseconds since 1970.
struct CaptureTimes {
  uint64_t started_utc_ns = 0;
  uint64_t ended_utc_ns = 0;
};

/// What a file's format tells of itself and not of the memory.
struct ImageFacts {
  std::string format;  ///< as the registry names it; what is inside, for a flattened file
  std::optional<uint32_t> version;
  std::vector<std::string> compression;  ///< "zlib", …; of the pages
  std::vector<std::string> flags;        ///< what the header says besides
  std::optional<uint32_t> dump_level;    ///< makedumpfile's -d
  std::vector<std::string> files;        ///< the parts of a split set that were found
  uint64_t file_bytes = 0;               ///< of all of them
};

/// Immutable once made; any thread may call any method.
class MemorySource {
 public:
  virtual ~MemorySource() = default;

  [[nodiscard]] virtual SourceKind kind() const = 0;
  [[nodiscard]] virtual const std::string& path() const = 0;
  [[nodiscard]] virtual uint16_t machine() const = 0;
  [[nodiscard]] virtual uint64_t page_bytes() const = 0;
  [[nodiscard]] virtual const MemoryMap& map() const = 0;
  /// The PT_NOTE segment as it stands, VMCOREINFO among its notes.
  [[nodiscard]] virtual const NoteSegment& notes() const = 0;
  /// As Memory::Caveats.
  [[nodiscard]] virtual std::vector<std::string> Caveats() const { return {}; }
  /// Whether holes are told from zeros, as far as the source is at fault; Caveats says where not.
  [[nodiscard]] virtual bool outcomes_known() const { return true; }
  /// Whether the live kernel told poisoned, offline and ballooned pages apart; Caveats likewise.
  [[nodiscard]] virtual bool labels_known() const { return true; }
  /// Why not all memory that the headers promise is there; empty: it is, as far as can be told.
  [[nodiscard]] virtual std::string IncompleteReason() const { return {}; }
  [[nodiscard]] virtual ImageFacts Facts() const { return {}; }
  /// What the image says of its pages, none of which is read for it; what is there counts as
  /// direct. Nothing: a live kernel's image says nothing.
  [[nodiscard]] virtual std::optional<PageCounts> Counts() const { return std::nullopt; }
  /// When its memory was read; nothing: it does not say.
  [[nodiscard]] virtual std::optional<CaptureTimes> Times() const { return std::nullopt; }
  /// When the memory at `phys` was read, in milliseconds since the start in Times().
  [[nodiscard]] virtual uint32_t MillisecondsAt(PhysAddr /*phys*/) const { return 0; }
  /// NUMBER(phys_base) of x86, where the format has it in its header. VMCOREINFO has it only since
  /// 4.10 (401721ecd1dc).
  [[nodiscard]] virtual std::optional<uint64_t> PhysBase() const { return std::nullopt; }
  /// The bytes of a snapshot's own notes (also in its unpacked form), read anew at each call;
  /// empty: there are none.
  [[nodiscard]] virtual Result<NoteSegment> VendorNotes() const { return NoteSegment(); }
  /// Physical ranges of which the file has pages, by its structure: what is worth reading. A forged
  /// header may speak of much more.
  [[nodiscard]] virtual std::vector<Range> PresentRanges() const { return map().RamRanges(); }
  /// The whole pages around `phys` that cost one read together: what a cache keeps as one block.
  /// The same for every address inside. Empty: no RAM there.
  [[nodiscard]] virtual Range BlockAround(PhysAddr phys) const;
  /// Memory that one reader takes, beyond some pages.
  [[nodiscard]] virtual uint64_t reader_bytes() const { return 0; }
  /// The source must outlive its readers.
  [[nodiscard]] virtual Result<std::unique_ptr<SourceReader>> NewReader() const = 0;
};

/// The text of the VMCOREINFO note; empty: there is none.
[[nodiscard]] std::string VmcoreinfoText(const MemorySource& source);

/// The page sizes of x86_64 and arm64 kernels: 4, 16 and 64 KiB.
[[nodiscard]] bool IsPageSize(uint64_t bytes);

/// The page size that VMCOREINFO names; kDefaultPageBytes where it says none or nonsense.
inline constexpr uint64_t kDefaultPageBytes = 4096;
[[nodiscard]] uint64_t PageBytesFromNotes(const NoteSegment& notes);

}  // namespace kcoredump
