// SPDX-License-Identifier: MIT
#include "symbol/glob.h"

#include <cstddef>
#include <optional>

namespace kcoredump {

namespace {

/// One element of a glob that stands for exactly one character.
struct Step {
  bool matches = false;
  size_t length = 1;  ///< of the element
};

/// `glob` begins with '['; nothing: the bracket never ends.
std::optional<Step> MatchBracket(std::string_view glob, unsigned char c) {
  size_t at = 1;
  const bool negated = at < glob.size() && (glob[at] == '!' || glob[at] == '^');
  if (negated) ++at;
  bool found = false;
  for (bool first = true; at < glob.size(); first = false) {
    if (glob[at] == ']' && !first) return Step{.matches = found != negated, .length = at + 1};
    const auto low = static_cast<unsigned char>(glob[at]);
    auto high = low;
    if (at + 2 < glob.size() && glob[at + 1] == '-' && glob[at + 2] != ']') {
      high = static_cast<unsigned char>(glob[at + 2]);
      at += 2;
    }
    found = found || (c >= low && c <= high);
    ++at;
  }
  return std::nullopt;
}

Step MatchOne(std::string_view glob, char c) {
  if (glob.front() == '?') return {.matches = true};
  if (glob.front() == '[') {
    if (const auto step = MatchBracket(glob, static_cast<unsigned char>(c))) return *step;
  }
  if (glob.front() == '\\' && glob.size() > 1) return {.matches = glob[1] == c, .length = 2};
  return {.matches = glob.front() == c};
}

}  // namespace

bool IsGlob(std::string_view text) { return text.find_first_of("*?[]") != std::string_view::npos; }

bool GlobMatches(std::string_view glob, std::string_view name) {
  size_t at_glob = 0;
  size_t at_name = 0;
  // Only the last star may have to take more: what the ones before took was enough.
  std::optional<size_t> after_star;
  size_t star_end = 0;
  while (at_name < name.size()) {
    if (at_glob < glob.size() && glob[at_glob] == '*') {
      after_star = ++at_glob;
      star_end = at_name;
      continue;
    }
    const Step step =
        at_glob < glob.size() ? MatchOne(glob.substr(at_glob), name[at_name]) : Step{};
    if (step.matches) {
      at_glob += step.length;
      ++at_name;
    } else if (after_star) {
      at_glob = *after_star;
      at_name = ++star_end;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', at_glob) == std::string_view::npos;
}

}  // namespace kcoredump
