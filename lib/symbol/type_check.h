// SPDX-License-Identifier: MIT
//
// Whether a BTF blob holds together, before libbpf sees it: 1.1.2 trusts ids, offsets and lengths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr size_t kMaxBtfBytes = 256 << 20;
inline constexpr uint32_t kMaxBtfTypes = 8 << 20;

/// What split BTF continues: the ids and the name offsets of its base.
struct BtfBase {
  uint32_t type_count = 1;  ///< ids below it are the base's; void is one
  uint32_t string_bytes = 0;
};

/// A blob every id and every name of which is in bounds. Chains may still be cyclic.
struct CheckedBtf {
  /// The blob itself, or `rebuilt`, when its header or layout is not what libbpf 1.1.2 takes:
  /// longer headers, sections of kinds and layouts to come.
  std::span<const std::byte> bytes;
  std::vector<std::byte> rebuilt;
  uint32_t type_count = 1;      ///< with the base's
  uint32_t string_bytes = 0;    ///< without the base's
  std::vector<uint32_t> named;  ///< ids of structs, unions, enums, typedefs and numbers with a name
  std::vector<uint32_t> enums;
};

/// Documentation/bpf/btf.rst is the source. kCorrupt: forged or torn; kUnsupported: another byte
/// order or version, or a kind newer than BTF_KIND_ENUM64; kLimitExceeded: larger than above. With
/// a base of no strings the blob must stand alone.
[[nodiscard]] Result<CheckedBtf> CheckBtf(std::span<const std::byte> blob, const BtfBase& base);

}  // namespace kcoredump
