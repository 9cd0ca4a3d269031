// SPDX-License-Identifier: MIT
#include "elf/elf_core.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "base/zero.h"
#include "elf/elf_program.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

std::string LibelfMessage() {
  const char* message = elf_errmsg(-1);
  return message != nullptr ? message : "unknown libelf error";
}

/// Whether a file can have such a range at all: offsets are signed.
bool FitsAFile(uint64_t offset, uint64_t bytes) {
  const auto end = CheckedAdd(offset, bytes);
  return end && *end <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

/// Zeros at the end of a segment that are too short for a note.
bool IsPadding(std::span<const std::byte> rest) {
  return rest.size() < sizeof(Elf64_Nhdr) && IsZero(rest);
}

void InitialiseLibelf() {
  static const unsigned version = elf_version(EV_CURRENT);
  (void)version;
}

/// Runs libelf's translation between the file's form and this machine's, in the given direction.
using Translate = Elf_Data* (*)(Elf_Data*, const Elf_Data*, unsigned);

template <typename T>
Status Convert(Translate translate, Elf_Type type, std::span<const T> in, std::span<T> out) {
  InitialiseLibelf();
  Elf_Data source{};
  source.d_buf = const_cast<T*>(in.data());
  source.d_type = type;
  source.d_version = EV_CURRENT;
  source.d_size = in.size_bytes();
  Elf_Data target = source;
  target.d_buf = out.data();
  if (translate(&target, &source, ELFDATA2LSB) == nullptr) return Corrupt(LibelfMessage());
  return {};
}

/// Reads `out.size()` structures at `offset` and translates them.
template <typename T>
Status ReadStructures(const ReadAtFunction& read_at, uint64_t offset, Elf_Type type,
                      std::span<T> out, const std::string& what) {
  if (!FitsAFile(offset, out.size_bytes())) return Corrupt(what + " overflow the file");
  std::vector<T> raw(out.size());
  KCD_ASSIGN(const size_t count, read_at(offset, std::as_writable_bytes(std::span(raw))));
  if (count != out.size_bytes()) {
    return Corrupt(what + " at " + Hex(offset) + " run past the end of the file");
  }
  return Convert<T>(elf64_xlatetom, type, raw, out);
}

/// `core`: a core, or else an executable.
Status CheckIdentity(const Elf64_Ehdr& header, bool core) {
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return MakeError(ErrorCode::kUnsupported, "not a 64-bit little-endian ELF file");
  }
  if (header.e_ident[EI_VERSION] != EV_CURRENT || header.e_version != EV_CURRENT) {
    return Corrupt("ELF version " + std::to_string(header.e_version) + " does not exist");
  }
  const bool executable = header.e_type == ET_EXEC || header.e_type == ET_DYN;
  if (core ? header.e_type != ET_CORE : !executable) {
    return MakeError(ErrorCode::kUnsupported,
                     "an ELF file, but " + std::string(core ? "not a core" : "no executable") +
                         " (e_type " + std::to_string(header.e_type) + ")");
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr)) {
    return Corrupt("program headers of " + std::to_string(header.e_phentsize) + " bytes");
  }
  return {};
}

/// e_phnum, or sh_info of section header 0 where e_phnum is PN_XNUM (gABI, "Number of Program
/// Headers").
Result<uint64_t> ProgramHeaderCount(const ReadAtFunction& read_at, const Elf64_Ehdr& header) {
  if (header.e_phnum != PN_XNUM) return header.e_phnum;
  if (header.e_shoff == 0) return Corrupt("e_phnum is PN_XNUM, but there is no section header");
  Elf64_Shdr section{};
  KCD_TRY(ReadStructures<Elf64_Shdr>(read_at, header.e_shoff, ELF_T_SHDR, {&section, 1},
                                     "section headers"));
  return section.sh_info;
}

ProgramHeader FromElf(const Elf64_Phdr& header) {
  return {.type = header.p_type,
          .flags = header.p_flags,
          .offset = header.p_offset,
          .vaddr = header.p_vaddr,
          .paddr = header.p_paddr,
          .filesz = header.p_filesz,
          .memsz = header.p_memsz,
          .align = header.p_align};
}

Elf64_Phdr ToElf(const ProgramHeader& header) {
  return {.p_type = header.type,
          .p_flags = header.flags,
          .p_offset = header.offset,
          .p_vaddr = header.vaddr,
          .p_paddr = header.paddr,
          .p_filesz = header.filesz,
          .p_memsz = header.memsz,
          .p_align = header.align};
}

