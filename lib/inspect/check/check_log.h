// SPDX-License-Identifier: MIT
//
// What the checks look at, and where they write what they find.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "inspect/code_map.h"
#include "inspect/task/tasks.h"
#include "kcoredump/check.h"
#include "symbol/list_walk.h"
#include "symbol/record.h"

namespace kcoredump {

/// A forged table may have a million bad entries: more findings of one check are only counted.
inline constexpr size_t kMaxFindingsOfCheck = 1000;
/// And of things that could not be checked no more are told.
inline constexpr size_t kMaxUncheckedOfCheck = 100;

/// A Session has all of it, a test makes its own.
struct CheckSources {
  const TaskSources& kernel;
  const CodeMap& code;
  const SymbolTable& symbols;
  const ModuleList& modules;

  /// "name+0x1c [module]"; empty: none.
  [[nodiscard]] std::string NameOf(uint64_t address) const;
  /// "0x… <name+0x1c [module]> (no known code)"
  [[nodiscard]] std::string Describe(uint64_t address) const;
  /// 0: it cannot be read.
  [[nodiscard]] uint64_t WordAt(uint64_t address) const;
};

/// One check's outcome.
class CheckLog {
 public:
  CheckLog(const CheckSources& sources, std::string name, std::string compared);

  void Examined(uint64_t count = 1) { summary_.examined += count; }
  /// Fills in the check, what is compared if it is empty, and symbols.
  void Find(CheckFinding finding);
  /// What could not be looked at, and why; each text once.
  void Unchecked(std::string why);
  /// What a walk lost.
  void Report(const ListOutcome& walk);
  /// The objects whose struct list_head, at `link_offset`, is on the list at `head`. What is lost
  /// is reported, or of a list that never stands still is not.
  void VisitList(uint64_t head, uint64_t link_offset, size_t max, const std::string& what,
                 const std::function<void(uint64_t object)>& visit, bool stands_still = true);

  /// Something is missing for memory was missing or damaged.
  [[nodiscard]] bool lost() const { return lost_; }
  [[nodiscard]] CheckSummary& summary() { return summary_; }
  [[nodiscard]] std::vector<CheckFinding>& findings() { return findings_; }

 private:
  const CheckSources& sources_;
  CheckSummary summary_;
  std::vector<CheckFinding> findings_;
  bool lost_ = false;
};

}  // namespace kcoredump
