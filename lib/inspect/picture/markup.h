// SPDX-License-Identifier: MIT
//
// Foreign text in SVG and HTML.
#pragma once

#include <string>
#include <string_view>

namespace kcoredump {

/// As text between tags or in a quoted attribute: control characters, invalid UTF-8 and what turns
/// or breaks lines as \xNN (Escaped), then & < > " ' as references.
[[nodiscard]] std::string MarkupText(std::string_view text);

}  // namespace kcoredump
