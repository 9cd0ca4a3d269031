// SPDX-License-Identifier: MIT
#pragma once

#include "elf/elf_core.h"

namespace kcoredump {

/// As ReadElfCore, of a program: a kernel's vmlinux.
[[nodiscard]] Result<ElfCore> ReadElfExecutable(const ReadAtFunction& read_at);

}  // namespace kcoredump
