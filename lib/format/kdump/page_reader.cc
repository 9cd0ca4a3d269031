// SPDX-License-Identifier: MIT
#include "format/kdump/page_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/checked.h"
#include "base/try.h"
#include "base/zero.h"
#include "source/safe_copy.h"

namespace kcoredump {

namespace {

/// What is unpacked before it is copied out together.
constexpr uint64_t kContentBytes = 128 << 10;

}  // namespace

Result<std::unique_ptr<KdumpReader>> KdumpReader::Create(const KdumpSource* source) {
  KCD_ASSIGN(PageDecompressor decompressor, PageDecompressor::Create());
  return std::unique_ptr<KdumpReader>(new KdumpReader(source, std::move(decompressor)));
}

KdumpReader::KdumpReader(const KdumpSource* source, PageDecompressor decompressor)
    : source_(source),
      page_bytes_(source->page_bytes()),
      decompressor_(std::move(decompressor)),
      dumped_(&source->dumped()) {}

int64_t KdumpReader::ReadUpTo(Location at, std::span<std::byte> out) {
  if (at.space != Space::kPhysical || source_->map().FindRam(at.address) == nullptr) return -ENXIO;
  if (!loaded_.Contains(at.address)) {
    const uint64_t pfn = at.address / page_bytes_;
    const uint64_t wanted = (at.address % page_bytes_ + out.size() + page_bytes_ - 1) / page_bytes_;
    const uint64_t most = std::max<uint64_t>(kContentBytes / page_bytes_, 1);
    if (const int failure = LoadPages(pfn, std::min(wanted, most)); failure != 0) return failure;
  }
  const auto content = std::span<const std::byte>(content_).subspan(at.address - loaded_.begin);
  const size_t bytes = std::min<uint64_t>(out.size(), loaded_.end - at.address);
  if (SafeCopy(content.first(bytes), out.data()).system_errno != 0) return -EFAULT;
  return static_cast<int64_t>(bytes);
}

/// As many of `count` pages as can be had before one that cannot; −errno when that is the first.
int KdumpReader::LoadPages(uint64_t pfn, size_t count) {
  loaded_ = {};
  content_.resize(count * page_bytes_);
  size_t done = 0;
  for (; done < count; ++done) {
    const int failure =
        LoadPage(pfn + done, std::span(content_).subspan(done * page_bytes_, page_bytes_));
    if (failure == 0) continue;
    if (done == 0) return failure;
    break;
  }
  loaded_ = {pfn * page_bytes_, (pfn + done) * page_bytes_};
  return 0;
}

int KdumpReader::LoadPage(uint64_t pfn, std::span<std::byte> out) {
  const KdumpPages* pages = nullptr;
  PageDescriptor descriptor;
  if (const int failure = FindDescriptor(pfn, pages, descriptor); failure != 0) return failure;
  return Unpack(*pages, descriptor, out);
}

int KdumpReader::FindDescriptor(uint64_t pfn, const KdumpPages*& pages,
                                PageDescriptor& descriptor) {
  const auto dumped = dumped_.Test(pfn);
  if (!dumped.ok()) return -EIO;
  pages = source_->FindPages(pfn);
  if (!dumped.value() || pages == nullptr) return -ENXIO;
  const auto rank = dumped_.Rank(pfn);
  if (!rank.ok()) return -EIO;
  const uint64_t index = rank.value() - pages->first_rank;
  int failure = 0;
  const auto raw = descriptors_.At(pages->file, pages->descriptors + index * sizeof(descriptor),
                                   sizeof(descriptor), failure);
  if (failure != 0) return failure;
  if (raw.size() < sizeof(descriptor)) return -ENODATA;
  std::memcpy(&descriptor, raw.data(), sizeof(descriptor));
  return 0;
}

int KdumpReader::Unpack(const KdumpPages& pages, const PageDescriptor& descriptor,
                        std::span<std::byte> out) {
  const auto codec = CodecOf(descriptor, page_bytes_);
  if (!codec.ok()) return -EBADMSG;
  if (!codec.value() && zero_pages_ == &pages && zero_offset_ == descriptor.offset) {
    std::memset(out.data(), 0, out.size());
    return 0;
  }
  int failure = 0;
  const auto raw = data_.At(pages.file, descriptor.offset, descriptor.bytes, failure);
  if (failure != 0) return failure;
  if (raw.size() < descriptor.bytes) return -ENODATA;
  if (codec.value()) {
    return decompressor_.Decompress(*codec.value(), raw, out).ok() ? 0 : -EBADMSG;
  }
  std::memcpy(out.data(), raw.data(), out.size());
  if (IsZero(out)) {
    zero_pages_ = &pages;
    zero_offset_ = descriptor.offset;
  }
  return 0;
}

void KdumpReader::Label(PhysAddr first, std::span<PageLabel> labels) {
  const uint64_t first_pfn = first.value / page_bytes_;
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = LabelOf(first_pfn + i);
}

PageLabel KdumpReader::LabelOf(uint64_t pfn) {
  const auto dumped = dumped_.Test(pfn);
  if (!dumped.ok()) return {.outcome = PageOutcome::kUnreadable, .system_errno = EIO};
  if (!dumped.value()) {
    const bool memory = source_->map().FindRam(pfn * page_bytes_) != nullptr;
    return {.outcome = memory ? PageOutcome::kExcluded : PageOutcome::kDirect};
  }
  const KdumpPages* pages = source_->FindPages(pfn);
  if (pages == nullptr) return {.outcome = PageOutcome::kNotReached};
  if (!pages->torn) return {};
  if (pfn >= pages->end_pfn) return {.outcome = PageOutcome::kNotReached};
  PageDescriptor descriptor;
  const int failure = FindDescriptor(pfn, pages, descriptor);
  const bool written = failure == 0 && IsWritten(descriptor, *pages);
  return {.outcome = written ? PageOutcome::kDirect : PageOutcome::kNotReached};
}

}  // namespace kcoredump
