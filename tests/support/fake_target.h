// SPDX-License-Identifier: MIT
//
// A debugger's target of two threads and one page.
#pragma once

#include <cstring>

#include "base/error.h"
#include "serve/debug_target.h"

namespace kcoredump::test {

class FakeTarget : public DebugTarget {
 public:
  static constexpr uint64_t kPage = 0xffff888000001000;
  static constexpr uint64_t kPageBytes = 4096;

  std::vector<DebugThread> ListThreads() override {
    ++listings;
    return {{.id = 1, .name = "init", .extra = "state S", .cpu = 0, .on_cpu = false},
            {.id = 0x2a, .name = "a<&\"\x1b", .extra = "state R", .cpu = {}, .on_cpu = true}};
  }
  RegisterValues ReadRegisters(uint32_t thread) override {
    RegisterValues values;
    if (thread == 0x2a && has_registers) {
      values[kRip] = 0xffffffff81234567;
      values[kRsp] = kPage;
      values[kCs] = 0x10;
    }
    return values;
  }
  Result<size_t> ReadMemory(uint32_t thread, uint64_t address, std::span<std::byte> out) override {
    last_thread = thread;
    if (address < kPage || address >= kPage + kPageBytes) {
      return MakeError(ErrorCode::kUnreadable, "not there");
    }
    const size_t bytes = std::min<uint64_t>(out.size(), kPage + kPageBytes - address);
    for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>(address + i);
    return bytes;
  }
  std::vector<Range> AddressRanges() override { return {{0, 1ULL << 47}, {0 - (1ULL << 47), 0}}; }
  std::optional<uint64_t> TextStart() override { return 0xffffffff9a000000; }
  void Monitor(std::string_view command, const MonitorOutput& output) const override {
    last_command = command;
    for (size_t i = 0; i < monitor_repeats && output(monitor_text); ++i) continue;
  }

  size_t listings = 0;
  bool has_registers = true;
  uint32_t last_thread = 0;
  mutable std::string last_command;
  std::string monitor_text = "text\n";
  size_t monitor_repeats = 1;
};

}  // namespace kcoredump::test
