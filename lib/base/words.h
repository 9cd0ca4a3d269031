// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace kcoredump {

/// What spaces and tabs stand between, at most `max_words` of it. The words point into `text`.
[[nodiscard]] std::vector<std::string_view> SplitWords(std::string_view text,
                                                       size_t max_words = ~size_t{0});

}  // namespace kcoredump
