// SPDX-License-Identifier: MIT
//
// Machine code as memory holds it now: patched jumps, calls and nops as they are, with names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr size_t kDefaultInstructions = 16;
/// Of one answer, also of a whole function.
inline constexpr size_t kMaxInstructions = 100000;

/// Of x86; other machines have one.
enum class AssemblySyntax : uint8_t { kAtt, kIntel };

struct DisassembleOptions {
  AssemblySyntax syntax = AssemblySyntax::kAtt;
  size_t count = kDefaultInstructions;  ///< at most kMaxInstructions
  /// All of the symbol that contains the address, from its start to the next symbol, without the
  /// padding at its end; `count` is then not used.
  bool function = false;
};

/// What an operand refers to: memory beside the instruction pointer, or a constant that is an
/// address of the kernel.
struct CodeReference {
  uint64_t address = 0;
  std::string symbol;    ///< "name+0x10 [module]", without "+0x0"; empty: none
  bool per_cpu = false;  ///< an offset into each CPU's own area
};

/// An instruction that the running kernel rewrites.
struct PatchSite {
  enum class Kind : uint8_t {
    kFtrace,      ///< a function's call of the tracer, or the nop in its place (kernel: ftrace.c)
    kStaticKey,   ///< a nop or a jump by a key (kernel: jump_label.c)
    kLandingPad,  ///< the nop in place of an endbr64 that nothing needs (kernel: x86, ibt.h)
  };
  Kind kind = Kind::kFtrace;
  bool patched_in = false;  ///< now a call or a jump; false: now a nop
  uint64_t key = 0;         ///< address of the struct static_key
  std::string key_symbol;   ///< as CodeReference::symbol
  /// Whether the key is on; nothing: not readable, or not a key.
  std::optional<bool> enabled;
  uint64_t jump_target = 0;        ///< of the key's jump, be it there or not
  std::string jump_target_symbol;  ///< as CodeReference::symbol
};

struct Instruction {
  uint64_t address = 0;
  std::vector<std::byte> bytes;
  /// "(bad)": no instruction, one byte (x86) or four. "(truncated)": memory ended within it.
  /// "(vex)", "(evex)": a vector instruction of known length, newer than the disassembler.
  std::string mnemonic;
  std::string operands;
  std::string symbol;         ///< the name of the one it belongs to; empty: none
  std::string module;         ///< that symbol's; empty: the kernel itself
  uint64_t symbol_start = 0;  ///< its address; only with `symbol`
  /// Where a direct call or jump leads, and where in `operands` that stands.
  std::optional<uint64_t> target;
  size_t target_at = 0;
  std::string target_symbol;  ///< as CodeReference::symbol
  std::vector<CodeReference> references;
  std::optional<PatchSite> site;
};

/// Text may quote the image: escape it for a terminal.
struct DisassembleAnswer {
  Target start;         ///< of the first instruction
  std::string machine;  ///< "x86_64", "aarch64"
  std::vector<Instruction> instructions;
  /// Behind a function, up to the next symbol: int3, nops and zeros, and what follows many zeros.
  /// Not among the instructions.
  uint64_t padding_bytes = 0;
  std::string failure;       ///< empty: all was read; otherwise what is missing after the last
  bool not_reached = false;  ///< the capture ended before the page that is missing
  Findings findings;
};

/// Disassembles from `at` on, in any of its spaces; names are given in the kernel's. kUnsupported:
/// a machine other than x86_64 and aarch64. kInvalidArgument: an address that no instruction of
/// the machine can have, a count of 0 or above the limit, or `function` where no symbol is.
[[nodiscard]] Result<DisassembleAnswer> Disassemble(Kernel& kernel, const Target& at,
                                                    const DisassembleOptions& options = {});

struct DisassembleTextOptions {
  TextStyle style;
  bool bytes = false;  ///< the bytes of each instruction; of aarch64 its word
};

/// A line with the symbol wherever one begins, and a line for each instruction.
[[nodiscard]] std::string ToText(const DisassembleAnswer& answer,
                                 const DisassembleTextOptions& options);
/// {"address", "space", "pid", "machine", "instructions": [{"address", "symbol", "offset",
/// "module", "bytes", "mnemonic", "operands", "target", "target_symbol", "references": [{"address",
/// "symbol", "per_cpu"}], "site": null or {"kind", "patched_in", "key", "key_symbol", "enabled",
/// "jump_target", "jump_target_symbol"}}], "padding_bytes", "notes", "incomplete"}
[[nodiscard]] std::string ToJson(const DisassembleAnswer& answer);

}  // namespace kcoredump
