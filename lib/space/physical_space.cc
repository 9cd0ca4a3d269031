// SPDX-License-Identifier: MIT
#include "space/physical_space.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/try.h"
#include "base/zero.h"

namespace kcoredump {

Error HoleError(const PageRun& hole) {
  Error error = MakeError(ErrorCode::kUnreadable, DescribeHole(hole));
  error.system_errno = hole.system_errno;
  error.address = hole.first.address;
  return error;
}

Result<std::unique_ptr<PhysicalSpace>> PhysicalSpace::Create(const MemorySource& source,
                                                             std::shared_ptr<PageCache> cache) {
  if (source.kind() == SourceKind::kLive) cache = nullptr;
  KCD_ASSIGN(auto reader, RangeReader::Create(source, {}));
  return std::unique_ptr<PhysicalSpace>(
      new PhysicalSpace(source, std::move(reader), std::move(cache)));
}

PhysicalSpace::PhysicalSpace(const MemorySource& source, std::unique_ptr<RangeReader> reader,
                             std::shared_ptr<PageCache> cache)
    : source_(&source), reader_(std::move(reader)), cache_(std::move(cache)) {}

Status PhysicalSpace::Read(uint64_t address, std::span<std::byte> out) {
  if (cache_ == nullptr) return ReadUncached(address, out);
  while (!out.empty()) {
    if (block_ == nullptr || !block_->phys.Contains(address)) KCD_TRY(LoadBlock(address));
    // No RAM here: the slow way says so.
    if (block_ == nullptr) return ReadUncached(address, out);
    const size_t step = std::min<uint64_t>(out.size(), block_->phys.end - address);
    KCD_TRY(ReadFromBlock(address, out.first(step)));
    address += step;
    out = out.subspan(step);
  }
  return {};
}

Status PhysicalSpace::ReadUncached(uint64_t address, std::span<std::byte> out) {
  ReadReport report;
  KCD_TRY(reader_->Read(PhysAddr{address}, out, report));
  // What was left out for it was all zero is as good as read.
  for (const PageRun& run : report.runs) {
    if (IsHole(run.outcome) && !run.is_known_zero()) return HoleError(run);
  }
  return {};
}

Status PhysicalSpace::ReadFromBlock(uint64_t address, std::span<std::byte> out) const {
  for (const PageRun& hole : block_->holes) {
    const Range range{hole.first.address, hole.first.address + hole.pages * source_->page_bytes()};
    if (range.begin >= address + out.size() || range.end <= address) continue;
    // The page that is wanted, not the start of a long run.
    PageRun page = hole;
    page.first.address =
        std::max(range.begin, address - (address - range.begin) % source_->page_bytes());
    return HoleError(page);
  }
  if (block_->content.empty()) {
    std::memset(out.data(), 0, out.size());
  } else {
    std::memcpy(out.data(), block_->content.data() + (address - block_->phys.begin), out.size());
  }
  return {};
}

/// Makes `block_` the one that holds `address`; nullptr where there is no RAM.
Status PhysicalSpace::LoadBlock(uint64_t address) {
  const Range phys = source_->BlockAround(PhysAddr{address});
  block_ = nullptr;
  if (!phys.Contains(address)) return {};
  KCD_ASSIGN(block_, cache_->Get(phys, [&] { return Fill(phys); }));
  return {};
}

Result<std::shared_ptr<const CachedBlock>> PhysicalSpace::Fill(const Range& phys) {
  auto block = std::make_shared<CachedBlock>();
  block->phys = phys;
  // Most blocks are zero: memory of their own, which the kernel would have to clear, is for others.
  if (filling_.size() < phys.size()) filling_.resize(phys.size());
  const auto content = std::span(filling_).first(phys.size());
  ReadReport report;
  KCD_TRY(reader_->Read(PhysAddr{phys.begin}, content, report));
  for (const PageRun& run : report.runs) {
    if (IsHole(run.outcome) && !run.is_known_zero()) block->holes.push_back(run);
  }
  if (!IsZero(content)) block->content.assign(content.begin(), content.end());
  return std::shared_ptr<const CachedBlock>(std::move(block));
}

}  // namespace kcoredump
