// SPDX-License-Identifier: MIT
//
// /proc/iomem as a cross-check of kcore's program headers. The headers are what is read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "kcoredump/capture.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// "System RAM" and its kin, "System RAM (virtio_mem)" say, at any depth, trimmed inward to whole
/// pages as kcore does (kernel: walk_system_ram_range). Ends in the text are inclusive.
/// kPermission: every address is 0, which is what a reader without CAP_SYS_ADMIN sees; kCorrupt:
/// not such a text.
[[nodiscard]] Result<std::vector<Range>> ParseIomem(std::string_view text, uint64_t page_bytes);

/// Holds the text of /proc/iomem against the RAM of the program headers.
[[nodiscard]] IomemCheck CompareIomem(std::string_view text, const std::vector<Range>& ram,
                                      uint64_t page_bytes);

}  // namespace kcoredump
