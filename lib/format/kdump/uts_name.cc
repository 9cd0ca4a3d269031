// SPDX-License-Identifier: MIT
#include "format/kdump/uts_name.h"

#include <elf.h>

#include <array>
#include <charconv>
#include <cstring>

#include "source/range_reader.h"

namespace kcoredump {

namespace {

constexpr std::string_view kSysname = "Linux";
constexpr std::string_view kUnknown = "unknown";
constexpr size_t kNamesBytes = kUtsFields * kUtsBytes;
/// In older kernels struct uts_namespace begins with a kref (kernel: include/linux/utsname.h).
constexpr size_t kMaxNamesOffset = 8;
constexpr uint64_t kX86ImageStart = 0xffffffff80000000;  // __START_KERNEL_map

std::string_view LineOf(std::string_view vmcoreinfo, std::string_view key) {
  const size_t at = vmcoreinfo.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = vmcoreinfo.substr(at + key.size());
  return rest.substr(0, rest.find('\n'));
}

void SetField(char (&field)[kUtsBytes], std::string_view text) {
  std::memset(field, 0, sizeof(field));
  text.copy(field, sizeof(field) - 1);
}

std::optional<PhysAddr> Place(const MemorySource& source, std::string_view vmcoreinfo,
                              uint64_t phys_base) {
  const std::string_view digits = LineOf(vmcoreinfo, "SYMBOL(init_uts_ns)=");
  uint64_t address = 0;
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), address, 16);
  if (error != std::errc()) return std::nullopt;
  if (const auto phys = source.map().ToPhysical(VirtAddr{address})) return phys;
  if (source.machine() != EM_X86_64 || address < kX86ImageStart) return std::nullopt;
  return PhysAddr{address - kX86ImageStart + phys_base};
}

/// The names begin with "Linux", and each has an end.
bool IsUtsName(std::span<const char> names) {
  const std::string_view text(names.data(), kUtsBytes);
  if (text.substr(0, text.find('\0')) != kSysname) return false;
  for (size_t field = 0; field < kUtsFields; ++field) {
    if (names[field * kUtsBytes + kUtsBytes - 1] != '\0') return false;
  }
  return true;
}

/// False: the names cannot be read, or are none.
bool ReadUtsName(const MemorySource& source, PhysAddr place,
                 char (&utsname)[kUtsFields][kUtsBytes]) {
  std::array<char, kMaxNamesOffset + kNamesBytes> bytes{};
  const auto reader = RangeReader::Create(source, {});
  ReadReport report;
  if (!reader.ok()) return false;
  const auto out = std::as_writable_bytes(std::span(bytes));
  if (!reader.value()->Read(place, out, report).ok()) return false;
  for (const size_t offset : {size_t{0}, kMaxNamesOffset / 2, kMaxNamesOffset}) {
    const auto names = std::span(bytes).subspan(offset, kNamesBytes);
    if (!IsUtsName(names)) continue;
    std::memcpy(utsname, names.data(), names.size());
    return true;
  }
  return false;
}

}  // namespace

void FillUtsName(const MemorySource& source, std::string_view vmcoreinfo, uint64_t phys_base,
                 char (&utsname)[kUtsFields][kUtsBytes]) {
  const auto place = Place(source, vmcoreinfo, phys_base);
  if (place && ReadUtsName(source, *place, utsname)) return;
  SetField(utsname[kUtsSysname], kSysname);
  SetField(utsname[kUtsRelease], LineOf(vmcoreinfo, "OSRELEASE="));
  if (utsname[kUtsRelease][0] == '\0') SetField(utsname[kUtsRelease], kUnknown);
  SetField(utsname[kUtsVersion], kUnknown);
  SetField(utsname[kUtsMachine], MachineName(source.machine()));
}

}  // namespace kcoredump
