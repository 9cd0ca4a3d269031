// SPDX-License-Identifier: MIT
#include "source/page_flags.h"

#include <fcntl.h>
#include <linux/kernel-page-flags.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/checked.h"
#include "base/file.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr bool HasFlag(uint64_t flags, unsigned bit) { return ((flags >> bit) & 1) != 0; }

/// Huge pages have 2 to 2^18 base pages (1 GiB of 4 KiB), the contiguous ones of arm64 included.
constexpr unsigned kMaxHugeOrder = 18;

constexpr size_t kMaxSysfsFileBytes = 4096;

std::optional<uint64_t> ReadHex(const std::string& path) {
  const auto text = ReadTextFile(path, kMaxSysfsFileBytes);
  if (!text.ok()) return std::nullopt;
  uint64_t value = 0;
  const std::string_view digits = TrimmedRight(text.value());
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool IsOffline(const std::string& block) {
  const auto state = ReadTextFile(block + "/state", kMaxSysfsFileBytes);
  return state.ok() && TrimmedRight(state.value()) == "offline";
}

}  // namespace

PageOutcome OutcomeFromPageFlags(uint64_t flags) {
  if (HasFlag(flags, KPF_HWPOISON)) return PageOutcome::kHwPoison;
  if (HasFlag(flags, KPF_OFFLINE)) return PageOutcome::kOffline;
  if (HasFlag(flags, KPF_NOPAGE)) return PageOutcome::kAbsent;
  return PageOutcome::kDirect;
}

PageFlagsReader::PageFlagsReader(const std::string& path, uint64_t page_bytes)
    : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)), page_bytes_(page_bytes) {}

/// Returns how many entries were read: fewer at the end of memory, none on errors.
size_t PageFlagsReader::ReadFlags(uint64_t pfn, std::span<uint64_t> flags) const {
  const auto bytes = PreadUpTo(fd_.get(), std::as_writable_bytes(flags), pfn * sizeof(uint64_t));
  return bytes.ok() ? bytes.value() / sizeof(uint64_t) : 0;
}

/// kcore reads every page of a poisoned hugetlb page as zeros, but only its head carries the flag.
bool PageFlagsReader::InPoisonedHugePage(uint64_t pfn) {
  for (unsigned order = 1; order <= kMaxHugeOrder; ++order) {
    uint64_t flags = 0;
    if (ReadFlags(AlignDown(pfn, uint64_t{1} << order), {&flags, 1}) != 1) continue;
    if (HasFlag(flags, KPF_COMPOUND_HEAD) && HasFlag(flags, KPF_HUGE)) {
      return HasFlag(flags, KPF_HWPOISON);
    }
  }
  return false;
}

void PageFlagsReader::Label(PhysAddr first, std::span<PageLabel> labels) {
  if (!fd_.valid()) return;
  const uint64_t pfn = first.value / page_bytes_;
  flags_.resize(labels.size());
  const size_t known = ReadFlags(pfn, flags_);
  bool in_poisoned_huge = false;
  for (size_t i = 0; i < known; ++i) {
    const bool huge_tail = HasFlag(flags_[i], KPF_HUGE) && HasFlag(flags_[i], KPF_COMPOUND_TAIL);
    if (!huge_tail) {
      in_poisoned_huge = HasFlag(flags_[i], KPF_HUGE) && HasFlag(flags_[i], KPF_HWPOISON);
    } else if (i == 0) {
      in_poisoned_huge = InPoisonedHugePage(pfn);
    }
    const PageOutcome outcome =
        in_poisoned_huge ? PageOutcome::kHwPoison : OutcomeFromPageFlags(flags_[i]);
    if (outcome != PageOutcome::kDirect) labels[i] = {.outcome = outcome};
  }
}

bool PageFlagsReader::Covers(PhysAddr last) const {
  uint64_t flags = 0;
  return fd_.valid() && ReadFlags(last.value / page_bytes_, {&flags, 1}) == 1;
}

MemoryBlocks::MemoryBlocks(std::string directory) : directory_(std::move(directory)) {
  block_bytes_ = ReadHex(directory_ + "/block_size_bytes").value_or(0);
}

void MemoryBlocks::Label(PhysAddr first, uint64_t page_bytes, std::span<PageLabel> labels) const {
  if (block_bytes_ < page_bytes) return;
  for (size_t i = 0; i < labels.size();) {
    const uint64_t at = first.value + i * page_bytes;
    const uint64_t block = at / block_bytes_;
    const uint64_t pages_left = (block_bytes_ - at % block_bytes_) / page_bytes;
    const size_t end = std::min<uint64_t>(labels.size(), i + std::max<uint64_t>(pages_left, 1));
    const bool offline = IsOffline(directory_ + "/memory" + std::to_string(block));
    for (; i < end; ++i) {
      if (offline) labels[i] = {.outcome = PageOutcome::kOffline};
    }
  }
}

}  // namespace kcoredump
