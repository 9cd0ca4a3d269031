// SPDX-License-Identifier: MIT
//
// Instructions of x86_64 that Capstone 4.0.2 (Debian 12) does not know or takes for others, as
// kernels use them (Intel SDM volume 2; AMD APM volume 3).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace kcoredump {

struct SupplementInstruction {
  std::string_view mnemonic;
  size_t bytes = 0;
  /// An instruction with the same operands that Capstone knows, shorter by the prefix it does not
  /// need: what it ends at is the same. Empty: there are no operands.
  std::vector<std::byte> twin;
};

/// The instruction that `bytes` begin with, if it is one of those.
[[nodiscard]] std::optional<SupplementInstruction> FindX86Supplement(
    std::span<const std::byte> bytes);

/// The length of a vector instruction with a VEX or EVEX prefix, which its form alone tells;
/// nothing: it has none, or not all of it is there.
[[nodiscard]] std::optional<size_t> X86VectorLength(std::span<const std::byte> bytes);

}  // namespace kcoredump
