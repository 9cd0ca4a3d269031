// SPDX-License-Identifier: MIT
//
// Shell globs over names: * ? [a-z] [!a-z] and \ before a character that is meant as it stands.
#pragma once

#include <string_view>

namespace kcoredump {

/// Whether `text` has a character that makes it a glob.
[[nodiscard]] bool IsGlob(std::string_view text);

/// Whether all of `name` matches. At most glob.size() * name.size() steps, whatever the glob. A
/// bracket without its end stands for itself.
[[nodiscard]] bool GlobMatches(std::string_view glob, std::string_view name);

}  // namespace kcoredump
