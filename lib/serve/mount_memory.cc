// SPDX-License-Identifier: MIT
#include "serve/mount_memory.h"

#include "base/try.h"

namespace kcoredump {

Result<std::unique_ptr<PhysicalSpace>> MountMemory::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto space = std::move(idle_.back());
      idle_.pop_back();
      return space;
    }
  }
  return PhysicalSpace::Create(source_, cache_);
}

Result<size_t> MountMemory::Read(PhysAddr phys, std::span<std::byte> out) {
  KCD_ASSIGN(auto space, Take());
  Status status = space->Read(phys.value, out);
  size_t count = out.size();
  if (!status.ok() && status.error().address > phys.value) {
    // What stands before the missing page.
    count = std::min<uint64_t>(status.error().address - phys.value, out.size());
    status = space->Read(phys.value, out.first(count));
  }
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(space));
  if (!status.ok()) return std::move(status.error());
  return count;
}

}  // namespace kcoredump