Elf64_Ehdr MakeElfHeader(uint16_t machine, size_t header_count) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = machine;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<uint16_t>(std::min<size_t>(header_count, PN_XNUM));
  if (header_count >= PN_XNUM) {
    header.e_shoff = sizeof(Elf64_Ehdr) + header_count * sizeof(Elf64_Phdr);
    header.e_shnum = 1;
    header.e_shentsize = sizeof(Elf64_Shdr);
  }
  return header;
}

/// Appends structures of ours in the file's form. Translating them cannot fail: types and sizes
/// are right by construction.
template <typename T>
void AppendStructures(std::vector<std::byte>& out, Elf_Type type, std::span<const T> structures) {
  if (structures.empty()) return;
  std::vector<T> raw(structures.size());
  if (!Convert<T>(elf64_xlatetof, type, structures, raw).ok()) std::abort();
  const auto bytes = std::as_bytes(std::span(raw));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

struct ElfCloser {
  void operator()(Elf* elf) const { elf_end(elf); }
};

Result<ElfCore> ReadElf(const ReadAtFunction& read_at, bool core) {
  Elf64_Ehdr raw{};
  KCD_ASSIGN(const size_t have, read_at(0, std::as_writable_bytes(std::span(&raw, 1))));
  if (have < sizeof(raw)) {
    return MakeError(ErrorCode::kUnsupported, "too short for an ELF file");
  }
  Elf64_Ehdr header{};
  // The identity is looked at as it stands: bytes of other files mean nothing to libelf.
  if (std::memcmp(raw.e_ident, ELFMAG, SELFMAG) != 0) {
    return MakeError(ErrorCode::kUnsupported, "not an ELF file");
  }
  KCD_TRY(Convert<Elf64_Ehdr>(elf64_xlatetom, ELF_T_EHDR, {&raw, 1}, {&header, 1}));
  KCD_TRY(CheckIdentity(header, core));

  KCD_ASSIGN(const uint64_t count, ProgramHeaderCount(read_at, header));
  if (count == 0) return Corrupt("an ELF file without program headers");
  if (count > kMaxProgramHeaders) {
    return MakeError(ErrorCode::kLimitExceeded, std::to_string(count) +
                                                    " program headers, more than " +
                                                    std::to_string(kMaxProgramHeaders));
  }
  std::vector<Elf64_Phdr> table(count);
  KCD_TRY(
      ReadStructures<Elf64_Phdr>(read_at, header.e_phoff, ELF_T_PHDR, table, "program headers"));
  ElfCore file;
  file.machine = header.e_machine;
  file.head_bytes = header.e_phoff + count * sizeof(Elf64_Phdr);
  file.headers.reserve(count);
  for (const Elf64_Phdr& entry : table) file.headers.push_back(FromElf(entry));
  return file;
}

}  // namespace

const ProgramHeader* ElfCore::Find(uint32_t type) const {
  for (const ProgramHeader& header : headers) {
    if (header.type == type) return &header;
  }
  return nullptr;
}

size_t ReadFromBytes(std::span<const std::byte> bytes, uint64_t offset, std::span<std::byte> out) {
  if (offset >= bytes.size()) return 0;
  const size_t count = std::min<uint64_t>(out.size(), bytes.size() - offset);
  std::memcpy(out.data(), bytes.data() + offset, count);
  return count;
}

Result<ElfCore> ReadElfCore(const ReadAtFunction& read_at) { return ReadElf(read_at, true); }

Result<ElfCore> ReadElfExecutable(const ReadAtFunction& read_at) { return ReadElf(read_at, false); }

Result<NoteSegment> NoteSegment::Read(const ReadAtFunction& read_at, const ProgramHeader& header) {
  static constexpr size_t kStepBytes = 1 << 20;
  static constexpr size_t kRoomBytes = 1 << 20;
  if (header.filesz > kMaxNoteBytes) {
    return MakeError(ErrorCode::kLimitExceeded, "a note segment of " + HumanBytes(header.filesz));
  }
  if (!FitsAFile(header.offset, header.filesz)) return Corrupt("notes overflow the file");
  NoteSegment segment = Copy({});
  std::vector<std::byte>& file = segment.file_;
  const size_t start = file.size();
  // Touched, and so paid for, only as the bytes arrive; some more, so that Take's caller need not
  // hold two copies.
  file.reserve(start + header.filesz + kRoomBytes);
  while (file.size() - start < header.filesz) {
    const size_t have = file.size();
    file.resize(have + std::min<uint64_t>(kStepBytes, header.filesz - (have - start)));
    KCD_ASSIGN(const size_t count,
               read_at(header.offset + (have - start), std::span(file).subspan(have)));
    if (count != file.size() - have) {
      return Corrupt("notes at " + Hex(header.offset) + " run past the end of the file");
    }
  }
  return segment;
}

