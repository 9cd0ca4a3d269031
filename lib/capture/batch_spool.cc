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

/// On the disk, or at least in the page cache.
void GiveRoomBack(int fd, uint64_t offset, uint64_t bytes) {
  const auto start = static_cast<off_t>(offset);
  const auto length = static_cast<off_t>(bytes);
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length) == 0) return;
  posix_fadvise(fd, start, length, POSIX_FADV_DONTNEED);
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
  const std::vector<EncodedPiece>& pieces = slot.batch.pieces;
  Kept kept{.offset = end_,
            .pieces = static_cast<uint32_t>(pieces.size()),
            .milliseconds = slot.batch.milliseconds,
            .moves = slot.moves,
            .phys = slot.batch.phys,
            .report = slot.report};
  for (const EncodedPiece& piece : pieces) {
    kept.encoded_bytes += piece.encoded_bytes;
    kept.content_bytes += piece.content_bytes;
  }
  const auto account = std::as_bytes(std::span(pieces));
  KCD_TRY(WriteAll(fd_.get(), {slot.batch.bytes.get(), kept.encoded_bytes}, end_));
  KCD_TRY(WriteAll(fd_.get(), account, end_ + kept.encoded_bytes));
  end_ += kept.encoded_bytes + account.size();
  plain_bytes_ += kept.content_bytes;
  kept_.emplace(slot.index, std::move(kept));
  write_behind_.Advance(fd_.get(), end_);
  return {};
}

std::optional<uint64_t> BatchSpool::First() const {
  if (kept_.empty()) return std::nullopt;
  return kept_.begin()->first;
}

Status BatchSpool::Take(uint64_t index, Slot& slot) {
  auto node = kept_.extract(index);
  Kept& kept = node.mapped();
  slot.batch.pieces.resize(kept.pieces);
  const auto account = std::as_writable_bytes(std::span(slot.batch.pieces));
  KCD_TRY(PreadExactly(fd_.get(), {slot.batch.bytes.get(), kept.encoded_bytes}, kept.offset));
  KCD_TRY(PreadExactly(fd_.get(), account, kept.offset + kept.encoded_bytes));
  GiveRoomBack(fd_.get(), kept.offset, kept.encoded_bytes + account.size());
  plain_bytes_ -= kept.content_bytes;
  slot.index = index;
  slot.batch.is_memory = true;
  slot.batch.phys = kept.phys;
  slot.batch.milliseconds = kept.milliseconds;
  slot.report = std::move(kept.report);
  slot.moves = kept.moves;
  return {};
}

Result<BlankBatches> BlankBatches::Create(const CapturePlan& plan, const ImageEncoding& encoding,
                                          uint64_t page_bytes) {
  KCD_ASSIGN(auto encoder, encoding.NewEncoder());
  return BlankBatches(plan, std::move(encoder), page_bytes);
}

Status BlankBatches::Make(uint64_t index, Slot& slot) {
  const Batch batch = plan_.At(index);
  slot.index = index;
  slot.batch.is_memory = batch.is_memory;
  slot.batch.phys = batch.phys;
  slot.batch.pieces.clear();
  slot.report.Clear();
  slot.moves = 0;
  PlainBatch blank{
      .is_memory = batch.is_memory, .phys = batch.phys, .bytes = batch.literal, .pages = {}};
  if (batch.is_memory) {
    const uint64_t pages = batch.bytes / page_bytes_;
    zeros_.resize(batch.bytes);
    holes_.assign(pages, PageContent::kHole);
    blank.bytes = zeros_;
    blank.pages = holes_;
    slot.report.counts.unreadable = pages;
    slot.report.runs = {{.first = Location(batch.phys),
                         .pages = pages,
                         .outcome = PageOutcome::kUnreadable,
                         .system_errno = ECANCELED}};
  }
  return encoder_->Encode(blank, slot.batch);
}

}  // namespace kcoredump
