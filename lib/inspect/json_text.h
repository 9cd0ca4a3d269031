// SPDX-License-Identifier: MIT
//
// What the printers of JSON share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace kcoredump {

/// null for what is not known.
[[nodiscard]] inline nlohmann::ordered_json TextOrNull(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

}  // namespace kcoredump
