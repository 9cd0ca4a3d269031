// SPDX-License-Identifier: MIT
#include "symbol/kallsyms_tables.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "kcoredump/text.h"
#include "symbol/symbol_table.h"

namespace kcoredump {

namespace {

/// Where nothing is known of the order: no more than 256 names of two length bytes and 255 codes.
constexpr uint64_t kMaxLastNamesBytes = kNamesAMarker * 257;
constexpr uint64_t kMaxMarkerBytes = (kMaxSymbols / kNamesAMarker) * sizeof(uint32_t);
constexpr uint64_t kMaxScanBytes = 256 << 20;
constexpr uint64_t kScanStepBytes = 1 << 20;
/// So much without a readable byte is the end of the image: what the kernel unmaps between its own
/// sections is less than 2 MiB.
constexpr uint64_t kMaxScanGapBytes = 4 << 20;
/// Scanning expects all tokens from '0' on and the index within this; 2 KiB are usual.
constexpr uint64_t kScanTokenBytes = 16 << 10;
constexpr unsigned kMaxHits = 256;
constexpr unsigned kMaxTries = 64;

/// Every digit is in some symbol's name, so its code stands for itself.
constexpr std::string_view kDigitTokens("0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0", 20);

Error Contradiction(const std::string& what) {
  return MakeError(ErrorCode::kCorrupt, "the kernel's symbol tables in memory: " + what);
}

Result<std::vector<std::byte>> ReadBlock(MemoryView& kernel, uint64_t begin, uint64_t end) {
  std::vector<std::byte> block(end - begin);
  KCD_TRY(kernel.Read(begin, block));
  return block;
}

template <typename T>
T ValueAt(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

/// Where each name starts, when lengths are written in that way; false: not so.
bool WalkNames(KallsymsTables& tables, bool two_bytes, size_t& end) {
  const std::span<const std::byte> names = tables.names;
  tables.name_starts.resize(tables.count);
  tables.name_codes.resize(tables.count);
  size_t at = 0;
  for (uint32_t i = 0; i < tables.count; ++i) {
    if (at + 2 > names.size()) return false;
    auto length = std::to_integer<uint32_t>(names[at++]);
    if (two_bytes && length >= 0x80) {
      length = (length & 0x7f) | std::to_integer<uint32_t>(names[at++]) << 7;
    }
    if (length == 0 || length > names.size() - at) return false;
    tables.name_starts[i] = static_cast<uint32_t>(at);
    tables.name_codes[i] = static_cast<uint16_t>(length);
    at += length;
  }
  end = at;
  return true;
}

/// Markers of `width` bytes at `at` that say of every 256th name where it begins, length included.
bool MarkersFit(const KallsymsTables& tables, size_t at, size_t width) {
  const size_t count = (size_t{tables.count} + kNamesAMarker - 1) / kNamesAMarker;
  if (at > tables.names.size() || count * width > tables.names.size() - at) return false;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t marker = width == 4 ? ValueAt<uint32_t>(tables.names, at + i * 4)
                                       : ValueAt<uint64_t>(tables.names, at + i * 8);
    const size_t name = i * kNamesAMarker;
    const size_t begin =
        name == 0 ? 0 : size_t{tables.name_starts[name - 1]} + tables.name_codes[name - 1];
    if (marker != begin) return false;
  }
  return true;
}

/// Reads what stands between the names and the tokens into `tables.names`.
Status ReadNames(MemoryView& kernel, uint64_t names, uint64_t token_table, KallsymsTables& tables) {
  if (names >= token_table || token_table - names > kMaxKallsymsNameBytes) {
    return Contradiction("kallsyms_names at " + HexAddress(names) +
                         " does not lie before kallsyms_token_table at " + HexAddress(token_table));
  }
  // Each name takes two bytes at least: a forged count must not make us reserve memory for it.
  if (tables.count == 0 || tables.count > kMaxSymbols || tables.count > (token_table - names) / 2) {
    return Contradiction("an impossible number of symbols: " + std::to_string(tables.count));
  }
  tables.names_at = names;
  KCD_ASSIGN(tables.names, ReadBlock(kernel, names, token_table));
  return {};
}

/// A run of markers found backwards from its end.
struct MarkerRun {
  uint64_t begin = 0;
  size_t count = 0;
  uint64_t last = 0;  ///< where the last 256 names begin
};

/// Markers ascend from 0, so backwards they end at a 0. `block` ends at `end`.
std::optional<MarkerRun> MarkersBefore(std::span<const std::byte> block, uint64_t end, size_t width,
                                       size_t padding) {
  MarkerRun run;
  uint64_t later = ~uint64_t{0};
  for (size_t at = block.size() - padding; at >= width && later != 0;) {
    at -= width;
    const uint64_t marker =
        width == 4 ? ValueAt<uint32_t>(block, at) : ValueAt<uint64_t>(block, at);
    if (marker >= later) return std::nullopt;
    if (run.count++ == 0) run.last = marker;
    later = marker;
    run.begin = end - (block.size() - at);
  }
  if (later != 0 || run.last > kMaxKallsymsNameBytes) return std::nullopt;
  return run;
}

/// Finds the tables by their contents. In every release the count, the names, the markers, the
/// tokens and the token index stand in this order (6.2 and 6.3 have one more table among them, but
/// their VMCOREINFO tells where all are).
class Scanner {
 public:
  Scanner(MemoryView& kernel, uint64_t stext) : kernel_(kernel), stext_(stext) {}

