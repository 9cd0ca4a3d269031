// SPDX-License-Identifier: MIT
#include "source/kcore_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "base/zero.h"

namespace kcoredump {

namespace {

/// A layout that never comes to rest must not hold us for ever.
constexpr unsigned kMaxRedone = 8;

/// pagemap: bits 0 to 54 are the PFN, bit 63 says present (Documentation/admin-guide/mm/pagemap).
constexpr uint64_t kPagemapPfnMask = (uint64_t{1} << 55) - 1;
constexpr uint64_t kPagemapPresent = uint64_t{1} << 63;

}  // namespace

KcoreReader::KcoreReader(UniqueFd fd, PageFlagsReader flags, MemoryBlocks blocks,
                         uint64_t page_bytes)
    : fd_(std::move(fd)),
      flags_(std::move(flags)),
      blocks_(std::move(blocks)),
      page_bytes_(page_bytes) {}

Result<std::unique_ptr<KcoreReader>> KcoreReader::Create(UniqueFd fd, PageFlagsReader flags,
                                                         MemoryBlocks blocks, uint64_t page_bytes) {
  std::unique_ptr<KcoreReader> reader(
      new KcoreReader(std::move(fd), std::move(flags), std::move(blocks), page_bytes));
  KCD_TRY(reader->LoadLayout());
  return reader;
}

/// The map is made from the very bytes that later comparisons are held against: either both become
/// the new ones, or neither does.
Status KcoreReader::LoadLayout() {
  std::vector<std::byte> head;
  const ReadAtFunction from_kcore = [&](uint64_t offset, std::span<std::byte> out) {
    return PreadUpTo(fd_.get(), out, offset);
  };
  const ReadAtFunction from_head = [&](uint64_t offset, std::span<std::byte> out) {
    return ReadFromBytes(head, offset, out);
  };
  for (unsigned attempt = 0; attempt < kMaxRedone; ++attempt) {
    KCD_ASSIGN(const ElfCore first_look, ReadElfCore(from_kcore));
    head.resize(first_look.head_bytes);
    KCD_TRY(PreadExactly(fd_.get(), head, 0));
    const auto core = ReadElfCore(from_head);
    if (!core.ok() || core.value().head_bytes != head.size()) continue;  // moved in between
    KCD_ASSIGN(map_, MemoryMap::Build(core.value(), MemoryMap::Dialect::kKcore, page_bytes_));
    head_ = std::move(head);
    scratch_.resize(head_.size());
    return {};
  }
  return MakeError(ErrorCode::kIo, "the headers of kcore do not come to rest");
}

Result<bool> KcoreReader::LayoutMoved() {
  KCD_TRY(PreadExactly(fd_.get(), scratch_, 0));
  return scratch_ != head_;
}

/// The check after one batch stands before the next, so every batch has one on either side.
int64_t KcoreReader::ReadUpTo(Location at, std::span<std::byte> out) {
  for (unsigned attempt = 0; attempt < kMaxRedone; ++attempt) {
    const int64_t count = ReadOnce(at, out);
    const auto moved = LayoutMoved();
    if (!moved.ok()) return -EIO;
    if (!moved.value()) return count;
    ++moves_;
    if (!LoadLayout().ok()) return -EIO;
  }
  return -EAGAIN;
}

int64_t KcoreReader::ReadOnce(Location at, std::span<std::byte> out) {
  const std::optional<Extent> extent = map_->Find(at);
  if (!extent || !extent->in_file) return -ENXIO;
  uint64_t bytes = std::min<uint64_t>(out.size(), extent->bytes);
  if (!map_->ToPhysical(at)) {
    // vmalloc, modules, vmemmap: a hole there shows the page this descriptor read before (6.1), so
    // that page is made one of zeros, for each page anew.
    bytes = std::min(bytes, page_bytes_ - (at.address & (page_bytes_ - 1)));
    if (const int failure = ClearKernelBounce(); failure != 0) return -failure;
  }
  const ssize_t count = pread(fd_.get(), out.data(), bytes, static_cast<off_t>(extent->offset));
  return count < 0 ? -errno : count;
}

/// Reads a page of zeros of our own through the descriptor. 0 or an errno.
int KcoreReader::ClearKernelBounce() {
  if (!zeros_) {
    auto buffer = LockedBuffer::Create(2 * page_bytes_);
    if (!buffer.ok()) return ENOMEM;
    zeros_ = std::move(buffer.value());
  }
  const std::span<std::byte> seen = zeros_->bytes().subspan(page_bytes_);
  // The page may be moved to another frame between looking it up and reading it: look again.
  for (unsigned attempt = 0; attempt < kMaxRedone; ++attempt) {
    const auto page = ZeroPage();
    if (!page.ok()) return EPERM;
    const std::optional<Extent> extent = map_->Find(page.value());
    if (!extent || !extent->in_file) return ENXIO;
    std::fill(seen.begin(), seen.end(), std::byte{0xff});
    if (!PreadExactly(fd_.get(), seen, extent->offset).ok()) return EIO;
    if (IsZero(seen)) return 0;
  }
  return EAGAIN;
}

Result<PhysAddr> KcoreReader::ZeroPage() {
  KCD_ASSIGN(const UniqueFd pagemap, OpenForReading("/proc/self/pagemap"));
  const auto virt = reinterpret_cast<uintptr_t>(zeros_->bytes().data());
  uint64_t entry = 0;
  KCD_TRY(PreadExactly(pagemap.get(), std::as_writable_bytes(std::span(&entry, 1)),
                       virt / page_bytes_ * sizeof(entry)));
  // Without CAP_SYS_ADMIN the PFN reads as 0.
  if ((entry & kPagemapPresent) == 0 || (entry & kPagemapPfnMask) == 0) {
    return MakeError(ErrorCode::kPermission, "/proc/self/pagemap hides its page frames");
  }
  return PhysAddr{(entry & kPagemapPfnMask) * page_bytes_};
}

void KcoreReader::Label(PhysAddr first, std::span<PageLabel> labels) {
  flags_.Label(first, labels);
  blocks_.Label(first, page_bytes_, labels);
}

}  // namespace kcoredump
