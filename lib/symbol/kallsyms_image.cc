// SPDX-License-Identifier: MIT
#include <cstring>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "symbol/kallsyms.h"
#include "symbol/kallsyms_tables.h"

namespace kcoredump {

namespace {

/// All names, unpacked: the type's character and the name, one after the other.
struct UnpackedNames {
  std::string text;
  std::vector<uint32_t> ends;
  std::vector<uint32_t> stext;  ///< which are called `_stext`

  [[nodiscard]] std::string_view At(size_t index) const {
    const uint32_t begin = index == 0 ? 0 : ends[index - 1];
    return std::string_view(text).substr(begin, ends[index] - begin);
  }
};

Error BadTables(const std::string& what) {
  return MakeError(ErrorCode::kCorrupt, "the kernel's symbol tables in memory: " + what);
}

Result<UnpackedNames> UnpackNames(const KallsymsTables& tables) {
  std::array<std::string_view, kKallsymsTokens> tokens;
  for (size_t code = 0; code < tokens.size(); ++code) {
    tokens[code] = tables.tokens.At(static_cast<uint8_t>(code));
  }
  UnpackedNames names;
  names.text.reserve(tables.names.size() * 2);
  names.ends.reserve(tables.count);
  for (uint32_t i = 0; i < tables.count; ++i) {
    const size_t begin = names.text.size();
    const std::byte* codes = tables.names.data() + tables.name_starts[i];
    for (uint16_t code = 0; code < tables.name_codes[i]; ++code) {
      names.text += tokens[std::to_integer<uint8_t>(codes[code])];
      if (names.text.size() - begin > kMaxSymbolNameBytes + 1) {
        return BadTables("a name of more than " + std::to_string(kMaxSymbolNameBytes) + " bytes");
      }
    }
    const auto name = std::string_view(names.text).substr(begin);
    if (name.size() < 2) return BadTables("a symbol without a name");
    if (names.text.size() > UINT32_MAX) return BadTables("names without end");
    names.ends.push_back(static_cast<uint32_t>(names.text.size()));
    if (name.substr(1) == "_stext") names.stext.push_back(i);
  }
  return names;
}

Result<uint64_t> RawAt(MemoryView& kernel, const AddressPlace& place, size_t index) {
  const uint64_t at = place.at + index * place.width();
  if (place.width() == 8) return kernel.ReadValue<uint64_t>(at);
  KCD_ASSIGN(const uint32_t raw, kernel.ReadValue<uint32_t>(at));
  return uint64_t{raw};
}

/// The encoding is not written anywhere; that which gives `_stext` its address is the right one.
Result<AddressPlace> PlaceThatFits(MemoryView& kernel, const KallsymsTables& tables,
                                   const UnpackedNames& names, uint64_t stext) {
  for (const uint32_t index : names.stext) {
    for (const AddressPlace& place : tables.places) {
      const auto raw = RawAt(kernel, place, index);
      if (raw.ok() && place.Decode(index, raw.value()) == stext) return place;
    }
  }
  return BadTables(names.stext.empty() ? "no _stext among its names"
                                       : "no encoding of its addresses gives _stext at " +
                                             HexAddress(stext) + ", where VMCOREINFO has it");
}

Result<KallsymsTables> FindTables(MemoryView& kernel, const VmcoreInfo& info, uint64_t stext) {
  if (info.Symbol("kallsyms_names")) return TablesByVmcoreInfo(kernel, info);
  return TablesByScanning(kernel, stext);
}

}  // namespace

Status DecodeKallsyms(MemoryView& kernel, const VmcoreInfo& info, SymbolTable::Builder& out) {
  const auto stext = info.Symbol("_stext");
  if (!stext) {
    return MakeError(ErrorCode::kNotFound,
                     "VMCOREINFO has no _stext, without which symbols in memory cannot be trusted");
  }
  KCD_ASSIGN(const KallsymsTables tables, FindTables(kernel, info, *stext));
  KCD_ASSIGN(const UnpackedNames names, UnpackNames(tables));
  KCD_ASSIGN(const AddressPlace place, PlaceThatFits(kernel, tables, names, *stext));
  std::vector<std::byte> raw(tables.count * place.width());
  KCD_TRY(kernel.Read(place.at, raw));
  out.Reserve(tables.count, names.text.size());
  for (uint32_t i = 0; i < tables.count; ++i) {
    uint64_t value = 0;
    std::memcpy(&value, raw.data() + i * place.width(), place.width());
    const std::string_view name = names.At(i);
    KCD_TRY(out.Add(place.Decode(i, value), name.front(), name.substr(1), {}));
  }
  return {};
}

}  // namespace kcoredump
