// SPDX-License-Identifier: MIT
//
// Numbers and foreign text as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kcoredump {

/// "0x" and 16 digits: an address as every report spells it.
[[nodiscard]] std::string HexAddress(uint64_t value);

/// "0x" and as many digits as it takes.
[[nodiscard]] std::string Hex(uint64_t value);

/// 1,234,567
[[nodiscard]] std::string Grouped(uint64_t value);

/// "512 B", "4.0 KiB", "1.2 GiB"
[[nodiscard]] std::string HumanBytes(uint64_t bytes);

/// Control characters, DEL and bytes that are not valid UTF-8 as \xNN, so that text from a dump can
/// be shown on a terminal. Newlines and tabs are escaped too.
[[nodiscard]] std::string Escaped(std::string_view text);

/// Without the white space at its end.
[[nodiscard]] std::string_view TrimmedRight(std::string_view text);

/// What ToJson gave, as JSON lines: each element of its list `list` on a line of its own, and last
/// all else, as {"end": true, …}, so that a list that was cut short is not taken for a whole one.
[[nodiscard]] std::string JsonLines(const std::string& json, std::string_view list);

}  // namespace kcoredump
