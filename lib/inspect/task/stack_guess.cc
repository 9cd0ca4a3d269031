// SPDX-License-Identifier: MIT
#include "inspect/task/stack_guess.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "inspect/value/object_bytes.h"

namespace kcoredump {

namespace {

constexpr uint64_t kStackWordBytes = 8;
constexpr uint64_t kMaxScannedBytes = 64 << 10;

/// call rel32 (E8), call r/m64 of a register (FF D0 to D7, with REX one more byte) or memory.
bool FollowsCall(MemoryView& kernel, uint64_t pc) {
  constexpr size_t kBefore = 7;
  const auto code = kernel.ReadValue<std::array<uint8_t, kBefore>>(pc - kBefore);
  if (!code.ok()) return false;
  const auto& bytes = code.value();
  const auto back = [&](size_t count) { return bytes[kBefore - count]; };
  constexpr uint8_t kCallModrm = 2;  // the middle bits of the ModRM byte
  const auto is_call = [](uint8_t modrm) { return (modrm >> 3 & 7) == kCallModrm; };
  return back(5) == 0xe8 || (back(2) == 0xff && is_call(back(1))) ||
         (back(3) == 0xff && is_call(back(2))) || (back(6) == 0xff && is_call(back(5))) ||
         (back(7) == 0xff && is_call(back(6)));
}

}  // namespace

std::vector<GuessedFrame> GuessFrames(MemoryView& kernel, const Range& stack,
                                      const std::function<bool(uint64_t pc)>& is_code) {
  std::vector<GuessedFrame> found;
  const uint64_t begin = (stack.begin + kStackWordBytes - 1) & ~(kStackWordBytes - 1);
  if (begin >= stack.end) return found;
  const uint64_t bytes = std::min(stack.end - begin, kMaxScannedBytes);
  const ObjectBytes words = ObjectBytes::Read(kernel, begin, bytes);
  for (uint64_t at = 0; at + kStackWordBytes <= bytes && found.size() < kMaxGuesses;
       at += kStackWordBytes) {
    if (words.StateOf(at, kStackWordBytes) != ValueState::kRead) continue;
    uint64_t word = 0;
    std::memcpy(&word, words.At(at, kStackWordBytes).data(), kStackWordBytes);
    if (word >> 63 == 0 || !is_code(word - 1) || !FollowsCall(kernel, word)) continue;
    found.push_back({.pc = word, .at = begin + at});
  }
  return found;
}

}  // namespace kcoredump
