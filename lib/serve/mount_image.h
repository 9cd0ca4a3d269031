// SPDX-License-Identifier: MIT
//
// Images of other formats that are not stored: what stands at an offset is worked out when it is
// read, and memory comes from the image that there is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kcoredump/result.h"
#include "serve/mount_memory.h"
#include "serve/mount_pages.h"
#include "source/memory_source.h"

namespace kcoredump {

enum class MountImageKind : uint8_t { kElf, kKdump, kRaw, kLime };
inline constexpr size_t kMountImageKinds = 4;

/// What stands at an offset and those that follow it.
struct ImagePiece {
  enum class Kind : uint8_t {
    kBytes,   ///< the format's own
    kZeros,   ///< nothing: a gap, or pages that the image does not hold
    kMemory,  ///< from `phys` on
  };
  Kind kind = Kind::kZeros;
  uint64_t bytes = 0;
  PhysAddr phys;
};

/// Immutable; any thread may call any method.
class VirtualImage {
 public:
  virtual ~VirtualImage() = default;
  [[nodiscard]] virtual uint64_t bytes() const = 0;
  /// Without pieces of kZeros.
  [[nodiscard]] virtual uint64_t data_bytes() const = 0;
  /// `offset` lies inside; so does the piece. Takes O(log n) of its parts.
  [[nodiscard]] virtual ImagePiece At(uint64_t offset) const = 0;
  /// Bytes of one piece of kBytes.
  virtual void Fill(uint64_t offset, std::span<std::byte> out) const = 0;
};

// The very bytes that `convert` writes, but for the metadata's note. What they are made of must
// outlive them.

/// ELF core, as convert --to elf. `vendor_notes`: of SystemNotes.
[[nodiscard]] Result<std::unique_ptr<VirtualImage>> MakeElfImage(
    const MemorySource& source, const HeldPages& held, std::vector<std::byte> vendor_notes);
/// Every byte at its physical address, as convert --to raw.
[[nodiscard]] std::unique_ptr<VirtualImage> MakeRawImage(const MemorySource& source,
                                                         const HeldPages& held);
/// As convert --to lime.
[[nodiscard]] std::unique_ptr<VirtualImage> MakeLimeImage(const HeldPages& held);

/// A kdump whose pages stand in it as they are, each at a place of its own: which of them are zeros
/// is not known before they are read.
[[nodiscard]] std::unique_ptr<VirtualImage> MakeKdumpImage(const MemorySource& source,
                                                           const HeldPages& held,
                                                           uint64_t started_utc_ns);

/// Fills `out` from `offset`, up to the image's end or the first page that cannot be read: returns
/// the bytes before it; an error when there are none.
[[nodiscard]] Result<size_t> ReadImage(const VirtualImage& image, MountMemory& memory,
                                       uint64_t offset, std::span<std::byte> out);

}  // namespace kcoredump
