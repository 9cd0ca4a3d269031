// SPDX-License-Identifier: MIT
//
// Which bytes of its code a kernel rewrites itself while it runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/range.h"
#include "inspect/check/patch_sites.h"
#include "inspect/session.h"
#include "inspect/task/tasks.h"

namespace kcoredump {

/// Tables are read at their first need. For one thread, like the session, which must outlive it.
class TextSites {
 public:
  explicit TextSites(Session& session) : session_(session), patches_(session) {}

  /// Whether the byte belongs to a static key's jump, a call of ftrace's or a static call, or a
  /// kprobe's breakpoint.
  [[nodiscard]] bool Covers(uint64_t address);
  /// What could not be read, and what that costs.
  [[nodiscard]] std::vector<std::string> Notes() const;

 private:
  [[nodiscard]] const std::vector<uint64_t>& StaticCallsOf(std::string_view module);
  [[nodiscard]] Result<std::vector<uint64_t>> LoadStaticCalls(std::string_view module);
  [[nodiscard]] Result<std::vector<uint64_t>> ReadStaticCalls(uint64_t start, uint64_t count);
  [[nodiscard]] const std::vector<uint64_t>& Kprobes();

  Session& session_;
  PatchSites patches_;
  std::map<std::string, std::vector<uint64_t>, std::less<>> static_calls_;  ///< by module
  std::optional<std::vector<uint64_t>> kprobes_;
  std::vector<std::string> notes_;
};

}  // namespace kcoredump
