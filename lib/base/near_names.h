// SPDX-License-Identifier: MIT
//
// "Did you mean": of many names, those that a mistyped or renamed one may stand for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kcoredump {

class NearNames {
 public:
  explicit NearNames(std::string_view wanted) : wanted_(wanted) {}

  /// Names within two edits, and those that contain the wanted one or are contained in it.
  void Offer(std::string_view name);
  /// "; near: comm, __state"; empty: none is near.
  [[nodiscard]] std::string Text() const;

 private:
  std::string wanted_;
  std::vector<std::pair<size_t, std::string>> best_;  ///< by how far away they are
};

}  // namespace kcoredump