NoteSegment NoteSegment::Copy(std::span<const std::byte> notes) {
  NoteSegment segment;
  segment.file_ = BuildElfHead(EM_NONE, {});
  segment.file_.insert(segment.file_.end(), notes.begin(), notes.end());
  return segment;
}

std::span<const std::byte> NoteSegment::bytes() const {
  const std::span<const std::byte> file(file_);
  return file.subspan(std::min<size_t>(file.size(), ElfHeadBytes(0)));
}

std::vector<std::byte> NoteSegment::Take() && {
  const size_t head = file_.size() - bytes().size();
  file_.erase(file_.begin(), file_.begin() + static_cast<ptrdiff_t>(head));
  return std::move(file_);
}

Result<std::vector<Note>> NoteSegment::Parse() const {
  const std::span<const std::byte> data = bytes();
  if (data.empty()) return std::vector<Note>{};
  InitialiseLibelf();
  // libelf takes a char*, but opened from memory for reading it writes nothing.
  const std::unique_ptr<Elf, ElfCloser> elf(
      elf_memory(const_cast<char*>(reinterpret_cast<const char*>(file_.data())), file_.size()));
  if (elf == nullptr) return Corrupt("notes: " + LibelfMessage());
  Elf_Data* chunk = elf_getdata_rawchunk(elf.get(), static_cast<int64_t>(ElfHeadBytes(0)),
                                         data.size(), ELF_T_NHDR);
  if (chunk == nullptr) return Corrupt("notes: " + LibelfMessage());

  std::vector<Note> notes;
  size_t offset = 0;
  while (offset < data.size() && !IsPadding(data.subspan(offset))) {
    GElf_Nhdr header{};
    size_t name_offset = 0;
    size_t data_offset = 0;
    const size_t next = gelf_getnote(chunk, offset, &header, &name_offset, &data_offset);
    if (next == 0 || next > data.size() || data_offset + header.n_descsz > data.size()) {
      return Corrupt("the note at " + Hex(offset) + " runs past the end of its segment");
    }
    if (notes.size() == kMaxNotes) {
      return MakeError(ErrorCode::kLimitExceeded,
                       "more than " + std::to_string(kMaxNotes) + " notes");
    }
    const char* name = reinterpret_cast<const char*>(data.data() + name_offset);
    notes.push_back({.owner = std::string(name, strnlen(name, header.n_namesz)),
                     .type = header.n_type,
                     .data = data.subspan(data_offset, header.n_descsz)});
    offset = next;
  }
  return notes;
}

uint64_t ElfHeadBytes(size_t header_count) {
  return sizeof(Elf64_Ehdr) + header_count * sizeof(Elf64_Phdr) +
         (header_count >= PN_XNUM ? sizeof(Elf64_Shdr) : 0);
}

std::vector<std::byte> BuildElfHead(uint16_t machine, const std::vector<ProgramHeader>& headers) {
  std::vector<std::byte> out;
  out.reserve(ElfHeadBytes(headers.size()));
  const Elf64_Ehdr header = MakeElfHeader(machine, headers.size());
  AppendStructures<Elf64_Ehdr>(out, ELF_T_EHDR, {&header, 1});
  std::vector<Elf64_Phdr> table;
  table.reserve(headers.size());
  for (const ProgramHeader& entry : headers) table.push_back(ToElf(entry));
  AppendStructures<Elf64_Phdr>(out, ELF_T_PHDR, table);
  if (headers.size() >= PN_XNUM) {
    Elf64_Shdr section{};
    section.sh_info = static_cast<uint32_t>(headers.size());
    AppendStructures<Elf64_Shdr>(out, ELF_T_SHDR, {&section, 1});
  }
  return out;
}

void AppendNoteHeader(std::vector<std::byte>& out, const std::string& owner, uint32_t type,
                      uint32_t data_bytes) {
  const Elf64_Nhdr header{
      .n_namesz = static_cast<uint32_t>(owner.size() + 1), .n_descsz = data_bytes, .n_type = type};
  const auto raw = std::as_bytes(std::span(&header, 1));
  out.insert(out.end(), raw.begin(), raw.end());
  const auto name = std::as_bytes(std::span(owner));
  out.insert(out.end(), name.begin(), name.end());
  out.resize(AlignUp(out.size() + 1, 4));  // the terminating NUL and the padding
}

std::string MachineName(uint16_t machine) {
  if (machine == EM_X86_64) return "x86_64";
  if (machine == EM_AARCH64) return "aarch64";
  if (machine == EM_NONE) return "unknown";
  return "machine " + std::to_string(machine);
}

uint16_t MachineFromName(std::string_view name) {
  if (name == "x86_64") return EM_X86_64;
  if (name == "aarch64") return EM_AARCH64;
  return EM_NONE;
}

}  // namespace kcoredump
