// SPDX-License-Identifier: MIT
//
// A module's own symbol table, as /proc/kallsyms shows it (kernel: kernel/module/kallsyms.c,
// module_get_kallsym; kernel/kallsyms.c, s_show).
#include <elf.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <unordered_map>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "symbol/modules.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxModuleSymbols = 1 << 20;
constexpr uint64_t kMaxStringBytes = 64 << 20;
constexpr uint64_t kMaxExports = 1 << 16;

/// struct mod_kallsyms (kernel: include/linux/module.h).
struct Tables {
  uint64_t symbols = 0;
  uint64_t count = 0;
  uint64_t strings = 0;
  uint64_t types = 0;  ///< a letter each (since 5.2)
};

Result<Tables> FindTables(MemoryView& kernel, const TypeCatalog& types, uint64_t module) {
  KCD_ASSIGN(const MemberRef pointer, types.Member("struct module", "kallsyms"));
  KCD_ASSIGN(const Layout layout, Layout::Of(types, "struct mod_kallsyms"));
  KCD_ASSIGN(const Field symbols, layout.Need("symtab"));
  KCD_ASSIGN(const Field count, layout.Need("num_symtab"));
  KCD_ASSIGN(const Field strings, layout.Need("strtab"));
  KCD_ASSIGN(const Field letters, layout.Need("typetab"));
  KCD_ASSIGN(const uint64_t at, kernel.ReadValue<uint64_t>(module + pointer.offset()));
  if (at == 0) return Tables{};
  Record record;
  KCD_TRY(record.Load(kernel, at, layout.bytes()));
  const Tables tables{.symbols = record.Unsigned(symbols),
                      .count = record.Unsigned(count),
                      .strings = record.Unsigned(strings),
                      .types = record.Unsigned(letters)};
  if (tables.count > kMaxModuleSymbols) {
    return MakeError(ErrorCode::kLimitExceeded, "it claims " + Grouped(tables.count) + " symbols");
  }
  return tables;
}

Result<std::vector<Elf64_Sym>> ReadSymbols(MemoryView& kernel, const Tables& tables) {
  std::vector<Elf64_Sym> symbols(tables.count);
  KCD_TRY(kernel.Read(tables.symbols, std::as_writable_bytes(std::span(symbols))));
  return symbols;
}

/// The string table has no size of its own: it is read as far as the last name in it goes, page
/// after page until that name ends.
Result<std::string> ReadStrings(MemoryView& kernel, uint64_t address,
                                const std::vector<Elf64_Sym>& symbols) {
  uint64_t last = 0;
  for (const Elf64_Sym& symbol : symbols) last = std::max<uint64_t>(last, symbol.st_name);
  const auto beyond = CheckedAdd(address, last + 2 * kSmallestPageBytes);
  if (last >= kMaxStringBytes || !beyond) {
    return MakeError(ErrorCode::kCorrupt, "a name stands " + Hex(last) + " into its names");
  }
  uint64_t bytes = AlignUp(address + last + 1, kSmallestPageBytes) - address;
  std::string strings(bytes, '\0');
  KCD_TRY(kernel.Read(address, std::as_writable_bytes(std::span(strings))));
  while (strings.find('\0', last) == std::string::npos &&
         strings.size() - last <= kMaxSymbolNameBytes) {
    const size_t had = strings.size();
    strings.resize(had + kSmallestPageBytes);
    const auto more = std::as_writable_bytes(std::span(strings)).subspan(had);
    if (!kernel.Read(address + had, more).ok()) {
      strings.resize(had);
      break;
    }
  }
  return strings;
}

/// Exported names by address: kallsyms writes their letters in upper case. Those of EXPORT_SYMBOL
/// only; where GPL exports have a table of their own (gpl_syms), kallsyms does not look there.
using Exports = std::unordered_multimap<uint64_t, std::string>;

/// struct kernel_symbol (kernel: include/linux/export-internal.h, linux/export.h) has offsets from
/// their own places on most architectures, pointers on the others.
struct ExportLayout {
  bool relative = false;
  Field value;
  Field name;
};

