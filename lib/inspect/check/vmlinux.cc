// SPDX-License-Identifier: MIT
#include "inspect/check/vmlinux.h"

#include <elf.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/try.h"
#include "elf/elf_program.h"
#include "kcoredump/text.h"
#include "symbol/record.h"

namespace kcoredump {

namespace {

constexpr uint64_t kMaxTableBytes = 16 << 20;

/// A table of s32, each relative to itself and followed by so many bytes that are patched (kernel:
/// arch/x86/kernel/alternative.c, vmlinux.lds.S).
struct RelativeTable {
  const char* start;
  const char* stop;
  uint64_t bytes;
};
constexpr std::array kRelativeTables = {
    RelativeTable{"__retpoline_sites", "__retpoline_sites_end", 7},
    RelativeTable{"__return_sites", "__return_sites_end", 5},
    RelativeTable{"__call_sites", "__call_sites_end", 5},
    RelativeTable{"__ibt_endbr_seal", "__ibt_endbr_seal_end", 4},
    RelativeTable{"__smp_locks", "__smp_locks_end", 1},
    RelativeTable{"__cfi_sites", "__cfi_sites_end", 8},
};
/// 6.11, arch/x86/include/asm/runtime-const.h; __start_runtime_ptr_NAME and the like.
constexpr std::string_view kRuntimeStart = "__start_runtime_";
constexpr std::string_view kRuntimeStop = "__stop_runtime_";

std::optional<uint64_t> AddressOfSymbol(const SymbolTable& symbols, std::string_view name) {
  for (const Symbol& symbol : symbols.Named(name)) {
    if (symbol.module.empty()) return symbol.address;
  }
  return std::nullopt;
}

/// Reads tables, and collects what they name.
class SiteReader {
 public:
  SiteReader(const Vmlinux& file, const SymbolTable& symbols, const TypeCatalog& types,
             uint64_t slide, std::vector<std::string>& notes)
      : file_(file), symbols_(symbols), types_(types), slide_(slide), notes_(notes) {}

  void AddRelative(const std::string& start, const std::string& stop, uint64_t patched);
  void AddAlternatives();
  void AddParavirt();
  void AddRuntimeConstants();
  [[nodiscard]] std::vector<Range> Take() { return Normalized(std::move(sites_)); }

 private:
  struct Bytes {
    uint64_t address = 0;  ///< in the kernel
    std::vector<std::byte> data;

    template <typename T>
    [[nodiscard]] T At(uint64_t offset) const {
      T value{};
      if (offset <= data.size() && data.size() - offset >= sizeof(T)) {
        std::memcpy(&value, data.data() + offset, sizeof(T));
      }
      return value;
    }
  };
  /// Nothing: this kernel has no such table, or a note says what is wrong.
  [[nodiscard]] std::optional<Bytes> Table(const std::string& start, const std::string& stop);
  void Add(uint64_t address, uint64_t bytes) { sites_.push_back({address, address + bytes}); }

