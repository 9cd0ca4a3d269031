// SPDX-License-Identifier: MIT
#include "serve/mount_image.h"

#include <algorithm>
#include <cstring>

#include "base/try.h"
#include "capture/capture_plan.h"
#include "format/kdump/head.h"
#include "format/lime/format.h"
#include "kcoredump/capture.h"

namespace kcoredump {

namespace {

using PieceKind = ImagePiece::Kind;

/// Copies what of `from`, whose first byte stands at `from_offset`, belongs into `out`, whose first
/// byte stands at `offset`.
void CopyOverlap(uint64_t from_offset, std::span<const std::byte> from, uint64_t offset,
                 std::span<std::byte> out) {
  const uint64_t begin = std::max(from_offset, offset);
  const uint64_t end = std::min(from_offset + from.size(), offset + out.size());
  if (begin >= end) return;
  std::memcpy(out.data() + (begin - offset), from.data() + (begin - from_offset), end - begin);
}

/// Memory at `phys`, or zeros where it is not held; at most `limit` bytes.
ImagePiece MemoryPiece(const HeldPages& held, uint64_t phys, uint64_t limit) {
  const HeldPages::Stretch stretch = held.At(phys);
  return {.kind = stretch.held ? PieceKind::kMemory : PieceKind::kZeros,
          .bytes = std::min(stretch.bytes, limit),
          .phys = PhysAddr{phys}};
}

class ElfImage : public VirtualImage {
 public:
  ElfImage(CapturePlan plan, const HeldPages& held) : plan_(std::move(plan)), held_(held) {}

  uint64_t bytes() const override { return plan_.plain_bytes(); }
  uint64_t data_bytes() const override {
    return plan_.plain_bytes() - plan_.MemoryBytesIn(plan_.plain_bytes()) + held_.bytes();
  }

  ImagePiece At(uint64_t offset) const override {
    const Region& region = RegionAt(offset);
    const uint64_t inside = offset - region.plain_offset;
    const uint64_t left = region.bytes - inside;
    if (!region.is_memory) return {.kind = PieceKind::kBytes, .bytes = left, .phys = {}};
    return MemoryPiece(held_, region.phys.value + inside, left);
  }

  void Fill(uint64_t offset, std::span<std::byte> out) const override {
    const Region& region = RegionAt(offset);
    CopyOverlap(region.plain_offset, region.literal, offset, out);
  }

 private:
  [[nodiscard]] const Region& RegionAt(uint64_t offset) const {
    const auto& regions = plan_.regions();
    return *std::prev(std::upper_bound(
        regions.begin(), regions.end(), offset,
        [](uint64_t at, const Region& region) { return at < region.plain_offset; }));
  }

  CapturePlan plan_;
  const HeldPages& held_;
};

class RawImage : public VirtualImage {
 public:
  RawImage(const MemorySource& source, const HeldPages& held)
      : bytes_(source.map().ram().back().PhysRange().end), held_(held) {}

  uint64_t bytes() const override { return bytes_; }
  uint64_t data_bytes() const override { return held_.bytes(); }
  ImagePiece At(uint64_t offset) const override {
    return MemoryPiece(held_, offset, bytes_ - offset);
  }
  void Fill(uint64_t /*offset*/, std::span<std::byte> /*out*/) const override {}

 private:
  uint64_t bytes_;
  const HeldPages& held_;
};

class LimeImage : public VirtualImage {
 public:
  explicit LimeImage(const HeldPages& held) : held_(held) {}

  uint64_t bytes() const override { return held_.bytes() + held_.runs().size() * kHeaderBytes; }
  uint64_t data_bytes() const override { return bytes(); }

  ImagePiece At(uint64_t offset) const override {
    const size_t run = RunAt(offset);
    const uint64_t inside = offset - OffsetOf(run);
    if (inside < kHeaderBytes) {
      return {.kind = PieceKind::kBytes, .bytes = kHeaderBytes - inside, .phys = {}};
    }
    const Range& phys = held_.runs()[run].phys;
    const uint64_t at = phys.begin + (inside - kHeaderBytes);
    return {.kind = PieceKind::kMemory, .bytes = phys.end - at, .phys = PhysAddr{at}};
  }