  Result<KallsymsTables> Run() {
    uint64_t gap = 0;
    uint64_t whole_steps_from = 0;  // page by page up to there
    for (uint64_t at = stext_; at - stext_ < kMaxScanBytes && gap < kMaxScanGapBytes;) {
      if (at > ~uint64_t{0} - 2 * kScanStepBytes) break;
      const uint64_t length = at >= whole_steps_from ? kScanStepBytes : kSmallestPageBytes;
      if (ReadStep(at, length)) {
        gap = 0;
        if (auto tables = SearchStep(at + length)) return std::move(*tables);
        at += length;
      } else if (length > kSmallestPageBytes) {
        whole_steps_from = at + length;
      } else {
        step_.clear();
        at += length;
        gap += length;
      }
    }
    return MakeError(ErrorCode::kNotFound,
                     "VMCOREINFO does not tell where the kernel's symbol tables are, and scanning "
                     "the image from _stext at " +
                         HexAddress(stext_) + " found none");
  }

 private:
  /// Behind the end of the step before, for what lies across.
  bool ReadStep(uint64_t at, uint64_t length) {
    const size_t kept = std::min(step_.size(), kDigitTokens.size() - 1);
    std::vector<std::byte> step(step_.end() - static_cast<std::ptrdiff_t>(kept), step_.end());
    step.resize(kept + length);
    if (!kernel_.Read(at, std::span(step).subspan(kept)).ok()) return false;
    step_ = std::move(step);
    return true;
  }

  /// `end`: the address behind the step.
  std::optional<KallsymsTables> SearchStep(uint64_t end) {
    const std::string_view text(reinterpret_cast<const char*>(step_.data()), step_.size());
    for (size_t from = 0; from < text.size();) {
      const void* hit =
          memmem(text.data() + from, text.size() - from, kDigitTokens.data(), kDigitTokens.size());
      if (hit == nullptr || hits_left_ == 0) return std::nullopt;
      --hits_left_;
      const auto offset = static_cast<size_t>(static_cast<const char*>(hit) - text.data());
      if (auto tables = TablesAround(end - (text.size() - offset))) return tables;
      from = offset + 1;
    }
    return std::nullopt;
  }

  /// `digits`: where the token of '0' seems to stand.
  std::optional<KallsymsTables> TablesAround(uint64_t digits) {
    for (const uint64_t length : {kScanTokenBytes, kSmallestPageBytes / 2}) {
      const auto block = ReadBlock(kernel_, digits, digits + length);
      if (!block.ok()) continue;
      const auto& bytes = block.value();
      size_t end = 0;
      for (size_t tokens = '0'; tokens < kKallsymsTokens && end < bytes.size(); ++end) {
        if (bytes[end] == std::byte{0}) ++tokens;
      }
      for (const uint64_t alignment : {4, 8}) {
        const uint64_t index = AlignUp(digits + end, alignment) - digits;
        if (index + kTokenIndexBytes > bytes.size()) continue;
        if (auto tables = TablesAt(digits, digits + index,
                                   std::span(bytes).subspan(index, kTokenIndexBytes))) {
          return tables;
        }
      }
      break;
    }
    return std::nullopt;
  }

