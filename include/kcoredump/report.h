// SPDX-License-Identifier: MIT
//
// What an image holds, as one page for a browser.
#pragma once

#include <string>

#include "kcoredump/kernel.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Rows of a table and lines of the log that the page shows at most; it says how many there were.
inline constexpr size_t kMaxReportRows = 10000;

struct HtmlReport {
  std::string html;   ///< UTF-8; refers to nothing outside of itself and has no script
  Findings findings;  ///< what the page lacks; it says so itself, too
};

/// The map, the capture's course, kernel, processes, modules and log of the image at `path`, which
/// `kernel` has open. What cannot be told is said in its place. All foreign text is shown as text.
[[nodiscard]] Result<HtmlReport> MakeReport(Kernel& kernel, const std::string& path);

}  // namespace kcoredump
