// SPDX-License-Identifier: MIT
#include "kernel/arch.h"

#include <array>

namespace kcoredump {

bool Paging::IsCanonical(uint64_t virt) const {
  const int64_t sign = static_cast<int64_t>(virt) >> (virtual_bits - 1);
  return sign == 0 || sign == -1;
}

std::span<const Architecture* const> AllArchitectures() {
  static const std::array kArchitectures = {&kX8664};
  return kArchitectures;
}

const Architecture* FindArchitecture(uint16_t machine) {
  for (const Architecture* arch : AllArchitectures()) {
    if (arch->machine() == machine) return arch;
  }
  return nullptr;
}

}  // namespace kcoredump
