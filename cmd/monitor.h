// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace kcoredump::cmd {

/// Runs one of our own commands that only look, on the image `file`, as a debugger's `monitor` asks
/// for it; its output, messages too, goes to `output` as ServeOptions::monitor wants it.
void RunMonitor(const std::string& file, std::string_view command,
                const std::function<bool(std::string_view)>& output);

}  // namespace kcoredump::cmd