uint64_t Referred(const Record& table, uint64_t at, const Field& field, bool relative) {
  const uint64_t raw = table.Unsigned({.offset = at + field.offset, .bytes = field.bytes});
  if (!relative) return raw;
  const auto distance = static_cast<int64_t>(static_cast<int32_t>(raw));
  return table.address() + at + field.offset + static_cast<uint64_t>(distance);
}

Result<Exports> ReadExports(MemoryView& kernel, const TypeCatalog& types, uint64_t module) {
  KCD_ASSIGN(const Layout layout, Layout::Of(types, "struct kernel_symbol"));
  ExportLayout entry{.relative = layout.Find("value_offset").known(), .value = {}, .name = {}};
  KCD_ASSIGN(entry.value, layout.Need(entry.relative ? "value_offset" : "value"));
  KCD_ASSIGN(entry.name, layout.Need(entry.relative ? "name_offset" : "name"));
  KCD_ASSIGN(const MemberRef first, types.Member("struct module", "syms"));
  KCD_ASSIGN(const MemberRef count, types.Member("struct module", "num_syms"));
  KCD_ASSIGN(const uint64_t at, kernel.ReadValue<uint64_t>(module + first.offset()));
  KCD_ASSIGN(const uint32_t entries, kernel.ReadValue<uint32_t>(module + count.offset()));
  Exports exports;
  if (entries == 0) return exports;
  if (entries > kMaxExports) {
    return MakeError(ErrorCode::kLimitExceeded, "it claims " + Grouped(entries) + " exports");
  }
  Record table;
  KCD_TRY(table.Load(kernel, at, entries * layout.bytes()));
  for (uint64_t i = 0; i < entries; ++i) {
    const uint64_t offset = i * layout.bytes();
    const uint64_t name = Referred(table, offset, entry.name, entry.relative);
    KCD_ASSIGN(std::string text, kernel.ReadString(name, kMaxSymbolNameBytes));
    exports.emplace(Referred(table, offset, entry.value, entry.relative), std::move(text));
  }
  return exports;
}

char LetterOf(std::byte letter, const Exports& exports, uint64_t address, std::string_view name) {
  const auto plain = static_cast<unsigned char>(letter);
  if (std::isprint(plain) == 0) return '?';
  const auto [begin, end] = exports.equal_range(address);
  const bool exported =
      std::any_of(begin, end, [&](const auto& entry) { return entry.second == name; });
  return static_cast<char>(exported ? std::toupper(plain) : std::tolower(plain));
}

}  // namespace

Status AddModuleSymbols(MemoryView& kernel, const TypeCatalog& types, const LoadedModule& module,
                        SymbolTable::Builder& out) {
  const std::string context = "symbols of module " + module.name;
  const auto tables = FindTables(kernel, types, module.address);
  if (!tables.ok()) return Error(tables.error()).WithContext(context);
  if (tables.value().count == 0) return {};
  const auto symbols = ReadSymbols(kernel, tables.value());
  if (!symbols.ok()) return Error(symbols.error()).WithContext(context);
  const auto strings = ReadStrings(kernel, tables.value().strings, symbols.value());
  if (!strings.ok()) return Error(strings.error()).WithContext(context);
  std::vector<std::byte> letters(symbols.value().size());
  Status read = kernel.Read(tables.value().types, letters);
  if (!read.ok()) return std::move(read.error()).WithContext(context);
  // Without exports only the case of a few letters differs.
  const auto exports = ReadExports(kernel, types, module.address);
  static const Exports kNone;
  for (size_t i = 0; i < letters.size(); ++i) {
    const Elf64_Sym& symbol = symbols.value()[i];
    const std::string_view rest = std::string_view(strings.value()).substr(symbol.st_name);
    const std::string_view name = rest.substr(0, rest.find('\0'));
    // kallsyms passes over what has no name, as the first symbol of every ELF table.
    if (name.empty() || name.size() > kMaxSymbolNameBytes) continue;
    const char letter =
        LetterOf(letters[i], exports.ok() ? exports.value() : kNone, symbol.st_value, name);
    KCD_TRY(out.Add(symbol.st_value, letter, name, module.name));
  }
  return {};
}

}  // namespace kcoredump
