// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>

#include "format/registry.h"
#include "kcoredump/memory.h"
#include "support/test_bytes.h"

namespace kcoredump::test {

struct ReadBack {
  Bytes bytes;
  ReadReport report;

  /// The outcome of the page at a physical address.
  [[nodiscard]] PageOutcome OutcomeAt(uint64_t at) const {
    for (const PageRun& run : report.runs) {
      if (at >= run.first.address && at < run.first.address + run.pages * kPage) {
        return run.outcome;
      }
    }
    return PageOutcome::kDirect;
  }
};

/// Opens the file, whatever it is, and reads from it. Throws where that is refused.
[[nodiscard]] inline ReadBack ReadImage(const std::string& path, uint64_t phys, size_t bytes) {
  auto memory = Memory::Open(path);
  if (!memory.ok()) throw std::runtime_error(memory.error().message);
  auto reader = memory.value().NewReader();
  if (!reader.ok()) throw std::runtime_error(reader.error().message);
  ReadBack back{.bytes = Bytes(bytes), .report = {}};
  auto report = reader.value().Read(PhysAddr{phys}, back.bytes);
  if (!report.ok()) throw std::runtime_error(report.error().message);
  back.report = std::move(report.value());
  return back;
}

[[nodiscard]] inline std::unique_ptr<MemorySource> OpenImage(const std::string& path) {
  auto source = OpenSource(path);
  if (!source.ok()) throw std::runtime_error(source.error().message);
  return std::move(source.value());
}

/// The message that opening ends with; empty: it is opened.
[[nodiscard]] inline std::string OpenError(const std::string& path) {
  const auto source = OpenSource(path);
  return source.ok() ? std::string() : source.error().message;
}

}  // namespace kcoredump::test