  void Fill(uint64_t offset, std::span<std::byte> out) const override {
    const size_t run = RunAt(offset);
    const MemoryRangeHeader header =
        MakeRangeHeader(kLimeMagic, kLimeVersion, held_.runs()[run].phys);
    CopyOverlap(OffsetOf(run), std::as_bytes(std::span(&header, 1)), offset, out);
  }

 private:
  static constexpr uint64_t kHeaderBytes = sizeof(MemoryRangeHeader);

  /// Of the run's header.
  [[nodiscard]] uint64_t OffsetOf(size_t run) const {
    return held_.runs()[run].before + run * kHeaderBytes;
  }
  [[nodiscard]] size_t RunAt(uint64_t offset) const {
    size_t low = 0;
    size_t high = held_.runs().size();
    while (high - low > 1) {
      const size_t middle = low + (high - low) / 2;
      (OffsetOf(middle) <= offset ? low : high) = middle;
    }
    return low;
  }

  const HeldPages& held_;
};

/// Sets the bits of pages `first` to `end` in a bitmap of which `out` is what follows byte `start`.
void SetBits(uint64_t first, uint64_t end, uint64_t start, std::span<std::byte> out) {
  first = std::max(first, start * 8);
  end = std::min(end, (start + out.size()) * 8);
  while (first < end) {
    const uint64_t byte = first / 8 - start;
    if (first % 8 == 0 && end - first >= 8) {
      const uint64_t count = (end - first) / 8;
      std::memset(out.data() + byte, 0xff, count);
      first += count * 8;
    } else {
      out[byte] |= std::byte{1} << (first % 8);
      ++first;
    }
  }
}

class KdumpImage : public VirtualImage {
 public:
  KdumpImage(const MemorySource& source, const HeldPages& held, uint64_t started_utc_ns)
      : head_(source, 0), ram_(source.map().RamRanges()), held_(held) {
    const KdumpMainHeader main = head_.MainHeader(0, started_utc_ns);
    head_bytes_.resize(head_.page_bytes());
    std::memcpy(head_bytes_.data(), &main, sizeof(main));
    head_bytes_.insert(head_bytes_.end(), head_.sub_header().begin(), head_.sub_header().end());
  }

  uint64_t bytes() const override { return head_.pages() + held_.bytes(); }
  uint64_t data_bytes() const override { return DescriptorsEnd() + held_.bytes(); }

  ImagePiece At(uint64_t offset) const override {
    if (offset < DescriptorsEnd()) {
      return {.kind = PieceKind::kBytes, .bytes = SectionEnd(offset) - offset, .phys = {}};
    }
    if (offset < head_.pages()) {
      return {.kind = PieceKind::kZeros, .bytes = head_.pages() - offset, .phys = {}};
    }
    const uint64_t rank_bytes = offset - head_.pages();
    const auto after =
        std::upper_bound(held_.runs().begin(), held_.runs().end(), rank_bytes,
                         [](uint64_t at, const HeldPages::Run& run) { return at < run.before; });
    const HeldPages::Run& run = *std::prev(after);
    const uint64_t phys = run.phys.begin + (rank_bytes - run.before);
    return {.kind = PieceKind::kMemory, .bytes = run.phys.end - phys, .phys = PhysAddr{phys}};
  }

  void Fill(uint64_t offset, std::span<std::byte> out) const override {
    if (offset < head_.memory_bitmap()) return CopyOverlap(0, head_bytes_, offset, out);
    if (offset >= head_.descriptors()) return FillDescriptors(offset, out);
    std::memset(out.data(), 0, out.size());
    if (offset < head_.dumped_bitmap()) {
      const uint64_t start = offset - head_.memory_bitmap();
      for (const Range& range : ram_) SetPages(range, start, out);
    } else {
      FillDumped(offset - head_.dumped_bitmap(), out);
    }
  }

