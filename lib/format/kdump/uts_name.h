// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "format/kdump/format.h"
#include "source/memory_source.h"

namespace kcoredump {

/// struct new_utsname of the image's own kernel, whose VMCOREINFO says where it is, or as much of
/// it as VMCOREINFO itself tells: a header whose sysname, release, version or machine is empty is
/// none to libkdumpfile, which then knows no architecture.
void FillUtsName(const MemorySource& source, std::string_view vmcoreinfo, uint64_t phys_base,
                 char (&utsname)[kUtsFields][kUtsBytes]);

}  // namespace kcoredump
