// SPDX-License-Identifier: MIT
//
// What the printers of JSON share.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "kcoredump/text.h"

namespace kcoredump {

/// null for what is not known.
[[nodiscard]] inline nlohmann::ordered_json TextOrNull(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

/// Of a capture's metadata, those of when memory was captured, however often the image was
/// converted since.
[[nodiscard]] inline const nlohmann::ordered_json& CaptureOf(const nlohmann::ordered_json& meta) {
  const nlohmann::ordered_json* of = &meta;
  for (;;) {
    const auto source = of->is_object() ? of->find("source_meta") : of->end();
    if (source == of->end() || !source->is_object()) return *of;
    of = &*source;
  }
}

/// null for 0: none.
[[nodiscard]] inline nlohmann::ordered_json AddressOrNull(uint64_t address) {
  return address == 0 ? nlohmann::ordered_json(nullptr)
                      : nlohmann::ordered_json(HexAddress(address));
}

/// "254:1", as lsblk(8) and /proc/PID/mountinfo write it.
[[nodiscard]] inline std::string DeviceText(uint32_t major, uint32_t minor) {
  return std::to_string(major) + ":" + std::to_string(minor);
}

/// Two spaces a level; bytes that are no UTF-8 are replaced.
[[nodiscard]] inline std::string JsonText(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace kcoredump
