// SPDX-License-Identifier: MIT
//
// JSON Schemas (draft 2020-12) of what the commands print with --json and the library's ToJson
// functions give.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace kcoredump {

/// In each schema's $id. It changes when a member goes, or means something else; members may be
/// added without.
inline constexpr unsigned kSchemaVersion = 1;

struct JsonSchema {
  std::string_view name;  ///< a command's, or "events", "progress", "version"
  std::string_view text;  ///< a JSON document
};

/// All of them, by name. Static.
[[nodiscard]] const std::vector<JsonSchema>& JsonSchemas();

/// The text of one; nothing: there is none of that name. Static.
[[nodiscard]] std::optional<std::string_view> FindJsonSchema(std::string_view name);

}  // namespace kcoredump
