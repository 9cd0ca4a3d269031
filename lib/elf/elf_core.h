// SPDX-License-Identifier: MIT
//
// ELF64 core files as memory dumps use them: program headers and notes. The only room that sees
// libelf. Safe for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/result.h"

namespace kcoredump {

/// Most program headers accepted: twice what fits without PN_XNUM.
inline constexpr uint64_t kMaxProgramHeaders = 1 << 17;
/// Most bytes of notes accepted: kallsyms and BTF of a large kernel come to some 30 MiB, and a
/// capture holds them together with its pipeline in 64 MiB.
inline constexpr uint64_t kMaxNoteBytes = 44 << 20;
/// Most notes accepted in one segment.
inline constexpr size_t kMaxNotes = 1 << 16;

struct ProgramHeader {
  uint32_t type = 0;
  uint32_t flags = 0;
  uint64_t offset = 0;
  uint64_t vaddr = 0;
  uint64_t paddr = 0;
  uint64_t filesz = 0;
  uint64_t memsz = 0;
  uint64_t align = 0;
};

struct ElfCore {
  uint16_t machine = 0;
  std::vector<ProgramHeader> headers;
  /// Where the ELF header and the program header table end; everything a change of layout touches
  /// lies before it.
  uint64_t head_bytes = 0;

  /// The first header of a type; nullptr: none.
  [[nodiscard]] const ProgramHeader* Find(uint32_t type) const;
};

/// Fills `out` from `offset`, or as much as there is; returns the bytes filled.
using ReadAtFunction = std::function<Result<size_t>(uint64_t offset, std::span<std::byte> out)>;

/// What a ReadAtFunction over bytes in memory does.
[[nodiscard]] size_t ReadFromBytes(std::span<const std::byte> bytes, uint64_t offset,
                                   std::span<std::byte> out);

/// ELF header and program headers (PN_XNUM too) through libelf. Any e_ehsize and e_phoff will do,
/// QEMU's e_ehsize of 8 included. kUnsupported: not an ELF64 little-endian core; kCorrupt: a table
/// that lies outside the file or overflows; kLimitExceeded: too many headers.
[[nodiscard]] Result<ElfCore> ReadElfCore(const ReadAtFunction& read_at);

struct Note {
  std::string owner;
  uint32_t type = 0;
  std::span<const std::byte> data;  ///< inside the segment that was parsed
};

/// A note segment as libelf wants it, with an ELF header before it, so that nothing is copied to be
/// parsed. Immutable; any thread may call.
class NoteSegment {
 public:
  NoteSegment() = default;
  /// Reads the segment of `header`, growing as the bytes arrive: a forged size costs no memory that
  /// the file does not have. kLimitExceeded beyond kMaxNoteBytes.
  [[nodiscard]] static Result<NoteSegment> Read(const ReadAtFunction& read_at,
                                                const ProgramHeader& header);
  [[nodiscard]] static NoteSegment Copy(std::span<const std::byte> notes);

  [[nodiscard]] std::span<const std::byte> bytes() const;
  /// The same bytes, moved out, with room behind them for what a caller appends.
  [[nodiscard]] std::vector<std::byte> Take() &&;
  /// The notes through libelf; their `data` lies in this segment. kCorrupt when one runs past the
  /// end.
  [[nodiscard]] Result<std::vector<Note>> Parse() const;

 private:
  std::vector<std::byte> file_;  ///< empty, or an ELF header and the notes
};

/// ELF header, program headers and, from 65,535 headers on, the section header that PN_XNUM wants.
/// The program headers' offsets are the caller's; ElfHeadBytes tells where the head ends.
[[nodiscard]] std::vector<std::byte> BuildElfHead(uint16_t machine,
                                                  const std::vector<ProgramHeader>& headers);
[[nodiscard]] uint64_t ElfHeadBytes(size_t header_count);

/// Header and owner of a note whose `data_bytes` the caller appends next, padded to 4 bytes. `out`
/// must start at a multiple of 4 in the file.
void AppendNoteHeader(std::vector<std::byte>& out, const std::string& owner, uint32_t type,
                      uint32_t data_bytes);

/// "x86_64", "aarch64", "unknown" (EM_NONE) or "machine N".
[[nodiscard]] std::string MachineName(uint16_t machine);
/// The machine of such a name, as utsname has it too; EM_NONE: not one of these.
[[nodiscard]] uint16_t MachineFromName(std::string_view name);

}  // namespace kcoredump
