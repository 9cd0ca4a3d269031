// SPDX-License-Identifier: MIT
#include "format/snapshot/base.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "format/plain_source.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

Status CheckSizes(const SnapshotSource& source, const BaseNeeds& needs) {
  if (source.page_bytes() != needs.page_bytes) {
    return InvalidArgument("its pages are of " + HumanBytes(source.page_bytes()) +
                           ", and the source's of " + HumanBytes(needs.page_bytes));
  }
  uint32_t largest = 0;
  for (const FrameSpan& frame : source.file().frames()) {
    largest = std::max(largest, frame.content_bytes);
  }
  const auto& ram = source.map().ram();
  const bool has_room = std::any_of(ram.begin(), ram.end(), [&](const Segment& segment) {
    return segment.file_bytes >= needs.frame_bytes;
  });
  const bool fits = largest == needs.frame_bytes || (largest < needs.frame_bytes && !has_room);
  if (fits) return {};
  return InvalidArgument("its frames are of " + HumanBytes(largest) + ", and not of " +
                         HumanBytes(needs.frame_bytes) + ": say --frame-size " +
                         std::to_string(largest));
}

/// For whoever unpacks the file: without the base it is no image, and must not pass for one.
std::string NoticeFor(const std::string& base) {
  return "This is an incremental snapshot of kcoredump: it leaves out what is the same in\n" +
         base +
         "\nand is no ELF core without. `kcoredump convert FILE OUT.elf.zst`, with that file "
         "beside "
         "FILE,\nmakes a whole one.\n";
}

bool IsFile(const SnapshotFile& file, const struct stat& info) {
  struct stat open_file {};
  return fstat(file.fd(), &open_file) == 0 && open_file.st_dev == info.st_dev &&
         open_file.st_ino == info.st_ino;
}

}  // namespace

Result<std::shared_ptr<const SnapshotBase>> SnapshotBase::Open(const std::string& path,
                                                               const BaseNeeds& needs) {
  const std::string context = "the base " + path;
  std::string name = path.substr(path.find_last_of('/') + 1);
  if (!IsBaseName(name)) return InvalidArgument(context + ": a snapshot of that name has no place");
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return SystemError(context, errno);
  if (!S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kUnsupported, context + " is not a regular file");
  }
  auto file = SnapshotFile::Open(path);
  if (!file.ok()) return std::move(file.error()).WithContext(context);
  auto id = file.value()->Identity();
  if (!id.ok()) return std::move(id.error()).WithContext(context);
  auto source = SnapshotSource::FromFile(file.value());
  if (!source.ok()) return std::move(source.error()).WithContext(context);
  if (Status sizes = CheckSizes(*source.value(), needs); !sizes.ok()) {
    return std::move(sizes.error()).WithContext(context);
  }
  std::shared_ptr<SnapshotBase> base(
      new SnapshotBase(std::move(source.value()), std::move(name), id.value()));
  KCD_TRY(base->MakeHead());
  return std::shared_ptr<const SnapshotBase>(std::move(base));
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

bool SnapshotBase::IsMadeOf(const std::string& path) const {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return false;
  for (const SnapshotFile* file = &source_->file(); file != nullptr; file = file->base().get()) {
    if (IsFile(*file, info)) return true;
  }
  return false;
}

bool SnapshotBase::IsBeside(const std::string& path) const {
  const std::string there = path.substr(0, path.find_last_of('/') + 1) + name_;
  struct stat info {};
  return stat(there.c_str(), &info) == 0 && IsFile(source_->file(), info);
}

Result<BaseComparer> BaseComparer::Create(std::shared_ptr<const SnapshotBase> base) {
  // The source keeps the file alive, and the base the source.
  const std::shared_ptr<const SnapshotFile> file(base, &base->source().file());
  KCD_ASSIGN(PlainReader reader, PlainReader::Create(file));
  return BaseComparer(std::move(base), std::move(reader));
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
  const auto index = static_cast<size_t>(frame - file.frames().data());
  const auto checksum = static_cast<uint32_t>(Hash64(content.bytes));
  if (!SameOutcomes(content) || !SameBytes(index, content, checksum)) return std::nullopt;
  return FrameReference{.frame = static_cast<uint32_t>(index),
                        .content_bytes = frame->content_bytes,
                        .hash = content.hash,
                        .checksum = checksum};
}

/// Holes of one kind are not those of another, nor pages that were read and happen to be zero.
bool BaseComparer::SameOutcomes(const FrameContent& content) {
  const uint64_t page_bytes = base_->source().page_bytes();
  const size_t pages = content.bytes.size() / page_bytes;
  then_.assign(pages, {});
  now_.assign(pages, {});
  LabelHoles(base_->source().file().trailer()->runs, content.phys, page_bytes, then_);
  LabelHoles(content.runs, content.phys, page_bytes, now_);
  return then_ == now_;
}

bool BaseComparer::SameBytes(size_t frame, const FrameContent& content, uint32_t checksum) {
  const SnapshotFile& file = base_->source().file();
  if (file.TableChecksum(frame) != checksum) return false;
  const std::vector<Hash256>& hashes = file.trailer()->frame_hashes;
  if (!hashes.empty()) return hashes[frame] == content.hash;
  // A frame of the base that is damaged is the same as none.
  const auto bytes = reader_.Load(file.frames()[frame]);
  return bytes.ok() && std::equal(bytes.value().begin(), bytes.value().end(), content.bytes.begin(),
                                  content.bytes.end());
}

}  // namespace kcoredump