  std::optional<KallsymsTables> TablesAt(uint64_t digits, uint64_t index_at,
                                         std::span<const std::byte> index) {
    const uint64_t before = ValueAt<uint16_t>(index, '0' * sizeof(uint16_t));
    if (before > digits - stext_) return std::nullopt;
    const auto text = ReadBlock(kernel_, digits - before, index_at);
    if (!text.ok()) return std::nullopt;
    const auto tokens = ParseTokens(text.value(), index);
    if (!tokens) return std::nullopt;
    auto tables = TablesBefore(digits - before);
    if (!tables) return std::nullopt;
    tables->tokens = *tokens;
    AddPlacesAfter(index_at + kTokenIndexBytes, *tables);
    return tables;
  }

  std::optional<KallsymsTables> TablesBefore(uint64_t token_table) {
    const uint64_t begin = token_table - std::min(kMaxMarkerBytes, token_table - stext_);
    const auto block = ReadBlock(kernel_, begin, token_table);
    if (!block.ok()) return std::nullopt;
    for (const size_t width : {4, 8}) {  // 8 before 4.20
      for (const size_t padding : {4, 0}) {
        if (block.value().size() < padding) continue;
        const auto run = MarkersBefore(block.value(), token_table, width, padding);
        if (!run) continue;
        if (auto tables = TablesWithMarkers(*run, token_table)) return tables;
      }
    }
    return std::nullopt;
  }

  /// The names begin a little more than `run.last` before the markers, and their count is written
  /// right before them.
  std::optional<KallsymsTables> TablesWithMarkers(const MarkerRun& run, uint64_t token_table) {
    const uint64_t reach = run.last + kMaxLastNamesBytes + 2 * sizeof(uint64_t);
    const uint64_t begin = AlignUp(run.begin - std::min(reach, run.begin - stext_), 8);
    if (begin >= run.begin) return std::nullopt;
    const auto block = ReadBlock(kernel_, begin, token_table);
    if (!block.ok()) return std::nullopt;
    for (uint64_t names = begin + 8; names + run.last < run.begin; names += 4) {
      for (const uint64_t back : {8, 4}) {
        const auto count = ValueAt<uint32_t>(block.value(), names - back - begin);
        if (count == 0 || (uint64_t{count} + kNamesAMarker - 1) / kNamesAMarker != run.count) {
          continue;
        }
        if (tries_left_ == 0) return std::nullopt;
        --tries_left_;
        KallsymsTables tables;
        tables.count = count;
        tables.names_at = names;
        tables.names.assign(block.value().begin() + static_cast<std::ptrdiff_t>(names - begin),
                            block.value().end());
        if (!SplitNames(tables).ok()) continue;
        AddPlacesBefore(names - back, tables);
        return tables;
      }
    }
    return std::nullopt;
  }

  void AddOffsets(uint64_t at, uint64_t base_at, KallsymsTables& tables) {
    const auto base = kernel_.ReadValue<uint64_t>(base_at);
    if (!base.ok()) return;
    tables.places.push_back({AddressPlace::Form::kAbsolutePercpu, at, base.value()});
    tables.places.push_back({AddressPlace::Form::kBaseRelative, at, base.value()});
  }

  /// Up to 6.3: addresses end where the count stands, or offsets and the relative base do.
  void AddPlacesBefore(uint64_t count_at, KallsymsTables& tables) {
    const uint64_t count = tables.count;
    AddOffsets(count_at - 8 - AlignUp(count * 4, 8), count_at - 8, tables);
    tables.places.push_back({AddressPlace::Form::kAbsolute, count_at - count * 8, 0});
  }

  /// From 6.4 on they follow the token index (404bad70fcf7).
  void AddPlacesAfter(uint64_t index_end, KallsymsTables& tables) {
    const uint64_t aligned = AlignUp(index_end, 8);
    AddOffsets(aligned, AlignUp(aligned + uint64_t{tables.count} * 4, 8), tables);
    tables.places.push_back({AddressPlace::Form::kAbsolute, aligned, 0});
    tables.places.push_back({AddressPlace::Form::kPlaceRelative, AlignUp(index_end, 4), 0});
  }

