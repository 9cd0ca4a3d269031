// SPDX-License-Identifier: MIT
#include "inspect/search/search_pieces.h"

#include <algorithm>

#include "base/try.h"
#include "source/range_reader.h"
#include "space/kernel_space.h"
#include "space/physical_space.h"

namespace kcoredump {

namespace {

class PhysicalPieces : public PieceReader {
 public:
  PhysicalPieces(std::unique_ptr<RangeReader> reader, uint64_t page_bytes)
      : reader_(std::move(reader)), page_bytes_(page_bytes) {}

  Status Read(uint64_t address, std::span<std::byte> out,
              std::vector<MissingRange>& missing) override {
    report_.Clear();
    KCD_TRY(reader_->Read(PhysAddr{address}, out, report_));
    const uint64_t end = address + out.size();
    for (const PageRun& run : report_.runs) {
      if (!IsHole(run.outcome)) continue;
      const uint64_t first = run.first.address;
      const Range hole{std::max(first, address), std::min(first + run.pages * page_bytes_, end)};
      if (!hole.empty()) missing.push_back({.range = hole});
    }
    return {};
  }

 private:
  std::unique_ptr<RangeReader> reader_;
  uint64_t page_bytes_;
  ReadReport report_;
};

class ViewPieces : public PieceReader {
 public:
  ViewPieces(std::shared_ptr<MemoryView> view, uint64_t page_bytes, MappingLookup mapping)
      : view_(std::move(view)), page_bytes_(page_bytes), mapping_(std::move(mapping)) {}

  Status Read(uint64_t address, std::span<std::byte> out,
              std::vector<MissingRange>& missing) override {
    while (!out.empty()) {
      const AlikeRange mapping = mapping_(address);
      const auto bytes = static_cast<size_t>(std::clamp<uint64_t>(mapping.bytes, 1, out.size()));
      if (mapping.state == MappingState::kUnmapped || mapping.state == MappingState::kUnreadable) {
        Add({address, address + bytes}, mapping.state == MappingState::kUnmapped, missing);
      } else if (!view_->Read(address, out.first(bytes)).ok()) {
        ReadPages(address, out.first(bytes), mapping.state == MappingState::kUnknown, missing);
      }
      address += bytes;
      out = out.subspan(bytes);
    }
    return {};
  }

 private:
  /// As far as can be told, what fails where nothing is known of mappings is not mapped.
  void ReadPages(uint64_t address, std::span<std::byte> out, bool unmapped,
                 std::vector<MissingRange>& missing) {
    while (!out.empty()) {
      const uint64_t end = NextBoundary(address, page_bytes_, address + out.size());
      if (!view_->Read(address, out.first(end - address)).ok()) {
        Add({address, end}, unmapped, missing);
      }
      out = out.subspan(end - address);
      address = end;
    }
  }

  static void Add(const Range& range, bool unmapped, std::vector<MissingRange>& missing) {
    if (!missing.empty() && missing.back().range.end == range.begin &&
        missing.back().unmapped == unmapped) {
      missing.back().range.end = range.end;
    } else {
      missing.push_back({.range = range, .unmapped = unmapped});
    }
  }

  std::shared_ptr<MemoryView> view_;
  uint64_t page_bytes_;
  MappingLookup mapping_;
};

/// What one thread needs to read virtual addresses: the kernel's or, through the same physical
/// memory, a process's.
class OwnSpaces : public MemoryView {
 public:
  OwnSpaces(const MemorySource& source, const KernelFacts& facts,
            std::unique_ptr<PhysicalSpace> physical)
      : source_(source), physical_(std::move(physical)), kernel_(source, facts, *physical_) {
    if (facts.arch == nullptr) return;
    const auto paging = facts.arch->PagingOf(facts.vmcoreinfo);
    if (paging.ok()) levels_ = paging.value().levels;
  }

  [[nodiscard]] Status UseProcess(PhysAddr root) {
    KCD_ASSIGN(process_, kernel_.WithRoot(root));
    return {};
  }

  Status Read(uint64_t address, std::span<std::byte> out) override {
    return process_ != nullptr ? process_->Read(address, out) : kernel_.Read(address, out);
  }

  [[nodiscard]] AlikeRange MappingAt(uint64_t address) {
    const uint64_t page = source_.page_bytes();
    const VirtAddr at{address};
    if (process_ == nullptr) {
      const auto extent = source_.map().ToPhysical(at) ? source_.map().Find(at) : std::nullopt;
      if (extent) return {MappingState::kMapped, extent->bytes};
      if (!kernel_.paging_missing().empty()) return {MappingState::kUnknown, page};
    }
    const auto walk = process_ != nullptr ? process_->Walk(at) : kernel_.Walk(at);
    if (!walk.ok()) return {MappingState::kUnreadable, LeftOf(address, page)};
    if (walk.value().phys) {
      return {MappingState::kMapped, LeftOf(address, walk.value().page_bytes)};
    }
    const size_t level = walk.value().steps.size();
    const bool known = level != 0 && level <= levels_.size();
    return {MappingState::kUnmapped,
            LeftOf(address, known ? levels_[level - 1].page_bytes() : page)};
  }

 private:
  [[nodiscard]] static uint64_t LeftOf(uint64_t address, uint64_t unit) {
    return unit - (address & (unit - 1));
  }

  const MemorySource& source_;
  std::unique_ptr<PhysicalSpace> physical_;
  KernelSpace kernel_;
  std::unique_ptr<PagedSpace> process_;
  std::vector<PagingLevel> levels_;
};

}  // namespace

Result<std::unique_ptr<PieceReader>> MakePhysicalPieces(const MemorySource& source) {
  KCD_ASSIGN(auto reader, RangeReader::Create(source, {}));
  return std::unique_ptr<PieceReader>(
      std::make_unique<PhysicalPieces>(std::move(reader), source.page_bytes()));
}

std::unique_ptr<PieceReader> MakeViewPieces(std::shared_ptr<MemoryView> view, uint64_t page_bytes,
                                            MappingLookup mapping) {
  return std::make_unique<ViewPieces>(std::move(view), page_bytes, std::move(mapping));
}

Result<std::unique_ptr<PieceReader>> MakeVirtualPieces(const MemorySource& source,
                                                       const KernelFacts& facts,
                                                       std::optional<PhysAddr> process_root) {
  // Page tables are read again and again, the rest once.
  static constexpr size_t kCacheBytes = 4 << 20;
  KCD_ASSIGN(auto physical,
             PhysicalSpace::Create(source, std::make_shared<PageCache>(kCacheBytes)));
  auto spaces = std::make_shared<OwnSpaces>(source, facts, std::move(physical));
  if (process_root) KCD_TRY(spaces->UseProcess(*process_root));
  return MakeViewPieces(spaces, source.page_bytes(),
                        [spaces](uint64_t address) { return spaces->MappingAt(address); });
}

}  // namespace kcoredump
