// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "kcoredump/mount.h"

namespace kcoredump {

std::string ToText(const MountEvent& event) {
  switch (event.kind) {
    case MountEvent::Kind::kReady:
      return "mounted at " + event.text + "; Ctrl-C or umount ends it";
    case MountEvent::Kind::kNote:
      return "note: " + event.text;
    case MountEvent::Kind::kGone:
      return event.text + " is unmounted";
  }
  return event.text;
}

std::string ToJson(const MountEvent& event) {
  static constexpr const char* kNames[] = {"ready", "note", "gone"};
  const nlohmann::json object = {{"event", kNames[static_cast<size_t>(event.kind)]},
                                 {"text", event.text}};
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace kcoredump
