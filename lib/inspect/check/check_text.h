// SPDX-License-Identifier: MIT
#pragma once

#include "inspect/check/checks.h"
#include "inspect/session.h"

namespace kcoredump {

/// The kernel's text against a sibling image's and the file it was loaded from, modules' text
/// against that of a sibling of the same boot. Without either, the log says so. Errors as
/// CheckKernel's.
[[nodiscard]] Status CheckText(Session& session, const CheckSources& sources,
                               const CheckOptions& options, CheckLog& log);

}  // namespace kcoredump
