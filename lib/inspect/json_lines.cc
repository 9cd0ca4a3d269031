// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "kcoredump/text.h"

namespace kcoredump {

std::string JsonLines(const std::string& json, std::string_view list) {
  using nlohmann::ordered_json;
  ordered_json object = ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto found = object.is_object() ? object.find(list) : object.end();
  if (found == object.end() || !found->is_array()) return json;
  std::string lines;
  for (const ordered_json& element : *found) lines += element.dump() + "\n";
  object.erase(found);
  ordered_json end = {{"end", true}};
  end.update(object);
  return lines + end.dump() + "\n";
}

}  // namespace kcoredump
