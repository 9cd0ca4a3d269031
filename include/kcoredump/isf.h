// SPDX-License-Identifier: MIT
//
// The symbol file that Volatility 3 wants, made from what an image itself tells of its kernel.
#pragma once

#include <cstdint>
#include <string>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

struct IsfReport {
  uint64_t types = 0;  ///< structs and unions
  uint64_t enums = 0;
  uint64_t symbols = 0;
  uint64_t typed_symbols = 0;  ///< those whose type is known
  Findings findings;
};

/// Writes `output`, or standard output for "-", in Volatility 3's Intermediate Symbol Format 6.2
/// (its schema: volatility3/schemas): base types, structs, unions and enums by BTF, symbols by
/// kallsyms at the addresses they were linked to, and linux_banner with the bytes that Volatility
/// looks for. BTF tells the types of few variables; those of the roots that Volatility's plugins
/// start from are known by name. kNotFound: no BTF or no symbols; kIo: the output. A file is
/// published whole or not at all; `force` replaces one that is there.
[[nodiscard]] Result<IsfReport> WriteIsf(Kernel& kernel, const std::string& output, bool force);

}  // namespace kcoredump