 private:
  [[nodiscard]] uint64_t DescriptorsEnd() const {
    return head_.descriptors() + held_.bytes() / head_.page_bytes() * sizeof(PageDescriptor);
  }

  [[nodiscard]] uint64_t SectionEnd(uint64_t offset) const {
    for (const uint64_t end : {head_.memory_bitmap(), head_.dumped_bitmap(), head_.descriptors()}) {
      if (offset < end) return end;
    }
    return DescriptorsEnd();
  }

  void SetPages(const Range& phys, uint64_t start, std::span<std::byte> out) const {
    SetBits(phys.begin / head_.page_bytes(), phys.end / head_.page_bytes(), start, out);
  }

  void FillDumped(uint64_t start, std::span<std::byte> out) const {
    const uint64_t phys = start * 8 * head_.page_bytes();
    auto run = std::partition_point(
        held_.runs().begin(), held_.runs().end(),
        [&](const HeldPages::Run& candidate) { return candidate.phys.end <= phys; });
    const uint64_t end = (start + out.size()) * 8 * head_.page_bytes();
    for (; run != held_.runs().end() && run->phys.begin < end; ++run) {
      SetPages(run->phys, start, out);
    }
  }

  void FillDescriptors(uint64_t offset, std::span<std::byte> out) const {
    const uint64_t first = (offset - head_.descriptors()) / sizeof(PageDescriptor);
    for (uint64_t page = first;; ++page) {
      const uint64_t at = head_.descriptors() + page * sizeof(PageDescriptor);
      if (at >= offset + out.size()) return;
      const PageDescriptor descriptor = {.offset = head_.pages() + page * head_.page_bytes(),
                                         .bytes = static_cast<uint32_t>(head_.page_bytes())};
      CopyOverlap(at, std::as_bytes(std::span(&descriptor, 1)), offset, out);
    }
  }

  KdumpHead head_;
  std::vector<std::byte> head_bytes_;  ///< main and sub header
  std::vector<Range> ram_;
  const HeldPages& held_;
};

}  // namespace

Result<std::unique_ptr<VirtualImage>> MakeElfImage(const MemorySource& source,
                                                   const HeldPages& held,
                                                   std::vector<std::byte> vendor_notes) {
  KCD_ASSIGN(CapturePlan plan,
             CapturePlan::Make(source, ImageShape::kElf, std::move(vendor_notes), kMaxFrameBytes));
  return std::unique_ptr<VirtualImage>(std::make_unique<ElfImage>(std::move(plan), held));
}

std::unique_ptr<VirtualImage> MakeRawImage(const MemorySource& source, const HeldPages& held) {
  return std::make_unique<RawImage>(source, held);
}

std::unique_ptr<VirtualImage> MakeLimeImage(const HeldPages& held) {
  return std::make_unique<LimeImage>(held);
}

std::unique_ptr<VirtualImage> MakeKdumpImage(const MemorySource& source, const HeldPages& held,
                                             uint64_t started_utc_ns) {
  return std::make_unique<KdumpImage>(source, held, started_utc_ns);
}

Result<size_t> ReadImage(const VirtualImage& image, MountMemory& memory, uint64_t offset,
                         std::span<std::byte> out) {
  if (offset >= image.bytes()) return size_t{0};
  out = out.first(std::min<uint64_t>(out.size(), image.bytes() - offset));
  size_t done = 0;
  while (done < out.size()) {
    const ImagePiece piece = image.At(offset + done);
    const auto part = out.subspan(done, std::min<uint64_t>(piece.bytes, out.size() - done));
    if (piece.kind == PieceKind::kBytes) image.Fill(offset + done, part);
    if (piece.kind == PieceKind::kZeros) std::memset(part.data(), 0, part.size());
    if (piece.kind == PieceKind::kMemory) {
      auto count = memory.Read(piece.phys, part);
      if (!count.ok() && done == 0) return count;
      done += count.ok() ? count.value() : 0;
      if (!count.ok() || count.value() < part.size()) return done;
    } else {
      done += part.size();
    }
  }
  return done;
}

}  // namespace kcoredump
