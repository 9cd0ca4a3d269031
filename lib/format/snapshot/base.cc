// SPDX-License-Identifier: MIT
#include "format/snapshot/base.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "format/codec.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// For whoever unpacks the file: without the base it is no image, and must not pass for one.
std::string NoticeFor(const std::string& base) {
  return std::string(kNoticeStart) + ": it leaves out what is the same in\n" + base +
         "\nand is no ELF core without. `kcoredump convert FILE OUT.elf.zst`, with that file "
         "beside "
         "FILE,\nmakes a whole one.\n";
}

constexpr char kContext[] = "the base must be a sound snapshot";

/// What it is called where it lies; a link in its own folder may point elsewhere tomorrow, and
/// /dev/fd/N is no name. A link from another folder is what stands beside the new snapshot.
std::string NameOf(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path real = fs::canonical(path, failed);
  const fs::path folder = fs::canonical(FolderOf(path).empty() ? "." : FolderOf(path), failed);
  const bool is_descriptor = folder.string().starts_with("/proc/");
  if (!failed && (real.parent_path() == folder || is_descriptor)) return real.filename().string();
  return path.substr(FolderOf(path).size());
}

bool HasHashes(const SnapshotBase& base) {
  return !base.source().file().trailer()->frame_hashes.empty();
}

}  // namespace

SnapshotBase::SnapshotBase(std::unique_ptr<SnapshotSource> source, std::string name,
                           const Hash256& id)
    : source_(std::move(source)), name_(std::move(name)), id_(id) {
  for (const FrameSpan& frame : source_->file().frames()) {
    frame_bytes_ = std::max(frame_bytes_, frame.content_bytes);
  }
}

Result<std::shared_ptr<const SnapshotBase>> SnapshotBase::Open(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return SystemError("the base " + path, errno);
  if (!S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kUnsupported, "the base " + path + " is not a regular file");
  }
  std::string name = NameOf(path);
  if (!IsBaseName(name)) {
    return InvalidArgument("the base " + path + ": its name has control characters; rename it");
  }
  auto file = SnapshotFile::Open(path);
  if (!file.ok()) return std::move(file.error()).WithContext(kContext);
  auto id = file.value()->Identity();
  if (!id.ok()) return std::move(id.error()).WithContext(kContext);
  if (file.value()->CountBases() >= kMaxBases) {
    return MakeError(ErrorCode::kLimitExceeded,
                     "the base " + path + " has " + std::to_string(kMaxBases) +
                         " bases already: make a whole snapshot of it with kcoredump convert, and "
                         "take that");
  }
  auto source = SnapshotSource::FromFile(file.value());
  if (!source.ok()) return std::move(source.error()).WithContext(kContext);
  std::shared_ptr<SnapshotBase> base(
      new SnapshotBase(std::move(source.value()), std::move(name), id.value()));
  KCD_TRY(base->MakeHead());
  // Opening read the tables of all of them, which for a terabyte of memory are large.
  for (const SnapshotFile* one = file.value().get(); one != nullptr; one = one->base().get()) {
    posix_fadvise(one->fd(), 0, 0, POSIX_FADV_DONTNEED);
  }
  return std::shared_ptr<const SnapshotBase>(std::move(base));
}

Status SnapshotBase::CheckSizes(uint64_t page_bytes, uint32_t frame_bytes) const {
  const std::string its = "the base " + source_->path() + ": its ";
  if (source_->page_bytes() != page_bytes) {
    return InvalidArgument(its + "pages are of " + HumanBytes(source_->page_bytes()) +
                           ", and the source's of " + HumanBytes(page_bytes));
  }
  const auto& ram = source_->map().ram();
  const bool has_room = std::any_of(ram.begin(), ram.end(), [&](const Segment& segment) {
    return segment.file_bytes >= frame_bytes;
  });
  if (frame_bytes_ == frame_bytes || (frame_bytes_ < frame_bytes && !has_room)) return {};
  const std::string cure =
      IsFrameSize(frame_bytes_) ? ": leave --frame-size out" : ", so it can be none";
  return InvalidArgument(its + "frames are of " + HumanBytes(frame_bytes_) + ", and not of " +
                         HumanBytes(frame_bytes) + cure);
}

Status SnapshotBase::MakeHead() {
  const std::string notice = NoticeFor(Escaped(name_));
  KCD_ASSIGN(FrameCompressor compressor, FrameCompressor::Create(1));
  std::vector<std::byte> frame(CompressedBound(notice.size()));
  KCD_ASSIGN(const size_t length, compressor.Compress(std::as_bytes(std::span(notice)), frame));
  head_ = EncodeBaseLink({.name = name_, .id = id_, .notice_bytes = static_cast<uint32_t>(length)});
  head_.insert(head_.end(), frame.begin(), frame.begin() + static_cast<ptrdiff_t>(length));
  return {};
}

bool SnapshotBase::IsBeside(const std::string& path) const {
  struct stat there {};
  struct stat own {};
  return stat((FolderOf(path) + name_).c_str(), &there) == 0 &&
         fstat(source_->file().fd(), &own) == 0 && own.st_dev == there.st_dev &&
         own.st_ino == there.st_ino;
}

Result<BaseComparer> BaseComparer::Create(std::shared_ptr<const SnapshotBase> base) {
  // The source keeps the file alive, and the base the source.
  const std::shared_ptr<const SnapshotFile> file(base, &base->source().file());
  const bool is_read = !HasHashes(*base);
  BaseComparer comparer(std::move(base));
  if (is_read) {
    KCD_ASSIGN(PlainReader reader, PlainReader::Create(file));
    comparer.reader_.emplace(std::move(reader));
    comparer.reader_->ReadAroundPageCache();
  }
  return comparer;
}

uint64_t BaseComparer::MostBytes(const SnapshotBase& base) {
  // The compressed bytes once more, in whole blocks.
  return HasHashes(base) ? 0 : 2 * PlainReader::MostBytes(base.source().file());
}

std::optional<FrameReference> BaseComparer::Find(const FrameContent& content) {
  const SnapshotFile& file = base_->source().file();
  const auto extent = base_->source().map().Find(content.phys);
  if (!extent || !extent->in_file || extent->bytes < content.bytes.size()) return std::nullopt;
  const FrameSpan* frame = file.FrameAt(extent->offset);
  if (frame == nullptr || frame->plain_offset != extent->offset ||
      frame->content_bytes != content.bytes.size()) {
    return std::nullopt;
  }
  // As short as a frame of zeros is: a reference would be longer.
  if (frame->compressed_bytes < kReferenceBytes) return std::nullopt;
  const auto index = static_cast<size_t>(frame - file.frames().data());
  const auto checksum = static_cast<uint32_t>(Hash64(content.bytes));
  if (!SameBytes(index, content, checksum)) return std::nullopt;
  return FrameReference{.frame = static_cast<uint32_t>(index),
                        .content_bytes = frame->content_bytes,
                        .hash = content.hash,
                        .checksum = checksum};
}

bool BaseComparer::SameBytes(size_t frame, const FrameContent& content, uint32_t checksum) {
  const SnapshotFile& file = base_->source().file();
  if (file.TableChecksum(frame) != checksum) return false;
  if (!reader_) return file.trailer()->frame_hashes[frame] == content.hash;
  // A frame of the base that is damaged is the same as none.
  const auto bytes = reader_->Load(file.frames()[frame]);
  return bytes.ok() && std::equal(bytes.value().begin(), bytes.value().end(), content.bytes.begin(),
                                  content.bytes.end());
}

}  // namespace kcoredump
