// SPDX-License-Identifier: MIT
#include "source/page_flags.h"

#include <linux/kernel-page-flags.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr bool HasFlag(uint64_t flags, unsigned bit) { return ((flags >> bit) & 1) != 0; }

/// Compound pages have 2 to 2^18 base pages (1 GiB of 4 KiB), the contiguous ones of arm64
/// included.
constexpr unsigned kMaxCompoundOrder = 18;

/// After those of the user's header (kernel: include/linux/kernel-page-flags.h).
constexpr unsigned kKpfReserved = 32;
constexpr unsigned kKpfPrivate = 35;

constexpr size_t kMaxSysfsFileBytes = 4096;

/// 0: no number.
uint64_t ParseHex(std::string_view text) {
  uint64_t value = 0;
  const std::string_view digits = TrimmedRight(text);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return error == std::errc() && end == digits.data() + digits.size() ? value : 0;
}

/// A block that is not there is memory without hotplug; any other error says nothing of its state.
Result<bool> IsOffline(const std::string& block) {
  const auto state = ReadTextFile(block + "/state", kMaxSysfsFileBytes);
  if (state.ok()) return TrimmedRight(state.value()) == "offline";
  if (state.error().system_errno == ENOENT) return false;
  return state.error();
}

PageLabel Unknown(const Error& error) {
  return {.outcome = PageOutcome::kUnreadable,
          .system_errno = error.system_errno != 0 ? error.system_errno : EIO};
}

}  // namespace

PageOutcome OutcomeFromPageFlags(uint64_t flags) {
  if (HasFlag(flags, KPF_HWPOISON)) return PageOutcome::kHwPoison;
  if (HasFlag(flags, KPF_OFFLINE)) return PageOutcome::kOffline;
  if (HasFlag(flags, KPF_NOPAGE)) return PageOutcome::kAbsent;
  return PageOutcome::kDirect;
}

/// As makedumpfile tells them apart by struct page.
PageClass ClassFromPageFlags(uint64_t flags) {
  if (OutcomeFromPageFlags(flags) != PageOutcome::kDirect) return PageClass::kNone;
  if (HasFlag(flags, KPF_BUDDY)) return PageClass::kFree;
  if (HasFlag(flags, KPF_SLAB) || HasFlag(flags, KPF_PGTABLE)) return PageClass::kNone;
  if (HasFlag(flags, KPF_ANON) || HasFlag(flags, KPF_HUGE)) return PageClass::kUser;
  if (!HasFlag(flags, KPF_LRU) && !HasFlag(flags, KPF_SWAPCACHE)) return PageClass::kNone;
  return HasFlag(flags, kKpfPrivate) ? PageClass::kPrivateCache : PageClass::kCache;
}

PageKind KindFromPageFlags(uint64_t flags) {
  if (OutcomeFromPageFlags(flags) != PageOutcome::kDirect) return PageKind::kUnknown;
  switch (ClassFromPageFlags(flags)) {
    case PageClass::kFree:
      return PageKind::kFree;
    case PageClass::kUser:
      return PageKind::kUser;
    case PageClass::kCache:
    case PageClass::kPrivateCache:
      return PageKind::kCache;
    default:
      break;
  }
  if (HasFlag(flags, KPF_SLAB)) return PageKind::kSlab;
  if (HasFlag(flags, KPF_PGTABLE)) return PageKind::kPageTable;
  return HasFlag(flags, kKpfReserved) ? PageKind::kReserved : PageKind::kKernel;
}

Result<PageFlagsReader> PageFlagsReader::Open(const std::string& path, uint64_t page_bytes) {
  PageFlagsReader reader;
  KCD_ASSIGN(reader.fd_, OpenForReading(path));
  reader.page_bytes_ = page_bytes;
  return reader;
}

/// Returns how many entries were read: fewer at the end of memory.
Result<size_t> PageFlagsReader::ReadFlags(uint64_t pfn, std::span<uint64_t> flags) const {
  KCD_ASSIGN(const size_t bytes,
             PreadUpTo(fd_.get(), std::as_writable_bytes(flags), pfn * sizeof(uint64_t)));
  return bytes / sizeof(uint64_t);
}

/// The flags of the head of the compound page that `pfn` is a tail of; 0: none is found. Between a
/// tail and its head there is no other head.
Result<uint64_t> PageFlagsReader::HeadFlags(uint64_t pfn) const {
  for (unsigned order = 1; order <= kMaxCompoundOrder; ++order) {
    uint64_t flags = 0;
    KCD_ASSIGN(const size_t known, ReadFlags(AlignDown(pfn, uint64_t{1} << order), {&flags, 1}));
    if (known == 1 && HasFlag(flags, KPF_COMPOUND_HEAD)) return flags;
  }
  return 0;
}

