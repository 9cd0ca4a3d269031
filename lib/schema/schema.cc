// SPDX-License-Identifier: MIT
#include "kcoredump/schema.h"

#include <algorithm>

namespace kcoredump {

const std::vector<JsonSchema>& JsonSchemas() {
  static const std::vector<JsonSchema> schemas = {
#include "schema/schemas.inc"
  };
  return schemas;
}

std::optional<std::string_view> FindJsonSchema(std::string_view name) {
  const auto& schemas = JsonSchemas();
  const auto found = std::find_if(schemas.begin(), schemas.end(),
                                  [&](const JsonSchema& each) { return each.name == name; });
  return found == schemas.end() ? std::nullopt : std::optional(found->text);
}

}  // namespace kcoredump