  MemoryView& kernel_;
  uint64_t stext_;
  std::vector<std::byte> step_;
  // Each look costs reading: memory full of forged tables must not make it endless.
  unsigned hits_left_ = kMaxHits;
  unsigned tries_left_ = kMaxTries;
};

}  // namespace

uint64_t AddressPlace::Decode(size_t index, uint64_t raw) const {
  const auto value = static_cast<uint32_t>(raw);
  const auto offset = static_cast<uint64_t>(int64_t{std::bit_cast<int32_t>(value)});
  switch (form) {
    case Form::kAbsolute:
      return raw;
    case Form::kBaseRelative:
      return base + value;
    case Form::kAbsolutePercpu:
      return value >> 31 == 0 ? value : base - 1 - offset;
    case Form::kPlaceRelative:
      return at + index * sizeof(uint32_t) + offset;
  }
  return 0;
}

std::optional<TokenTable> ParseTokens(std::span<const std::byte> text,
                                      std::span<const std::byte> index) {
  TokenTable table;
  if (index.size() < kTokenIndexBytes) return std::nullopt;
  std::memcpy(table.starts.data(), index.data(), kTokenIndexBytes);
  table.text.assign(reinterpret_cast<const char*>(text.data()), text.size());
  size_t start = 0;
  for (const uint16_t begin : table.starts) {
    const size_t end = table.text.find('\0', start);
    if (begin != start || end == std::string::npos) return std::nullopt;
    start = end + 1;
  }
  return table;
}

Status SplitNames(KallsymsTables& tables) {
  for (const bool two_bytes : {true, false}) {
    size_t end = 0;
    if (!WalkNames(tables, two_bytes, end)) continue;
    for (const uint64_t alignment : {4, 8}) {
      const uint64_t markers = AlignUp(tables.names_at + end, alignment) - tables.names_at;
      for (const size_t width : {4, 8}) {
        if (MarkersFit(tables, markers, width)) return {};
      }
    }
  }
  return Contradiction("its names do not lead to their markers");
}

Result<KallsymsTables> TablesByVmcoreInfo(MemoryView& kernel, const VmcoreInfo& info) {
  const auto names = info.Symbol("kallsyms_names");
  const auto count = info.Symbol("kallsyms_num_syms");
  const auto token_table = info.Symbol("kallsyms_token_table");
  const auto token_index = info.Symbol("kallsyms_token_index");
  if (!names || !count || !token_table || !token_index) {
    return MakeError(ErrorCode::kNotFound, "VMCOREINFO has no kallsyms_names (before 6.0)");
  }
  KallsymsTables tables;
  KCD_ASSIGN(tables.count, kernel.ReadValue<uint32_t>(*count));
  if (*token_table >= *token_index || *token_index - *token_table > kMaxTokenTableBytes) {
    return Contradiction("kallsyms_token_table does not lie before kallsyms_token_index");
  }
  KCD_ASSIGN(const auto text, ReadBlock(kernel, *token_table, *token_index));
  std::vector<std::byte> index(kTokenIndexBytes);
  KCD_TRY(kernel.Read(*token_index, index));
  const auto tokens = ParseTokens(text, index);
  if (!tokens) return Contradiction("kallsyms_token_index does not fit kallsyms_token_table");
  tables.tokens = *tokens;
  KCD_TRY(ReadNames(kernel, *names, *token_table, tables));
  KCD_TRY(SplitNames(tables));

  using Form = AddressPlace::Form;
  if (const auto offsets = info.Symbol("kallsyms_offsets")) {
    if (const auto base_at = info.Symbol("kallsyms_relative_base")) {
      KCD_ASSIGN(const auto base, kernel.ReadValue<uint64_t>(*base_at));
      tables.places.push_back({Form::kAbsolutePercpu, *offsets, base});
      tables.places.push_back({Form::kBaseRelative, *offsets, base});
    }
    tables.places.push_back({Form::kPlaceRelative, *offsets, 0});
  }
  if (const auto addresses = info.Symbol("kallsyms_addresses")) {
    tables.places.push_back({Form::kAbsolute, *addresses, 0});
  }
  return tables;
}

Result<KallsymsTables> TablesByScanning(MemoryView& kernel, uint64_t stext) {
  return Scanner(kernel, stext).Run();
}

}  // namespace kcoredump
