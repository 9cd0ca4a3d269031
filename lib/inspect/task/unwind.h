// SPDX-License-Identifier: MIT
//
// From a frame of a kernel stack to its caller's, by ORC from the kernel's memory, and by frame
// pointers where ORC has nothing to say. x86_64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "inspect/task/orc_table.h"
#include "kcoredump/result.h"
#include "space/memory_view.h"
#include "symbol/modules.h"
#include "symbol/symbol_table.h"
#include "symbol/type_catalog.h"

namespace kcoredump {

/// Frames of one stack that are looked at.
inline constexpr size_t kMaxStackFrames = 512;

enum class FrameMethod : uint8_t {
  kStart,         ///< where the caller began
  kOrc,           ///< by an ORC entry
  kFramePointer,  ///< there is none: rbp was taken for a frame pointer, which it need not be
};

/// One function's place on a stack, as far as ORC knows: it says nothing of other registers.
struct StackFrame {
  uint64_t pc = 0;  ///< the next instruction: a return address, unless `interrupted`
  uint64_t sp = 0;
  std::optional<uint64_t> bp = std::nullopt;
  bool interrupted = false;  ///< `pc` itself was to be executed: an interrupt or exception came
  uint64_t regs = 0;         ///< address of the struct pt_regs of that; 0: none, or a part of one
  FrameMethod method = FrameMethod::kStart;

  /// What a symbol or a rule is looked up for: a call may be the last instruction of its function.
  [[nodiscard]] uint64_t lookup_pc() const { return interrupted ? pc : pc - 1; }
};

struct UnwindSources {
  MemoryView& kernel;
  const TypeCatalog& types;
  SymbolLookup symbol;
  const std::vector<LoadedModule>* modules = nullptr;  ///< nullptr: their ORC is not used
};

/// For one thread. The sources must outlive it.
class StackUnwinder {
 public:
  /// Never fails: what is missing is said by notes(), and frame pointers do instead.
  explicit StackUnwinder(const UnwindSources& sources);

  /// The frame that called `frame`. Nothing: it is the outermost. kCorrupt: the stack contradicts
  /// itself; kUnreadable.
  [[nodiscard]] Result<std::optional<StackFrame>> Caller(const StackFrame& frame);

  /// `first` and all its callers, at most kMaxStackFrames; `trouble`: why they end too early.
  [[nodiscard]] std::vector<StackFrame> Walk(const StackFrame& first, std::string* trouble);

  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct ModuleTable {
    uint64_t count_offset = 0;
    uint64_t ips_offset = 0;
    uint64_t entries_offset = 0;
  };
  void LoadKernelTable();
  void FindModuleFields();
  void FindRegisters();
  [[nodiscard]] std::optional<OrcRule> FindRule(uint64_t pc);
  [[nodiscard]] const OrcTable* TableOf(const LoadedModule& module);
  [[nodiscard]] Result<uint64_t> BaseOf(const OrcRule& rule, const StackFrame& frame);
  [[nodiscard]] Result<uint64_t> CallersFrame(const OrcRule& rule, const StackFrame& frame);
  [[nodiscard]] Result<std::optional<StackFrame>> FromRegisters(const OrcRule& rule,
                                                                uint64_t frame_end);

  UnwindSources sources_;
  std::optional<OrcLayout> layout_;
  std::optional<OrcTable> kernel_table_;
  std::optional<ModuleTable> module_fields_;
  std::map<uint64_t, std::optional<OrcTable>> module_tables_;  ///< by address of struct module
  uint64_t entries_left_ = kMaxOrcEntries;                     ///< that modules' tables may have
  /// Offsets in struct pt_regs; nothing: BTF does not tell, and stacks end at interrupts.
  struct RegisterOffsets {
    uint64_t ip, cs, sp, bp, ax, dx, di, r10, r13;
  };
  std::optional<RegisterOffsets> registers_;
  std::vector<std::string> notes_;
};

}  // namespace kcoredump
