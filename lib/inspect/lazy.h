// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <utility>

#include "kcoredump/result.h"

namespace kcoredump {

/// What is loaded at its first need: not tried yet, there, or the error that it ended with.
template <typename T>
class Lazy {
 public:
  template <typename Load>
  Result<const T*> Get(const Load& load) {
    if (!result_) result_.emplace(load());
    if (!result_->ok()) return result_->error();
    return &result_->value();
  }
  [[nodiscard]] bool tried() const { return result_.has_value(); }
  void Replace(T value) { result_.emplace(std::move(value)); }

 private:
  std::optional<Result<T>> result_;
};

}  // namespace kcoredump
