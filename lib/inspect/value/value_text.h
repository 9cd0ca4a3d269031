// SPDX-License-Identifier: MIT
//
// A typed value within another answer.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "kcoredump/print.h"

namespace kcoredump {

/// As `print` shows it where it has one line; escaped.
[[nodiscard]] std::string OneLineText(const TypedValue& value);

/// VALUE of print.h's ToJson.
[[nodiscard]] nlohmann::ordered_json ValueJson(const TypedValue& value);

}  // namespace kcoredump
