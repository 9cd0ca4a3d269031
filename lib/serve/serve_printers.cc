// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "kcoredump/serve.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

std::string_view KindName(ServeEvent::Kind kind) {
  switch (kind) {
    case ServeEvent::Kind::kReady:
      return "ready";
    case ServeEvent::Kind::kNote:
      return "note";
    case ServeEvent::Kind::kCame:
      return "came";
    case ServeEvent::Kind::kGone:
      return "gone";
  }
  return "unknown";
}

}  // namespace

std::string ToText(const ServeEvent& event) {
  switch (event.kind) {
    case ServeEvent::Kind::kReady: {
      std::string text;
      if (!event.text.empty()) text = "in gdb: target remote " + event.text + "; ";
      if (!event.symbol_offset) return text + "where KASLR put the kernel is not known";
      return text + "with the kernel's file: add-symbol-file VMLINUX -o " +
             Hex(*event.symbol_offset);
    }
    case ServeEvent::Kind::kNote:
      return "note: " + event.text;
    case ServeEvent::Kind::kCame:
      return event.client + " came";
    case ServeEvent::Kind::kGone:
      return event.client + " is gone: " + event.text;
  }
  return event.text;
}

std::string ToJson(const ServeEvent& event) {
  nlohmann::json object = {{"event", KindName(event.kind)},
                           {"text", event.text},
                           {"client", event.client},
                           {"symbol_offset", nullptr}};
  if (event.symbol_offset) object["symbol_offset"] = HexAddress(*event.symbol_offset);
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace kcoredump
