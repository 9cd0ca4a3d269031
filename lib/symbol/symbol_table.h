// SPDX-License-Identifier: MIT
//
// The index of a kernel's symbols: kallsyms in sorted arrays, asked by address, name or glob.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/result.h"

namespace kcoredump {

inline constexpr size_t kMaxSymbols = 8 << 20;
inline constexpr size_t kMaxSymbolNameBytes = 1024;
inline constexpr size_t kMaxSymbolModules = 65535;

/// A gap to the next symbol that is wider than this is no size: it leads out of the per-CPU section
/// or out of the image.
inline constexpr uint64_t kMaxKernelSymbolBytes = 64 << 20;
/// The same within a module, whose text and data may lie apart with other modules between.
inline constexpr uint64_t kMaxModuleSymbolBytes = 1 << 20;
/// Memory of modules comes in pages, so the last symbol of one ends with its page at the latest.
inline constexpr uint64_t kModulePageBytes = 4096;

/// By name; nothing: this kernel has no such symbol.
using SymbolLookup = std::function<std::optional<uint64_t>(std::string_view name)>;

/// One symbol, its text inside the table that gave it.
struct Symbol {
  uint64_t address = 0;
  /// To the next symbol of another address. 0: not known, for what follows is far away or belongs
  /// to somebody else; in a module it then reaches to the end of its page.
  uint64_t size = 0;
  char type = '?';  ///< as nm writes it
  std::string_view name;
  std::string_view module;  ///< empty: the kernel itself; "bpf" and "__builtin__ftrace" too
};

/// Immutable once built; any thread may ask. Moving it leaves the text of its symbols where it is.
class SymbolTable {
  struct Entry {
    uint64_t address = 0;
    uint32_t text = 0;  ///< where in text_ its Head stands; the name follows that
    uint32_t size = 0;
  };
  /// Beside the name, since whoever asks for one looks at the other: one line of cache for both.
  struct Head {
    uint16_t module = 0;  ///< in modules_
    uint16_t length = 0;  ///< of the name
    char type = '?';
  };
  /// A name's place in the index, with enough of its hash to pass over what is another's.
  struct Member {
    uint32_t entry = 0;
    uint32_t hash = 0;
  };

 public:
  /// Collects symbols, in any order, then becomes a table.
  class Builder {
   public:
    Builder() = default;
    /// Goes on where a finished table stopped, which is taken apart.
    explicit Builder(SymbolTable&& table);

    /// Room for so much; more is taken all the same.
    void Reserve(size_t symbols, size_t name_bytes);
    /// kLimitExceeded past kMaxSymbols, kCorrupt for an empty name or one over kMaxSymbolNameBytes.
    [[nodiscard]] Status Add(uint64_t address, char type, std::string_view name,
                             std::string_view module);
    /// Only some of the kernel's symbols are known, so that the next one tells no size: all are 0.
    void WithoutSizes() { sizes_known_ = false; }
    [[nodiscard]] size_t size() const { return entries_.size(); }
    [[nodiscard]] SymbolTable Build() &&;

   private:
    [[nodiscard]] Result<uint16_t> ModuleId(std::string_view module);

    std::vector<char> text_;
    std::vector<Entry> entries_;
    std::vector<std::string> modules_{std::string()};  ///< the first is the kernel itself
    std::map<std::string, uint16_t, std::less<>> module_ids_{{std::string(), uint16_t{0}}};
    uint16_t last_module_ = 0;
    bool sizes_known_ = true;
  };

  SymbolTable() = default;
  SymbolTable(SymbolTable&&) noexcept = default;
  SymbolTable& operator=(SymbolTable&&) noexcept = default;
  SymbolTable(const SymbolTable&) = delete;
  SymbolTable& operator=(const SymbolTable&) = delete;
  ~SymbolTable() = default;

  [[nodiscard]] size_t size() const { return entries_.size(); }
  /// In address order; equal addresses in the order they were added.
  [[nodiscard]] Symbol At(size_t index) const;
  /// The symbol that contains `address`: the last one at or before it, unless `address` lies past
  /// its end. Of several at one address the first, as the kernel prints it; one without a size
  /// contains its own address alone. Nothing below the first. Under 200 ns.
  [[nodiscard]] std::optional<Symbol> Containing(uint64_t address) const;
  /// All that begin right at `address`, in the order they were added.
  [[nodiscard]] std::vector<Symbol> StartingAt(uint64_t address) const;
  /// All symbols of that exact name (static names may stand many times), in address order. Under
  /// 500 ns.
  [[nodiscard]] std::vector<Symbol> Named(std::string_view name) const;
  /// All that match a shell glob (* ? [a-z]), in address order; at most `max`.
  [[nodiscard]] std::vector<Symbol> Matching(std::string_view glob, size_t max) const;

 private:
  static constexpr size_t kHeadBytes = 5;

  [[nodiscard]] Head HeadOf(const Entry& entry) const;
  [[nodiscard]] std::string_view NameOf(const Entry& entry) const;
  /// The index of the first entry at the last address that is not above `address`.
  [[nodiscard]] std::optional<size_t> LastNotAbove(uint64_t address) const;
  void Sort();
  void MeasureSizes();
  void IndexAddresses();
  void IndexNames();

  std::vector<char> text_;
  std::vector<Entry> entries_;
  std::vector<std::string> modules_;
  /// Every kFence-th address: small enough for the first cache, where most of a search is done.
  std::vector<uint64_t> fences_;
  /// Entries by the hash of their name, whose low bits are the bucket: those of bucket b are
  /// members_[buckets_[b]…buckets_[b + 1]). No probing: names forged to collide make one bucket
  /// slow, not the building.
  std::vector<uint32_t> buckets_;
  std::vector<Member> members_;
};

}  // namespace kcoredump
