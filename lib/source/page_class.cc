// SPDX-License-Identifier: MIT
#include "kcoredump/page_class.h"

#include "base/error.h"

namespace kcoredump {

std::string_view PageClassName(PageClass page_class) {
  switch (page_class) {
    case PageClass::kNone:
      return "none";
    case PageClass::kZero:
      return "zero";
    case PageClass::kCache:
      return "cache";
    case PageClass::kPrivateCache:
      return "private-cache";
    case PageClass::kUser:
      return "user";
    case PageClass::kFree:
      return "free";
    case PageClass::kNotWanted:
      return "not-wanted";
  }
  return "none";
}

Result<PageClasses> ParsePageClasses(std::string_view text) {
  PageClasses classes;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    PageClass found = PageClass::kNone;
    for (const PageClass candidate : kPageClasses) {
      if (PageClassName(candidate) == word) found = candidate;
    }
    if (found == PageClass::kNone) {
      return InvalidArgument("no class of pages is called \"" + std::string(word) +
                             "\"; there are zero, cache, private-cache, user and free");
    }
    classes.Add(PageClasses(static_cast<unsigned>(found)));
  }
  return classes;
}

uint64_t& ExcludedCounts::Of(PageClass page_class) {
  switch (page_class) {
    case PageClass::kZero:
      return zero;
    case PageClass::kCache:
      return cache;
    case PageClass::kPrivateCache:
      return private_cache;
    case PageClass::kUser:
      return user;
    case PageClass::kFree:
      return free;
    case PageClass::kNotWanted:
      return not_wanted;
    case PageClass::kNone:
      break;
  }
  return not_told;
}

}  // namespace kcoredump
