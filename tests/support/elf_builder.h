// SPDX-License-Identifier: MIT
//
// ELF cores byte by byte, without libelf and without the library: what it reads was not written by
// the code under test, and every field can be forged.
#pragma once

#include <elf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/test_bytes.h"

namespace kcoredump::test {

/// Where x86_64 kernels map all of memory and their own image, without KASLR.
inline constexpr uint64_t kDirectMap = 0xffff888000000000;
inline constexpr uint64_t kImageBase = 0xffffffff81000000;
inline constexpr uint64_t kNoPhys = ~uint64_t{0};

[[nodiscard]] Elf64_Phdr LoadHeader(uint64_t vaddr, uint64_t paddr, uint64_t bytes);
/// One note: header, owner with its NUL, data, each padded to 4 bytes.
[[nodiscard]] Bytes NoteBytes(std::string_view owner, uint32_t type, std::string_view data);

class ElfBuilder {
 public:
  /// Fields of the ELF header, changed at will before Build. e_phnum, e_shoff and e_shnum follow
  /// from the headers unless `count_as_written`.
  Elf64_Ehdr header;
  bool count_as_written = false;
  /// PN_XNUM and a section header even for few program headers.
  bool extended_count = false;
  Bytes notes;
  /// Size of the note segment where it must lie; 0: as long as `notes`.
  uint64_t forged_notes_bytes = 0;

  ElfBuilder();

  void AddNote(std::string_view owner, uint32_t type, std::string_view data);
  /// A PT_LOAD whose content follows from its physical address (MemoryBytes).
  ElfBuilder& AddRam(uint64_t phys, uint64_t bytes);
  ElfBuilder& AddLoad(const Elf64_Phdr& load, Bytes content);
  /// Fills an already added PT_LOAD's bytes from physical `at` with zeros.
  ElfBuilder& Zero(uint64_t at, uint64_t bytes);
  /// A header as it is, its p_offset too.
  ElfBuilder& AddRaw(const Elf64_Phdr& raw);
  /// A header over the file bytes of the RAM at `paddr`, added already: an alias.
  ElfBuilder& AddAlias(uint64_t vaddr, uint64_t paddr, uint64_t bytes);

  /// ELF header, program headers at e_phoff, section header if any, notes, contents page-aligned.
  [[nodiscard]] Bytes Build() const;

 private:
  struct Load {
    Elf64_Phdr header;
    Bytes content;
    bool raw = false;
    std::optional<uint64_t> alias_of;  ///< a physical address
  };
  std::vector<Load> loads_;
};

/// Two RAM segments (8 and 16 pages, some of them zero), the kernel image as an alias, VMCOREINFO.
[[nodiscard]] ElfBuilder SmallCore();
inline constexpr uint64_t kLowRam = 0x1000;
inline constexpr uint64_t kLowRamBytes = 8 * kPage;
inline constexpr uint64_t kHighRam = 0x100000;
inline constexpr uint64_t kHighRamBytes = 16 * kPage;
inline constexpr uint64_t kZeroedAt = 0x108000;
inline constexpr uint64_t kZeroedBytes = 4 * kPage;
inline constexpr uint64_t kImagePhys = 0x104000;
inline constexpr uint64_t kImageBytes = 3 * kPage;
inline constexpr uint64_t kSmallCorePages = 24;

/// What SmallCore holds at a physical address.
[[nodiscard]] Bytes SmallCoreBytes(uint64_t at, size_t count);

template <typename T>
void Poke(Bytes& bytes, size_t offset, T value) {
  const auto raw = std::as_bytes(std::span(&value, 1));
  std::copy(raw.begin(), raw.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
}

}  // namespace kcoredump::test
