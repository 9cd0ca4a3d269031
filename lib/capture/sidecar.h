// SPDX-License-Identifier: MIT
//
// What a foreign format cannot hold, in a JSON file beside the image.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "kcoredump/capture.h"
#include "source/memory_source.h"

namespace kcoredump {

inline constexpr char kSidecarSuffix[] = ".json";

/// What a raw image cannot do without: which of its bytes are memory (format/raw/FORMAT.md).
/// `physical_end`: nothing from there on was reached.
[[nodiscard]] Status WriteRanges(const std::string& path, const CaptureReport& report,
                                 const MemorySource& source, uint64_t physical_end, bool force);

/// Writes `path` as CreateOutputFile does. README's "Every format" tells its members: the account
/// of pages, the source's ELF notes and `vendor_notes`, the KCOREDUMP notes of SystemNotes.
[[nodiscard]] Status WriteSidecar(const std::string& path, const CaptureReport& report,
                                  const MemorySource& source,
                                  std::span<const std::byte> vendor_notes, bool force);

}  // namespace kcoredump
