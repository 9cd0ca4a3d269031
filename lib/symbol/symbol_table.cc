// SPDX-License-Identifier: MIT
#include "symbol/symbol_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <span>

#include "base/error.h"
#include "base/try.h"
#include "symbol/glob.h"

namespace kcoredump {

namespace {

constexpr size_t kFence = 64;
constexpr size_t kMaxTextBytes = std::numeric_limits<uint32_t>::max();

/// The index of the first of `count` sorted values that is above `wanted`. Without branches that
/// nobody can foretell.
template <typename AddressAt>
size_t FirstAbove(size_t count, uint64_t wanted, const AddressAt& address_at) {
  size_t base = 0;
  while (count > 0) {
    const size_t half = count / 2;
    const bool above = address_at(base + half) > wanted;
    base = above ? base : base + half + 1;
    count = above ? half : count - half - 1;
  }
  return base;
}

uint32_t HashOf(std::string_view name) {
  return static_cast<uint32_t>(std::hash<std::string_view>()(name));
}

/// `gap`: to the next symbol of another address; `same_owner`: that is of the same module, too.
uint32_t SizeOf(uint64_t address, uint64_t gap, bool of_module, bool same_owner) {
  const uint64_t most = of_module ? kMaxModuleSymbolBytes : kMaxKernelSymbolBytes;
  if (same_owner && gap <= most) return static_cast<uint32_t>(gap);
  if (!of_module) return 0;
  return static_cast<uint32_t>(std::min(gap, kModulePageBytes - address % kModulePageBytes));
}

}  // namespace

SymbolTable::Builder::Builder(SymbolTable&& table)
    : text_(std::move(table.text_)), entries_(std::move(table.entries_)) {
  if (!table.modules_.empty()) modules_ = std::move(table.modules_);
  for (size_t i = 0; i < modules_.size(); ++i) {
    module_ids_.emplace(modules_[i], static_cast<uint16_t>(i));
  }
  table = SymbolTable();
}

void SymbolTable::Builder::Reserve(size_t symbols, size_t name_bytes) {
  entries_.reserve(entries_.size() + std::min(symbols, kMaxSymbols));
  text_.reserve(text_.size() + std::min(name_bytes, kMaxTextBytes));
}

Result<uint16_t> SymbolTable::Builder::ModuleId(std::string_view module) {
  if (modules_[last_module_] == module) return last_module_;  // they come in runs
  auto found = module_ids_.find(module);
  if (found == module_ids_.end()) {
    if (modules_.size() > kMaxSymbolModules) {
      return MakeError(ErrorCode::kLimitExceeded, "symbols of too many modules");
    }
    found = module_ids_.emplace(module, static_cast<uint16_t>(modules_.size())).first;
    modules_.emplace_back(module);
  }
  last_module_ = found->second;
  return last_module_;
}

Status SymbolTable::Builder::Add(uint64_t address, char type, std::string_view name,
                                 std::string_view module) {
  if (name.empty()) return MakeError(ErrorCode::kCorrupt, "a symbol without a name");
  if (name.size() > kMaxSymbolNameBytes || module.size() > kMaxSymbolNameBytes) {
    return MakeError(ErrorCode::kCorrupt, "a symbol's name of more than " +
                                              std::to_string(kMaxSymbolNameBytes) + " bytes");
  }
  if (entries_.size() == kMaxSymbols || text_.size() + kHeadBytes + name.size() > kMaxTextBytes) {
    return MakeError(ErrorCode::kLimitExceeded, "too many symbols");
  }
  KCD_ASSIGN(const uint16_t module_id, ModuleId(module));
  entries_.push_back({.address = address, .text = static_cast<uint32_t>(text_.size())});
  const auto length = static_cast<uint16_t>(name.size());
  std::array<char, kHeadBytes> head{};
  std::memcpy(head.data(), &module_id, sizeof(module_id));
  std::memcpy(head.data() + 2, &length, sizeof(length));
  head[4] = type;
  text_.insert(text_.end(), head.begin(), head.end());
  text_.insert(text_.end(), name.begin(), name.end());
  return {};
}

SymbolTable SymbolTable::Builder::Build() && {
  SymbolTable table;
  table.text_ = std::move(text_);
  table.entries_ = std::move(entries_);
  table.modules_ = std::move(modules_);
  table.Sort();
  if (sizes_known_) table.MeasureSizes();
  table.IndexAddresses();
  table.IndexNames();
  return table;
}

/// The kernel's own symbols come sorted, those of modules do not: only what follows is sorted.
void SymbolTable::Sort() {
  const auto by_address = [](const Entry& a, const Entry& b) { return a.address < b.address; };
  const auto middle = std::is_sorted_until(entries_.begin(), entries_.end(), by_address);
  std::stable_sort(middle, entries_.end(), by_address);
  std::inplace_merge(entries_.begin(), middle, entries_.end(), by_address);
}

void SymbolTable::MeasureSizes() {
  const Entry* next = nullptr;  // the first of the next higher address
  uint16_t next_module = 0;
  uint16_t module_after = 0;  // of the entry behind the one at hand
  for (size_t i = entries_.size(); i-- > 0;) {
    if (i + 1 < entries_.size() && entries_[i + 1].address != entries_[i].address) {
      next = &entries_[i + 1];
      next_module = module_after;
    }
    const uint16_t module = HeadOf(entries_[i]).module;
    const uint64_t gap = next != nullptr ? next->address - entries_[i].address : ~uint64_t{0};
    entries_[i].size =
        SizeOf(entries_[i].address, gap, module != 0, next != nullptr && module == next_module);
    module_after = module;
  }
}

void SymbolTable::IndexAddresses() {
  fences_.reserve(entries_.size() / kFence + 1);
  for (size_t i = 0; i < entries_.size(); i += kFence) fences_.push_back(entries_[i].address);
}

/// A counting sort by bucket; what shares one keeps its order.
void SymbolTable::IndexNames() {
  // A power of two and one more, for the end of the last.
  buckets_.assign(std::bit_ceil(std::max<size_t>(entries_.size(), 1)) + 1, 0);
  const size_t mask = buckets_.size() - 2;
  std::vector<uint32_t> hashes(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    hashes[i] = HashOf(NameOf(entries_[i]));
    ++buckets_[(hashes[i] & mask) + 1];
  }
  for (size_t b = 1; b < buckets_.size(); ++b) buckets_[b] += buckets_[b - 1];
  members_.resize(entries_.size());
  for (size_t i = entries_.size(); i-- > 0;) {
    members_[--buckets_[(hashes[i] & mask) + 1]] = {static_cast<uint32_t>(i), hashes[i]};
  }
  // Each start was counted down from the end of its bucket and stands one place too far.
  std::copy(buckets_.begin() + 1, buckets_.end(), buckets_.begin());
  buckets_.back() = static_cast<uint32_t>(entries_.size());
}

SymbolTable::Head SymbolTable::HeadOf(const Entry& entry) const {
  Head head;
  const char* at = text_.data() + entry.text;
  std::memcpy(&head.module, at, sizeof(head.module));
  std::memcpy(&head.length, at + 2, sizeof(head.length));
  head.type = at[4];
  return head;
}

std::string_view SymbolTable::NameOf(const Entry& entry) const {
  return {text_.data() + entry.text + kHeadBytes, HeadOf(entry).length};
}

Symbol SymbolTable::At(size_t index) const {
  const Entry& entry = entries_[index];
  const Head head = HeadOf(entry);
  return {.address = entry.address,
          .size = entry.size,
          .type = head.type,
          .name = {text_.data() + entry.text + kHeadBytes, head.length},
          .module = modules_[head.module]};
}

std::optional<size_t> SymbolTable::LastNotAbove(uint64_t address) const {
  const size_t fence = FirstAbove(fences_.size(), address, [this](size_t i) { return fences_[i]; });
  if (fence == 0) return std::nullopt;
  const size_t first = (fence - 1) * kFence;
  const auto address_at = [&](size_t i) { return entries_[first + i].address; };
  const size_t index =
      first + FirstAbove(std::min(kFence, entries_.size() - first), address, address_at) - 1;
  const uint64_t found = entries_[index].address;
  if (index == 0 || entries_[index - 1].address != found) return index;
  const auto begin = entries_.begin();
  const auto lower =
      std::lower_bound(begin, begin + static_cast<std::ptrdiff_t>(index), found,
                       [](const Entry& entry, uint64_t wanted) { return entry.address < wanted; });
  return static_cast<size_t>(lower - begin);
}

std::optional<Symbol> SymbolTable::Containing(uint64_t address) const {
  const auto index = LastNotAbove(address);
  if (!index) return std::nullopt;
  const uint64_t offset = address - entries_[*index].address;
  if (offset != 0 && offset >= entries_[*index].size) return std::nullopt;
  return At(*index);
}

std::vector<Symbol> SymbolTable::StartingAt(uint64_t address) const {
  std::vector<Symbol> found;
  const auto first = LastNotAbove(address);
  if (!first) return found;
  for (size_t i = *first; i < entries_.size() && entries_[i].address == address; ++i) {
    found.push_back(At(i));
  }
  return found;
}

std::vector<Symbol> SymbolTable::Named(std::string_view name) const {
  std::vector<Symbol> found;
  if (entries_.empty()) return found;
  const uint32_t hash = HashOf(name);
  const size_t bucket = hash & (buckets_.size() - 2);
  const std::span<const Member> members(members_.data() + buckets_[bucket],
                                        buckets_[bucket + 1] - buckets_[bucket]);
  found.reserve(static_cast<size_t>(
      std::count_if(members.begin(), members.end(),
                    [hash](const Member& member) { return member.hash == hash; })));
  for (const Member& member : members) {
    if (member.hash != hash) continue;
    const Symbol symbol = At(member.entry);
    if (symbol.name == name) found.push_back(symbol);
  }
  return found;
}

std::vector<Symbol> SymbolTable::Matching(std::string_view glob, size_t max) const {
  std::vector<Symbol> found;
  for (size_t i = 0; i < entries_.size() && found.size() < max; ++i) {
    if (GlobMatches(glob, NameOf(entries_[i]))) found.push_back(At(i));
  }
  return found;
}

}  // namespace kcoredump
