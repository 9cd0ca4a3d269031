// SPDX-License-Identifier: MIT
//
// Slab caches, where the kernel has its small objects (SLUB; kernel: mm/slub.c).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kcoredump/kernel.h"

namespace kcoredump {

/// More are not listed, and a note says so.
inline constexpr size_t kMaxSlabCaches = 1 << 16;

/// A struct kmem_cache, as a line of /proc/slabinfo has it. Strings may hold anything: escape them
/// for a terminal (ToText does).
struct SlabCache {
  std::string name;
  uint64_t object_bytes = 0;    ///< that its users have
  uint64_t size_bytes = 0;      ///< from one object to the next
  uint64_t objects_a_slab = 0;  ///< of a slab of the usual size
  uint64_t pages_a_slab = 0;
  uint64_t slabs = 0;
  uint64_t objects = 0;  ///< that its slabs have room for
  uint64_t active = 0;   ///< in use, or kept by a CPU for the next to come, as in /proc/slabinfo
  uint64_t address = 0;  ///< of its struct kmem_cache
};

struct SlabCaches {
  std::vector<SlabCache> caches;  ///< by name
  Findings findings;
};

/// The object that an address lies in.
struct SlabObject {
  SlabCache cache;
  uint64_t slab = 0;    ///< address of its first object's place
  uint64_t object = 0;  ///< address of the object
  uint64_t index = 0;   ///< in its slab
  uint64_t offset = 0;  ///< of the address in the object
};

/// Without debuginfo. kNotFound: no symbol slab_caches, or a member that this kernel lacks.
[[nodiscard]] Result<SlabCaches> ListSlabCaches(Kernel& kernel);

/// kNotFound: the address is in no slab; kUnsupported: this image does not tell where its struct
/// pages are.
[[nodiscard]] Result<SlabObject> FindSlabObject(Kernel& kernel, uint64_t address);

/// NAME, OBJECT, SIZE, ACTIVE, TOTAL, SLABS, MEMORY.
[[nodiscard]] std::string ToText(const SlabCaches& found, const TextStyle& style);
[[nodiscard]] std::string ToJson(const SlabCaches& found);
[[nodiscard]] std::string ToText(const SlabObject& object);
[[nodiscard]] std::string ToJson(const SlabObject& object);

}  // namespace kcoredump
