// SPDX-License-Identifier: MIT
//
// A C++ program against the installed tree: the C++ API of the static archive, and the C ABI
// beside.
#include <kcoredump/kcoredump.h>
#include <kcoredump/memory.h>
#include <kcoredump/version.h>

#include <array>
#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
  if (argc != 2 || std::string_view(kcd_version()) != kcoredump::kVersion) return 2;
  auto memory = kcoredump::Memory::Open(argv[1]);
  if (!memory.ok()) {
    std::fprintf(stderr, "%s\n", memory.error().message.c_str());
    return 1;
  }
  auto reader = memory.value().NewReader();
  std::array<std::byte, 4> bytes{};
  if (!reader.ok() || !reader.value().Read(kcoredump::PhysAddr{0x1000}, bytes).ok()) return 1;
  for (const std::byte byte : bytes) std::printf("%02x", static_cast<unsigned>(byte));
  std::puts("");
  return 0;
}
