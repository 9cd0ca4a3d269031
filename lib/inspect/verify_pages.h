// SPDX-License-Identifier: MIT
#pragma once

#include "kcoredump/inspect.h"
#include "source/memory_source.h"

namespace kcoredump {

/// Damage that is listed line by line; more is counted.
inline constexpr size_t kMaxListedDamage = 100;

/// Reads every page that the image says it has: what verification means where the format has no
/// checksums of its own, or has them with each page.
[[nodiscard]] Result<VerifyReport> VerifyPages(const MemorySource& source,
                                               const VerifyOptions& options);

}  // namespace kcoredump
