// SPDX-License-Identifier: MIT
//
// What pages are used for, whoever tells: a live kernel's /proc/kpageflags or a dump's struct
// pages.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inspect/session.h"
#include "kernel/page_layout.h"

namespace kcoredump {

/// For one thread. The session must outlive it.
class UseTeller {
 public:
  /// kUnsupported, kUnreadable, …: nothing can be told of this image, and why. `notes`: what of it
  /// cannot be told apart.
  [[nodiscard]] static Result<std::unique_ptr<UseTeller>> Create(Session& session,
                                                                 std::vector<std::string>& notes);
  virtual ~UseTeller() = default;

  /// Of pages from `first` on. What cannot be told has no kind.
  virtual void Tell(PhysAddr first, std::span<PageUse> uses) = 0;
};

}  // namespace kcoredump