void PageFlagsReader::Label(PhysAddr first, std::span<PageLabel> labels) {
  if (!fd_.valid()) return;
  const Status known = LabelKnown(first.value / page_bytes_, labels);
  if (!known.ok()) std::fill(labels.begin(), labels.end(), Unknown(known.error()));
}

Status PageFlagsReader::LabelKnown(uint64_t pfn, std::span<PageLabel> labels) {
  flags_.resize(labels.size());
  KCD_ASSIGN(const size_t known, ReadFlags(pfn, flags_));
  bool in_poisoned_huge = false;
  for (size_t i = 0; i < known; ++i) {
    const bool huge_tail = HasFlag(flags_[i], KPF_HUGE) && HasFlag(flags_[i], KPF_COMPOUND_TAIL);
    if (!huge_tail) {
      in_poisoned_huge = HasFlag(flags_[i], KPF_HUGE) && HasFlag(flags_[i], KPF_HWPOISON);
    } else if (i == 0) {
      // kcore reads every page of a poisoned hugetlb page as zeros, but only its head is flagged.
      KCD_ASSIGN(const uint64_t head, HeadFlags(pfn));
      in_poisoned_huge = HasFlag(head, KPF_HUGE) && HasFlag(head, KPF_HWPOISON);
    }
    const PageOutcome outcome =
        in_poisoned_huge ? PageOutcome::kHwPoison : OutcomeFromPageFlags(flags_[i]);
    if (outcome != PageOutcome::kDirect) labels[i] = {.outcome = outcome};
  }
  return {};
}

template <typename Tell>
void PageFlagsReader::ForEachUse(uint64_t pfn, size_t pages, const Tell& tell) {
  if (!fd_.valid()) return;
  flags_.resize(pages);
  const auto known = ReadFlags(pfn, flags_);
  uint64_t of_head = uint64_t{1} << KPF_NOPAGE;
  for (size_t i = 0; known.ok() && i < known.value(); ++i) {
    if (!HasFlag(flags_[i], KPF_COMPOUND_TAIL)) {
      of_head = flags_[i];
    } else if (i == 0) {
      const auto head = HeadFlags(pfn);
      if (head.ok() && head.value() != 0) of_head = head.value();
    }
    tell(i, of_head);
  }
}

void PageFlagsReader::Classify(PhysAddr first, std::span<PageClass> classes) {
  std::fill(classes.begin(), classes.end(), PageClass::kNone);
  ForEachUse(first.value / page_bytes_, classes.size(),
             [&](size_t i, uint64_t flags) { classes[i] = ClassFromPageFlags(flags); });
}

void PageFlagsReader::TellKinds(PhysAddr first, std::span<PageKind> kinds) {
  std::fill(kinds.begin(), kinds.end(), PageKind::kUnknown);
  ForEachUse(first.value / page_bytes_, kinds.size(),
             [&](size_t i, uint64_t flags) { kinds[i] = KindFromPageFlags(flags); });
}

bool PageFlagsReader::Covers(PhysAddr last) const {
  if (!fd_.valid()) return false;
  uint64_t flags = 0;
  const auto known = ReadFlags(last.value / page_bytes_, {&flags, 1});
  return known.ok() && known.value() == 1;
}

Result<MemoryBlocks> MemoryBlocks::Open(std::string directory) {
  const auto text = ReadTextFile(directory + "/block_size_bytes", kMaxSysfsFileBytes);
  MemoryBlocks blocks;
  if (text.ok()) {
    blocks.block_bytes_ = ParseHex(text.value());
    blocks.directory_ = std::move(directory);
    return blocks;
  }
  const std::string parent = std::filesystem::path(directory).parent_path().string();
  if (text.error().system_errno != ENOENT) return text.error();
  if (access(parent.c_str(), F_OK) == 0) return blocks;
  return SystemError(parent, errno);
}

void MemoryBlocks::Label(PhysAddr first, uint64_t page_bytes, std::span<PageLabel> labels) const {
  if (block_bytes_ < page_bytes) return;
  for (size_t i = 0; i < labels.size();) {
    const uint64_t at = first.value + i * page_bytes;
    const uint64_t block = at / block_bytes_;
    const uint64_t pages_left = (block_bytes_ - at % block_bytes_) / page_bytes;
    const size_t end = std::min<uint64_t>(labels.size(), i + std::max<uint64_t>(pages_left, 1));
    const auto offline = IsOffline(directory_ + "/memory" + std::to_string(block));
    const auto part = labels.subspan(i, end - i);
    if (!offline.ok()) {
      std::fill(part.begin(), part.end(), Unknown(offline.error()));
    } else if (offline.value()) {
      std::fill(part.begin(), part.end(), PageLabel{.outcome = PageOutcome::kOffline});
    }
    i = end;
  }
}

}  // namespace kcoredump
