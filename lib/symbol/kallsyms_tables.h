// SPDX-License-Identifier: MIT
//
// Where the kernel keeps its own symbols (scripts/kallsyms.c writes the tables): found by
// VMCOREINFO or by scanning, not yet decoded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/vmcoreinfo.h"
#include "space/memory_view.h"

namespace kcoredump {

inline constexpr size_t kMaxKallsymsNameBytes = 64 << 20;  ///< all compressed names; 3 MB is usual
inline constexpr size_t kKallsymsTokens = 256;
inline constexpr size_t kTokenIndexBytes = kKallsymsTokens * sizeof(uint16_t);
/// Starts are 16 bits wide, so the last token begins no later than this.
inline constexpr size_t kMaxTokenTableBytes = 65536 + 1024;
/// Every so many names have a marker: the place of the first of them (kernel/kallsyms.c).
inline constexpr size_t kNamesAMarker = 256;

/// What one code of a compressed name stands for.
struct TokenTable {
  std::string text;
  std::array<uint16_t, kKallsymsTokens> starts{};

  [[nodiscard]] std::string_view At(uint8_t code) const { return text.c_str() + starts[code]; }
};

/// A place where addresses may stand.
struct AddressPlace {
  enum class Form : uint8_t {
    kAbsolute,        ///< u64: kallsyms_addresses; up to 6.10
    kBaseRelative,    ///< base + u32; 4.6 (2213e9a66bb8) up to 6.19
    kAbsolutePercpu,  ///< i32: base − 1 − i when negative, else i itself; 4.6 up to 6.14
    kPlaceRelative,   ///< i32, from the place where it stands; 7.0 (a081b5789255)
  };
  Form form = Form::kAbsolute;
  uint64_t at = 0;    ///< of the first
  uint64_t base = 0;  ///< kallsyms_relative_base

  [[nodiscard]] size_t width() const { return form == Form::kAbsolute ? 8 : 4; }
  /// The address that `raw` stands for as the `index`-th of the table.
  [[nodiscard]] uint64_t Decode(size_t index, uint64_t raw) const;
};

struct KallsymsTables {
  uint32_t count = 0;
  TokenTable tokens;
  uint64_t names_at = 0;
  std::vector<std::byte> names;       ///< from the first on, with all that follows up to the tokens
  std::vector<uint32_t> name_starts;  ///< of each code sequence within `names`
  std::vector<uint16_t> name_codes;   ///< how many codes
  std::vector<AddressPlace> places;   ///< one of them is right: that which reproduces `_stext`
};

/// kCorrupt: tables that contradict themselves.
[[nodiscard]] Result<KallsymsTables> TablesByVmcoreInfo(MemoryView& kernel, const VmcoreInfo& info);

/// For kernels before 6.0, whose VMCOREINFO does not tell. Reads the image from `stext` on.
/// kNotFound: nothing like it there.
[[nodiscard]] Result<KallsymsTables> TablesByScanning(MemoryView& kernel, uint64_t stext);

/// The pieces that both need.
[[nodiscard]] std::optional<TokenTable> ParseTokens(std::span<const std::byte> text,
                                                    std::span<const std::byte> index);
/// Fills name_starts and name_codes: lengths of one byte, or of two from 6.1 on (73bbb94466fd),
/// whichever leads to the markers that must follow the names.
[[nodiscard]] Status SplitNames(KallsymsTables& tables);

}  // namespace kcoredump
