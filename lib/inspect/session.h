// SPDX-License-Identifier: MIT
//
// What stands behind the public Kernel: one image, and symbols, types, modules and address spaces,
// each loaded at its first need.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"
#include "kernel/kernel_facts.h"
#include "source/memory_source.h"
#include "space/kernel_space.h"
#include "space/physical_space.h"
#include "symbol/modules.h"
#include "symbol/symbol_table.h"
#include "symbol/type_catalog.h"
#include "symbol/vmalloc_areas.h"

namespace kcoredump {

/// For one thread at a time.
class Session {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Session>> Open(const std::string& path,
                                                             const KernelOptions& options);
  ~Session();

  [[nodiscard]] const MemorySource& source() const;
  [[nodiscard]] bool live() const { return source().kind() == SourceKind::kLive; }
  /// Gathered at the first call, which may scan the image for VMCOREINFO.
  [[nodiscard]] const KernelFacts& facts();
  [[nodiscard]] PhysicalSpace& physical();
  [[nodiscard]] KernelSpace& kernel();

  /// Kallsyms with modules' symbols: /proc/kallsyms, the note, or decoded from memory. The pointer
  /// lives as long as the session. An error is remembered and given again.
  [[nodiscard]] Result<const SymbolTable*> Symbols();
  /// BTF: /sys/kernel/btf, the notes, or the image between __start_BTF and __stop_BTF.
  [[nodiscard]] Result<const TypeCatalog*> Types();
  /// BTF of the kernel itself, as it is: a copy.
  [[nodiscard]] Result<std::vector<std::byte>> KernelBtf();
  /// As Types, for questions that are not about types: kUnsupported in kNotFound's place, for what
  /// was asked for is not what is missing.
  [[nodiscard]] Result<const TypeCatalog*> NeedTypes();
  /// The kernel's own list of modules, walked.
  [[nodiscard]] Result<const ModuleList*> Modules();
  /// vmallocinfo's text where there is one (live, or a note), else the kernel's lists.
  [[nodiscard]] Result<const VmallocAreas*> Vmalloc();
  /// The kernel's lists, whatever the text says, with callers as symbols.
  [[nodiscard]] Result<VmallocAreas> WalkVmalloc();

  /// The address of a symbol of the kernel itself (not a module's): VMCOREINFO's, which costs
  /// nothing, or kallsyms'.
  /// kNotFound names it.
  [[nodiscard]] Result<uint64_t> SymbolAddress(std::string_view name);
  /// As SymbolAddress; nothing: it cannot be had.
  [[nodiscard]] std::optional<uint64_t> FindSymbol(std::string_view name);
  /// "name+0x1c [module]"; empty: none.
  [[nodiscard]] std::string Symbolize(uint64_t address);

  /// A process's address space, by the virtual address of its pgd (mm_struct.pgd).
  [[nodiscard]] Result<std::unique_ptr<PagedSpace>> ProcessSpace(uint64_t pgd);

  /// mm_struct.pgd of the process that was last kept. Of a live kernel only for a moment: the
  /// process may be gone.
  [[nodiscard]] std::optional<uint64_t> KnownProcessRoot(uint32_t pid) const;
  void KeepProcessRoot(uint32_t pid, uint64_t pgd);

  /// What was learnt of the image as a whole; each text once.
  void AddCaveat(std::string text);
  [[nodiscard]] const std::vector<std::string>& caveats() const;

 private:
  class State;
  explicit Session(std::unique_ptr<State> state);
  [[nodiscard]] Result<SymbolTable> LoadSymbols();
  void AddLaterSymbols();
  void AddModulesSymbols(const TypeCatalog& types, SymbolTable::Builder& out);
  [[nodiscard]] Result<std::unique_ptr<TypeCatalog>> LoadTypes();

  std::unique_ptr<State> state_;
};

}  // namespace kcoredump
