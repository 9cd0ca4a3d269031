// SPDX-License-Identifier: MIT
#include "source/locked_buffer.h"

#include <sys/mman.h>

#include <cerrno>

#include "base/error.h"
#include "kcoredump/text.h"

namespace kcoredump {

Result<LockedBuffer> LockedBuffer::Create(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return SystemError("a buffer of " + HumanBytes(bytes), errno);
  LockedBuffer buffer;
  buffer.bytes_ = {static_cast<std::byte*>(memory), bytes};
  // Refused beyond RLIMIT_MEMLOCK without CAP_IPC_LOCK: the pages are there all the same, and a
  // destination that faults after all is what the ladder is for.
  (void)mlock(memory, bytes);
  return buffer;
}

LockedBuffer::~LockedBuffer() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

}  // namespace kcoredump
