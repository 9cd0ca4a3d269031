// SPDX-License-Identifier: MIT
//
// Memory as words, and what words point to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// A JSON document holds no more than this.
inline constexpr uint64_t kMaxJsonReadBytes = 16 << 20;

/// What a word points to, "name+0x1c [module]"; empty: nothing that has a name.
using WordNames = std::function<std::string(uint64_t word)>;

/// The names of the kernel image and of modules. `kernel` must outlive it.
[[nodiscard]] WordNames KernelWordNames(Kernel& kernel);

/// Lines of little-endian words in hexadecimal, 16 bytes a line, with their text; with names one
/// word a line and what it points to. Repeated lines are squeezed to "*", and what is left of a
/// word at the end has fewer digits. For one thread.
class WordDump {
 public:
  /// `width`: 1, 2, 4 or 8 bytes a word. With `names` it must be 8.
  WordDump(uint64_t address, unsigned width, WordNames names = nullptr);
  /// The lines that `bytes` complete.
  [[nodiscard]] std::string Add(std::span<const std::byte> bytes);
  /// The last, short line and the address after it.
  [[nodiscard]] std::string Finish();

 private:
  void AddLine(std::string& out);
  [[nodiscard]] std::string FormatLine() const;

  uint64_t address_;
  unsigned width_;
  size_t line_bytes_;
  WordNames names_;
  std::vector<std::byte> line_;
  std::vector<std::byte> previous_;
  bool squeezing_ = false;
};

/// What Kernel::Read read, and why no more.
struct Reading {
  uint64_t bytes = 0;        ///< from the start on
  std::string failure;       ///< empty: all of it
  bool not_reached = false;  ///< the capture ended before the page that is missing
};

/// As Kernel::Read.
[[nodiscard]] Result<Reading> ReadMemory(Kernel& kernel, const Target& at,
                                         std::span<std::byte> out);

/// Memory that was read, as a document.
struct WordsAnswer {
  Target at;
  std::vector<std::byte> bytes;  ///< what was readable
  unsigned width = 0;            ///< of words; 0: bytes alone
  WordNames names;               ///< may be empty
  Findings findings;
};

[[nodiscard]] std::string ToJson(const WordsAnswer& answer);

}  // namespace kcoredump
