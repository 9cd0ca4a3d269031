// SPDX-License-Identifier: MIT
#include "capture/batch_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/try.h"

namespace kcoredump {

namespace {

uint64_t EncodedBytes(const EncodedBatch& batch) {
  uint64_t bytes = 0;
  for (const EncodedPiece& piece : batch.pieces) bytes += piece.encoded_bytes;
  return bytes;
}

uint64_t ContentBytes(const EncodedBatch& batch) {
  uint64_t bytes = 0;
  for (const EncodedPiece& piece : batch.pieces) bytes += piece.content_bytes;
  return bytes;
}

/// All of a slot but its bytes.
Slot Account(const Slot& slot) {
  Slot copy;
  copy.index = slot.index;
  copy.batch.is_memory = slot.batch.is_memory;
  copy.batch.phys = slot.batch.phys;
  copy.batch.pieces = slot.batch.pieces;
  copy.batch.milliseconds = slot.batch.milliseconds;
  copy.report = slot.report;
  copy.moves = slot.moves;
  return copy;
}

Status WriteAll(int fd, std::span<const std::byte> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return SystemError("keeping what was read early", written == 0 ? EIO : errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return {};
}

}  // namespace

Result<BatchSpool> BatchSpool::Create(const std::string& output) {
  const size_t slash = output.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : output.substr(0, slash + 1);
  UniqueFd fd(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd.valid()) {  // not every file system has files without names
    std::string name = folder + "/.kcoredump-early-XXXXXX";
    fd = UniqueFd(mkostemp(name.data(), O_CLOEXEC));
    if (fd.valid()) unlink(name.c_str());
  }
  if (!fd.valid()) return SystemError("a temporary file in " + folder, errno);
  return BatchSpool(std::move(fd));
}

Status BatchSpool::Add(const Slot& slot) {
  const uint64_t bytes = EncodedBytes(slot.batch);
  KCD_TRY(WriteAll(fd_.get(), {slot.batch.bytes.get(), bytes}, end_));
  kept_.emplace(slot.index, Kept{.offset = end_, .slot = Account(slot)});
  end_ += bytes;
  plain_bytes_ += ContentBytes(slot.batch);
  write_behind_.Advance(fd_.get(), end_);
  return {};
}

Status BatchSpool::Take(uint64_t index, Slot& slot) {
  auto found = kept_.extract(index);
  Kept& kept = found.mapped();
  const uint64_t bytes = EncodedBytes(kept.slot.batch);
  KCD_TRY(PreadExactly(fd_.get(), {slot.batch.bytes.get(), bytes}, kept.offset));
  posix_fadvise(fd_.get(), static_cast<off_t>(kept.offset), static_cast<off_t>(bytes),
                POSIX_FADV_DONTNEED);
  plain_bytes_ -= ContentBytes(kept.slot.batch);
  kept.slot.batch.bytes = std::move(slot.batch.bytes);
  slot = std::move(kept.slot);
  return {};
}

}  // namespace kcoredump