  const Vmlinux& file_;
  const SymbolTable& symbols_;
  const TypeCatalog& types_;
  uint64_t slide_;
  std::vector<std::string>& notes_;
  std::vector<Range> sites_;
};

std::optional<SiteReader::Bytes> SiteReader::Table(const std::string& start,
                                                   const std::string& stop) {
  const auto begin = AddressOfSymbol(symbols_, start);
  const auto end = AddressOfSymbol(symbols_, stop);
  if (!begin || !end || *end <= *begin) return std::nullopt;
  if (*end - *begin > kMaxTableBytes) {
    notes_.push_back(start + " has more entries than any kernel");
    return std::nullopt;
  }
  Bytes bytes{.address = *begin, .data = std::vector<std::byte>(*end - *begin)};
  const Status read = file_.Read(*begin - slide_, bytes.data);
  if (read.ok()) return bytes;
  notes_.push_back(start + " is not in the file: " + read.error().message);
  return std::nullopt;
}

void SiteReader::AddRelative(const std::string& start, const std::string& stop, uint64_t patched) {
  const auto table = Table(start, stop);
  if (!table) return;
  for (uint64_t at = 0; at + sizeof(int32_t) <= table->data.size(); at += sizeof(int32_t)) {
    const int64_t offset = table->At<int32_t>(at);
    Add(table->address + at + static_cast<uint64_t>(offset), patched);
  }
}

/// struct alt_instr: instr_offset is relative to itself.
void SiteReader::AddAlternatives() {
  const auto table = Table("__alt_instructions", "__alt_instructions_end");
  const auto layout = Layout::Of(types_, "struct alt_instr");
  const Field site = layout.ok() ? layout.value().Find("instr_offset") : Field{};
  const Field bytes = layout.ok() ? layout.value().Find("instrlen") : Field{};
  if (!table) return;
  if (!site.known() || !bytes.known()) {
    return notes_.push_back("this kernel's struct alt_instr is not known: alternatives are not");
  }
  for (uint64_t at = 0; at + layout.value().bytes() <= table->data.size();
       at += layout.value().bytes()) {
    const int64_t offset = table->At<int32_t>(at + site.offset);
    Add(table->address + at + site.offset + static_cast<uint64_t>(offset),
        table->At<uint8_t>(at + bytes.offset));
  }
}

/// struct paravirt_patch_site, up to 6.7: absolute addresses, which the file has without the slide.
/// The last one comes without what fills it up.
void SiteReader::AddParavirt() {
  const auto table = Table("__parainstructions", "__parainstructions_end");
  const auto layout = Layout::Of(types_, "struct paravirt_patch_site");
  const Field site = layout.ok() ? layout.value().Find("instr") : Field{};
  const Field bytes = layout.ok() ? layout.value().Find("len") : Field{};
  if (!table || !site.known() || !bytes.known()) return;
  for (uint64_t at = 0; at + bytes.offset + bytes.bytes <= table->data.size();
       at += layout.value().bytes()) {
    Add(table->At<uint64_t>(at + site.offset) + slide_, table->At<uint8_t>(at + bytes.offset));
  }
}

void SiteReader::AddRuntimeConstants() {
  for (const Symbol& symbol : symbols_.Matching(std::string(kRuntimeStart) + "*", 1024)) {
    const std::string rest(symbol.name.substr(kRuntimeStart.size()));
    const uint64_t patched = rest.starts_with("ptr_") ? sizeof(uint64_t) : sizeof(uint32_t);
    AddRelative(std::string(symbol.name), std::string(kRuntimeStop) + rest, patched);
  }
}

}  // namespace

Result<Vmlinux> Vmlinux::Open(const std::string& path) {
  Vmlinux vmlinux;
  KCD_ASSIGN(vmlinux.file_, OpenInputFile(path));
  auto elf = ReadElfExecutable(vmlinux.file_.read_at);
  if (!elf.ok()) {
    std::array<std::byte, 4> magic{};
    constexpr uint64_t kBootHeader = 0x202;  // Documentation/arch/x86/boot.rst
    const auto read = vmlinux.file_.read_at(kBootHeader, magic);
    if (read.ok() && std::memcmp(magic.data(), "HdrS", magic.size()) == 0) {
      return MakeError(ErrorCode::kUnsupported,
                       path +
                           ": a bzImage; the kernel's scripts/extract-vmlinux unpacks the ELF "
                           "file in it");
    }
    return std::move(elf.error()).WithContext(path);
  }
  vmlinux.elf_ = std::move(elf.value());
  return vmlinux;
}

Status Vmlinux::Read(uint64_t address, std::span<std::byte> out) const {
  for (const ProgramHeader& header : elf_.headers) {
    if (header.type != PT_LOAD || address < header.vaddr) continue;
    const uint64_t offset = address - header.vaddr;
    if (offset >= header.filesz || header.filesz - offset < out.size()) continue;
    return file_.ReadExactly(header.offset + offset, out);
  }
  Error error =
      MakeError(ErrorCode::kUnreadable, file_.path + " has no bytes for " + HexAddress(address));
  error.address = address;
  return error;
}

std::vector<Range> Vmlinux::BootSites(const SymbolTable& symbols, const TypeCatalog& types,
                                      uint64_t slide, std::vector<std::string>& notes) const {
  SiteReader reader(*this, symbols, types, slide, notes);
  for (const RelativeTable& table : kRelativeTables) {
    reader.AddRelative(table.start, table.stop, table.bytes);
  }
  reader.AddAlternatives();
  reader.AddParavirt();
  reader.AddRuntimeConstants();
  return reader.Take();
}

}  // namespace kcoredump
