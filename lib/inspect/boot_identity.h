// SPDX-License-Identifier: MIT
//
// Whether two images are of one kernel build, and of one boot of it.
#pragma once

#include "inspect/session.h"

namespace kcoredump {

/// kUnsupported: not the same build, by linux_banner and the size of the text.
[[nodiscard]] Status CheckSameBuild(Session& one, Session& other);

/// Of the same build: the same boot, by where the kernel is and by init_task's stack canary, which
/// is drawn anew at each (kernel: arch/x86/include/asm/stackprotector.h).
[[nodiscard]] Result<bool> IsSameBoot(Session& one, Session& other);

/// The text of linux_banner.
[[nodiscard]] Result<std::string> BannerOf(Session& session);

}  // namespace kcoredump
