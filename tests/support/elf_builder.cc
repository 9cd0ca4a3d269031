// SPDX-License-Identifier: MIT
#include "support/elf_builder.h"

#include <algorithm>
#include <cstring>

namespace kcoredump::test {

namespace {

void PadTo(Bytes& out, size_t alignment) {
  out.resize((out.size() + alignment - 1) / alignment * alignment);
}

}  // namespace

Elf64_Phdr LoadHeader(uint64_t vaddr, uint64_t paddr, uint64_t bytes) {
  Elf64_Phdr load{};
  load.p_type = PT_LOAD;
  load.p_flags = PF_R | PF_W | PF_X;
  load.p_vaddr = vaddr;
  load.p_paddr = paddr;
  load.p_filesz = bytes;
  load.p_memsz = bytes;
  return load;
}

Bytes NoteBytes(std::string_view owner, uint32_t type, std::string_view data) {
  Bytes out;
  AppendValue(out, Elf64_Nhdr{static_cast<uint32_t>(owner.size() + 1),
                              static_cast<uint32_t>(data.size()), type});
  const Bytes name = ToBytes(owner);
  out.insert(out.end(), name.begin(), name.end());
  out.push_back(std::byte{0});
  PadTo(out, 4);
  const Bytes content = ToBytes(data);
  out.insert(out.end(), content.begin(), content.end());
  PadTo(out, 4);
  return out;
}

ElfBuilder::ElfBuilder() : header{} {
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
}

void ElfBuilder::AddNote(std::string_view owner, uint32_t type, std::string_view data) {
  const Bytes note = NoteBytes(owner, type, data);
  notes.insert(notes.end(), note.begin(), note.end());
}

ElfBuilder& ElfBuilder::AddRam(uint64_t phys, uint64_t bytes) {
  return AddLoad(LoadHeader(kDirectMap + phys, phys, bytes), MemoryBytes(phys, bytes));
}

ElfBuilder& ElfBuilder::AddLoad(const Elf64_Phdr& load, Bytes content) {
  loads_.push_back({.header = load, .content = std::move(content), .alias_of = std::nullopt});
  return *this;
}

ElfBuilder& ElfBuilder::Zero(uint64_t at, uint64_t bytes) {
  for (Load& load : loads_) {
    const uint64_t start = load.header.p_paddr;
    if (at < start || at + bytes > start + load.content.size()) continue;
    std::fill_n(load.content.begin() + static_cast<ptrdiff_t>(at - start), bytes, std::byte{0});
  }
  return *this;
}

ElfBuilder& ElfBuilder::AddRaw(const Elf64_Phdr& raw) {
  loads_.push_back({.header = raw, .content = {}, .raw = true, .alias_of = std::nullopt});
  return *this;
}

ElfBuilder& ElfBuilder::AddAlias(uint64_t vaddr, uint64_t paddr, uint64_t bytes) {
  loads_.push_back(
      {.header = LoadHeader(vaddr, paddr, bytes), .content = {}, .raw = false, .alias_of = paddr});
  return *this;
}

Bytes ElfBuilder::Build() const {
  std::vector<Elf64_Phdr> headers;
  const bool has_notes = !notes.empty() || forged_notes_bytes != 0;
  const size_t count = loads_.size() + (has_notes ? 1 : 0);
  const bool extended = extended_count || count >= PN_XNUM;

  Elf64_Ehdr elf = header;
  uint64_t end = elf.e_phoff + count * sizeof(Elf64_Phdr);
  if (!count_as_written) {
    elf.e_phnum = static_cast<uint16_t>(extended ? PN_XNUM : count);
    if (extended) {
      elf.e_shoff = end;
      elf.e_shnum = 1;
      elf.e_shentsize = sizeof(Elf64_Shdr);
      end += sizeof(Elf64_Shdr);
    }
  }
  const uint64_t notes_offset = (end + 7) / 8 * 8;
  if (has_notes) {
    Elf64_Phdr note{};
    note.p_type = PT_NOTE;
    note.p_offset = notes_offset;
    note.p_filesz = forged_notes_bytes != 0 ? forged_notes_bytes : notes.size();
    headers.push_back(note);
  }
  uint64_t offset = (notes_offset + notes.size() + kPage - 1) / kPage * kPage;
  const uint64_t contents_offset = offset;
  for (const Load& load : loads_) {
    headers.push_back(load.header);
    if (load.raw || load.alias_of) continue;
    headers.back().p_offset = offset;
    offset += (load.content.size() + kPage - 1) / kPage * kPage;
  }
  for (size_t i = 0; i < loads_.size(); ++i) {
    if (!loads_[i].alias_of) continue;
    Elf64_Phdr& alias = headers[i + (has_notes ? 1 : 0)];
    for (size_t j = 0; j < loads_.size(); ++j) {
      const Elf64_Phdr& ram = headers[j + (has_notes ? 1 : 0)];
      if (loads_[j].alias_of || alias.p_paddr < ram.p_paddr ||
          alias.p_paddr >= ram.p_paddr + ram.p_memsz) {
        continue;
      }
      alias.p_offset = ram.p_offset + (alias.p_paddr - ram.p_paddr);
    }
  }

  Bytes out;
  AppendValue(out, elf);
  out.resize(elf.e_phoff);
  for (const Elf64_Phdr& entry : headers) AppendValue(out, entry);
  if (extended && !count_as_written) {
    Elf64_Shdr section{};
    section.sh_info = static_cast<uint32_t>(count);
    AppendValue(out, section);
  }
  out.resize(notes_offset);
  out.insert(out.end(), notes.begin(), notes.end());
  if (offset == contents_offset) return out;
  for (const Load& load : loads_) {
    if (load.raw || load.alias_of) continue;
    PadTo(out, kPage);
    out.insert(out.end(), load.content.begin(), load.content.end());
  }
  return out;
}

ElfBuilder SmallCore() {
  ElfBuilder core;
  core.AddNote("CORE", 1, "registers");
  core.AddNote("VMCOREINFO", 0,
               "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nKERNELOFFSET=1e00000\n"
               "SYMBOL(_stext)=ffffffff82e00000\nNUMBER(phys_base)=-702545920\n");
  core.AddAlias(kImageBase, kImagePhys, kImageBytes);
  core.AddRam(kLowRam, kLowRamBytes);
  core.AddRam(kHighRam, kHighRamBytes);
  core.Zero(kZeroedAt, kZeroedBytes);
  return core;
}

Bytes SmallCoreBytes(uint64_t at, size_t count) {
  Bytes bytes = MemoryBytes(at, count);
  for (size_t i = 0; i < count; ++i) {
    if (at + i >= kZeroedAt && at + i < kZeroedAt + kZeroedBytes) bytes[i] = std::byte{0};
  }
  return bytes;
}

}  // namespace kcoredump::test
