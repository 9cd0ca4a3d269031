// SPDX-License-Identifier: MIT
//
// libFuzzer's entry point for the target that FUZZ_TARGET names.
#include <cstdint>

#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const auto& target : kcoredump::test::FuzzTargets()) {
    if (target.name == FUZZ_TARGET) target.run(std::as_bytes(std::span(data, size)));
  }
  return 0;
}
