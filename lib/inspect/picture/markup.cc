// SPDX-License-Identifier: MIT
#include "inspect/picture/markup.h"

#include "kcoredump/text.h"

namespace kcoredump {

std::string MarkupText(std::string_view text) {
  std::string out;
  for (const char c : Escaped(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace kcoredump
