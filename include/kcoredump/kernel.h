// SPDX-License-Identifier: MIT
//
// Looking inside a kernel, live or dead, without its debuginfo: what every question starts from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kcoredump/address.h"
#include "kcoredump/memory.h"
#include "kcoredump/result.h"

namespace kcoredump {

class Session;  // lib/inspect/session.h

inline constexpr size_t kDefaultCacheBytes = 64 << 20;

struct KernelOptions {
  /// Most bytes of unpacked memory kept for the next read; 0: none. Never used on a live kernel.
  size_t cache_bytes = kDefaultCacheBytes;
};

/// Most notes that are held of one question: a forged image has a million things to complain of.
inline constexpr size_t kMostNotes = 10'000;

/// What weakens an answer. Part of every answer about kernel structures.
struct Findings {
  /// Types, members or symbols that this kernel lacks and what that cost; damaged lists; missing
  /// memory. May quote the image: escape for a terminal.
  std::vector<std::string> notes;
  /// Something is missing from the answer for memory was missing or damaged.
  bool incomplete = false;

  void Add(std::string note) {
    if (notes.size() < kMostNotes) notes.push_back(std::move(note));
  }
  void Lost(std::string note) {
    Add(std::move(note));
    incomplete = true;
  }
};

/// An address and the space it belongs to: WHERE of the command line, resolved.
struct Target {
  enum class Space : uint8_t { kPhysical, kKernel, kProcess };
  Space space = Space::kKernel;
  uint64_t address = 0;
  uint32_t pid = 0;  ///< for kProcess
};

/// How text is to be laid out.
struct TextStyle {
  unsigned columns = 0;  ///< the terminal's width; 0: no limit
  bool colour = false;
};

/// An open image with what is needed to understand it: symbols, types, address spaces, each loaded
/// at its first need. For one thread at a time; open another for another thread.
class Kernel {
 public:
  /// `path` as Memory::Open.
  [[nodiscard]] static Result<Kernel> Open(const std::string& path,
                                           const KernelOptions& options = {});
  Kernel(Kernel&&) noexcept;
  Kernel& operator=(Kernel&&) noexcept;
  ~Kernel();

  /// As Memory::Caveats, and what was learnt since: hidden kallsyms, symbols decoded from memory.
  [[nodiscard]] std::vector<std::string> Caveats() const;

  /// A file without its end: what looks absent may only not have been reached.
  [[nodiscard]] bool torn() const;

  /// WHERE: an address (0x…, decimal, or 16 hex digits), a symbol, symbol+offset, symbol-offset,
  /// phys:ADDRESS, pid:N:ADDRESS. kNotFound: no such symbol; kInvalidArgument: a static name that
  /// stands several times, with its addresses.
  [[nodiscard]] Result<Target> Resolve(std::string_view where);

  /// Fills `out`, good memory of the caller's, as far as memory can be read: returns the bytes
  /// before the first that cannot. `failure` then says what is missing.
  [[nodiscard]] Result<size_t> Read(const Target& at, std::span<std::byte> out,
                                    std::string* failure);

  /// "symbol+0x1c [module]"; empty: no symbol there, or no symbols at all.
  [[nodiscard]] std::string Symbolize(uint64_t address);

  [[nodiscard]] Session& session() const { return *session_; }

 private:
  explicit Kernel(std::unique_ptr<Session> session);
  std::unique_ptr<Session> session_;
};

}  // namespace kcoredump
