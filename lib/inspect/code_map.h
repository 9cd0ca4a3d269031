// SPDX-License-Identifier: MIT
//
// Whose code an address is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/range.h"
#include "inspect/task/tasks.h"
#include "symbol/modules.h"

namespace kcoredump {

/// Immutable; any thread may ask.
class CodeMap {
 public:
  /// kNotFound: no symbols _stext and _etext. A module whose code cannot be told from its data is
  /// all code, and a note says so.
  [[nodiscard]] static Result<CodeMap> Create(const TaskSources& sources, const ModuleList& modules,
                                              std::vector<std::string>& notes);

  [[nodiscard]] const Range& kernel_text() const { return text_; }
  /// Of the module of that name.
  [[nodiscard]] std::vector<Range> TextOf(std::string_view module) const;
  /// The kernel's text or a known module's.
  [[nodiscard]] bool IsCode(uint64_t address) const;
  /// Anything of the kernel image or of a known module.
  [[nodiscard]] bool IsKnown(uint64_t address) const;
  /// "the kernel's text", "the kernel's data", "module fuse's text", "module fuse's data", or "no
  /// known code".
  [[nodiscard]] std::string OwnerOf(uint64_t address) const;

 private:
  struct Part {
    Range range;
    bool text = false;
    std::string module;
  };
  [[nodiscard]] const Part* PartAt(uint64_t address) const;

  Range text_;
  Range image_;
  std::vector<Part> parts_;  ///< of modules, by address
};

}  // namespace kcoredump
