// SPDX-License-Identifier: MIT
//
// The VMCOREINFO note: what the kernel tells of itself (kernel: include/linux/vmcore_info.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "kcoredump/result.h"

namespace kcoredump {

/// KEY=VALUE lines. Immutable once parsed.
class VmcoreInfo {
 public:
  /// Lines without '=' are passed over; the first of two equal keys counts. LimitExceeded: more
  /// than kMaxLines.
  [[nodiscard]] static Result<VmcoreInfo> Parse(std::string_view text);

  [[nodiscard]] std::optional<std::string> Text(const std::string& key) const;
  /// SYMBOL(name)=: bare hexadecimal.
  [[nodiscard]] std::optional<uint64_t> Symbol(const std::string& name) const;
  /// Every SYMBOL() by name.
  [[nodiscard]] std::map<std::string, uint64_t> Symbols() const;
  /// NUMBER(name)=: signed decimal, or hexadecimal with 0x.
  [[nodiscard]] std::optional<int64_t> Number(const std::string& name) const;
  /// SIZE(struct)=, OFFSET(struct.member)= in bytes, LENGTH(name)= in elements: decimal.
  [[nodiscard]] std::optional<uint64_t> Size(const std::string& name) const;
  [[nodiscard]] std::optional<uint64_t> Offset(const std::string& name) const;
  [[nodiscard]] std::optional<uint64_t> Length(const std::string& name) const;
  /// KERNELOFFSET=: how far KASLR moved the kernel image; 0 where the kernel says none.
  [[nodiscard]] std::optional<uint64_t> KaslrOffset() const;

  [[nodiscard]] bool empty() const { return values_.empty(); }

  static constexpr size_t kMaxLines = 16384;

 private:
  [[nodiscard]] std::optional<uint64_t> Decimal(const std::string& key) const;

  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace kcoredump
