// SPDX-License-Identifier: MIT
#include "base/words.h"

#include <algorithm>

namespace kcoredump {

std::vector<std::string_view> SplitWords(std::string_view text, size_t max_words) {
  std::vector<std::string_view> words;
  while (words.size() < max_words) {
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(text.find_first_of(" \t", begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
  return words;
}

}  // namespace kcoredump
