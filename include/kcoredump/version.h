// SPDX-License-Identifier: MIT
#pragma once

namespace kcoredump {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace kcoredump
