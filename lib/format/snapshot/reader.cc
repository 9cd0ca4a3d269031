// SPDX-License-Identifier: MIT
#include "format/snapshot/reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "format/codec.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// How much of the file is in memory while its frames are walked: room for any frame we write.
constexpr size_t kWalkWindowBytes = 4 << 20;

/// A window over the file that moves forward with the walk.
class WalkWindow {
 public:
  WalkWindow(int fd, uint64_t file_bytes) : fd_(fd), file_bytes_(file_bytes) {}

  /// The file's bytes from `offset`, at least `wanted` of them unless the file ends before.
  Result<std::span<const std::byte>> At(uint64_t offset, size_t wanted) {
    const uint64_t left = file_bytes_ > offset ? file_bytes_ - offset : 0;
    const uint64_t needed = std::min<uint64_t>(wanted, left);
    if (offset < start_ || offset + needed > start_ + bytes_.size()) {
      bytes_.resize(std::min<uint64_t>(std::max(wanted, kWalkWindowBytes), left));
      start_ = offset;
      KCD_ASSIGN(const size_t count, PreadUpTo(fd_, bytes_, offset));
      bytes_.resize(count);
    }
    return std::span<const std::byte>(bytes_).subspan(offset - start_);
  }

 private:
  int fd_;
  uint64_t file_bytes_;
  uint64_t start_ = 0;
  std::vector<std::byte> bytes_;
};

/// A frame as a walk finds it: how long it is, and how much it holds.
struct WalkedFrame {
  uint32_t content_bytes = 0;
  std::optional<size_t> length;  ///< nothing: the file is torn within
};

/// Nothing: no frame of data, which a trailer, a seek table, or a torn or foreign frame is not.
Result<std::optional<WalkedFrame>> FrameFrom(WalkWindow& window, uint64_t offset, bool may_refer) {
  KCD_ASSIGN(auto bytes, window.At(offset, kReferenceBytes));
  if (const auto reference =
          DecodeReference(bytes.first(std::min(bytes.size(), kReferenceBytes)))) {
    const bool usable = may_refer && reference->content_bytes != 0 &&
                        reference->content_bytes <= kMaxFrameContentBytes;
    if (!usable) return std::optional<WalkedFrame>();
    return std::optional(WalkedFrame{reference->content_bytes, kReferenceBytes});
  }
  const auto header = ParseFrameHeader(bytes.first(std::min(bytes.size(), kFrameHeaderMaxBytes)));
  const bool usable = header.ok() && !header.value().skippable && header.value().content_bytes &&
                      *header.value().content_bytes != 0 &&
                      *header.value().content_bytes <= kMaxFrameContentBytes;
  if (!usable) return std::optional<WalkedFrame>();
  WalkedFrame frame{static_cast<uint32_t>(*header.value().content_bytes), FrameLength(bytes)};
  if (!frame.length) {
    KCD_ASSIGN(bytes, window.At(offset, CompressedBound(frame.content_bytes)));
    frame.length = FrameLength(bytes);
  }
  return std::optional(frame);
}

}  // namespace

bool LooksLikeSnapshot(std::span<const std::byte> head) {
  if (AsText(head).starts_with("\x28\xb5\x2f\xfd")) return true;
  const auto link = EncodeSkippableHeader(kBaseFrameMagic, 0);
  return head.size() >= 16 && std::equal(link.begin(), link.begin() + 4, head.begin()) &&
         AsText(head.subspan(kSkippableHeaderBytes)).starts_with(kBaseMagic);
}

Result<std::shared_ptr<const SnapshotFile>> SnapshotFile::Open(const std::string& path) {
  KCD_ASSIGN(std::shared_ptr<SnapshotFile> file, OpenItself(path));
  FileIds opened;
  KCD_TRY(file->CountAsOpened(opened));
  if (file->link_) KCD_TRY(file->OpenBase(opened));
  return std::shared_ptr<const SnapshotFile>(std::move(file));
}

Result<std::shared_ptr<const SnapshotFile>> SnapshotFile::OpenAlone(const std::string& path) {
  KCD_ASSIGN(std::shared_ptr<SnapshotFile> file, OpenItself(path));
  return std::shared_ptr<const SnapshotFile>(std::move(file));
}

Status SnapshotFile::CountAsOpened(FileIds& opened) const {
  struct stat info {};
  if (fstat(fd_.get(), &info) != 0) return SystemError(path_, errno);
  const std::pair<uint64_t, uint64_t> id{info.st_dev, info.st_ino};
  if (std::find(opened.begin(), opened.end(), id) != opened.end()) {
    return Corrupt(path_ + " would be its own base");
  }
  opened.push_back(id);
  return {};
}

Result<std::shared_ptr<SnapshotFile>> SnapshotFile::OpenItself(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe does not stop it
  struct stat info {};
  if (!fd.valid() || fstat(fd.get(), &info) != 0) return SystemError(path, errno);
  if (!S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kUnsupported, path + ": a snapshot must be a regular file");
  }
  // Reading some files of /proc, which tell no size, changes something.
  if (info.st_size == 0) return Corrupt(path + " is empty");
  std::shared_ptr<SnapshotFile> file(
      new SnapshotFile(path, std::move(fd), static_cast<uint64_t>(info.st_size)));
  Status first = file->LoadBaseLink();
  if (first.ok()) first = file->CheckFirstFrame();
  if (!first.ok()) return std::move(first.error()).WithContext(path);
  Status table = file->LoadSeekTable();
  if (!table.ok()) {
    file->frames_.clear();
    file->checksums_.clear();
    file->trailer_.reset();
    file->damage_.push_back(table.error().message);
    if (Status walk = file->WalkFrames(); !walk.ok()) {
      return std::move(walk.error()).WithContext(path);
    }
  }
  return file;
}

/// Nothing is changed where the file does not begin with one.
Status SnapshotFile::LoadBaseLink() {
  static constexpr size_t kMostBytes = kMaxBaseNameBytes + 128;
  std::array<std::byte, kSkippableHeaderBytes + kMostBytes> bytes{};
  KCD_ASSIGN(const size_t count, PreadUpTo(fd_.get(), bytes, 0));
  const auto head = std::span<const std::byte>(bytes).first(count);
  const auto header = ParseFrameHeader(head.first(std::min(count, kFrameHeaderMaxBytes)));
  if (!header.ok() || header.value().skippable_magic != kBaseFrameMagic) return {};
  const uint64_t payload = header.value().skippable_bytes;
  if (payload > head.size() - kSkippableHeaderBytes) {
    return Corrupt("what tells of the snapshot's base is cut off");
  }
  KCD_ASSIGN(link_, DecodeBaseLink(head.subspan(kSkippableHeaderBytes, payload)));
  data_offset_ = kSkippableHeaderBytes + payload + link_->notice_bytes;
  if (data_offset_ < file_bytes_) return {};
  return Corrupt("the file is cut off before its first frame");
}

/// Beside the file as it was named, or, where that was a link or a descriptor, beside the file
/// itself. The name leads to no other folder; IsBaseName saw to that.
Result<std::string> SnapshotFile::FindBase() const {
  const std::string named = FolderOf(path_) + link_->name;
  struct stat info {};
  // Looked at before anything is opened: opening a device may do something.
  if (stat(named.c_str(), &info) == 0) {
    if (S_ISREG(info.st_mode)) return named;
    return Corrupt(named + " is not a regular file");
  }
  const int named_errno = errno;
  const std::string real = FolderOf(PathOfDescriptor(fd_.get()));
  const std::string beside = real + link_->name;
  const bool looked_there = real.empty() || real == FolderOf(path_);
  if (!looked_there && stat(beside.c_str(), &info) == 0 && S_ISREG(info.st_mode)) return beside;
  return SystemError(
      path_ + " is incremental, and needs its base beside it: " + (looked_there ? named : beside),
      named_errno);
}

Status SnapshotFile::OpenBase(FileIds& opened) {
  if (opened.size() > kMaxBases) {
    return MakeError(ErrorCode::kLimitExceeded,
                     path_ + ": more than " + std::to_string(kMaxBases) +
                         " snapshots, each made from the next; convert one of them");
  }
  const bool is_first = opened.size() == 1;
  KCD_ASSIGN(const std::string path, FindBase());
  const auto open = [&]() -> Status {
    KCD_ASSIGN(const std::shared_ptr<SnapshotFile> base, OpenItself(path));
    KCD_TRY(base->CountAsOpened(opened));
    const auto id = base->Identity();
    base->ForgetAllButFrames();  // before the next is opened: there may be 16
    if (base->link_) KCD_TRY(base->OpenBase(opened));
    if (!id.ok()) return id.error();
    if (id.value() != link_->id) {
      return Corrupt(path +
                     " is another snapshot than the one it was made from, whose identity is " +
                     ToHex(link_->id));
    }
    base_ = base;
    return {};
  };
  if (Status opening = open(); !opening.ok()) {
    if (!is_first) return opening;  // of a chain its two ends are told
    return std::move(opening.error())
        .WithContext(path_ + " is incremental, and its base cannot be used");
  }
  return {};
}

/// That is all that is read through a base, and its tables may be of gigabytes.
void SnapshotFile::ForgetAllButFrames() {
  checksums_ = {};
  trailer_.reset();
}

size_t SnapshotFile::CountBases() const {
  size_t count = 0;
  for (const SnapshotFile* file = base_.get(); file != nullptr; file = file->base_.get()) ++count;
  return count;
}

bool SnapshotFile::IsMadeOf(const std::string& path) const {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return false;
  for (const SnapshotFile* file = this; file != nullptr; file = file->base_.get()) {
    struct stat one {};
    if (fstat(file->fd(), &one) == 0 && one.st_dev == info.st_dev && one.st_ino == info.st_ino) {
      return true;
    }
  }
  return false;
}

Result<Hash256> SnapshotFile::Identity() const {
  if (!trailer_ || !damage_.empty()) {
    return Corrupt(path_ + ": " + (damage_.empty() ? "it has no trailer" : damage_.front()));
  }
  std::vector<std::byte> payload(trailer_bytes_);
  KCD_TRY(PreadExactly(fd_.get(), payload, trailer_offset_));
  return Sha256(payload);
}

Status SnapshotFile::CheckFirstFrame() const {
  std::array<std::byte, kFrameHeaderMaxBytes> bytes{};
  KCD_ASSIGN(const size_t count, PreadUpTo(fd_.get(), bytes, data_offset_));
  const auto header = ParseFrameHeader(std::span(bytes).first(count));
  if (header.ok() && !header.value().skippable && header.value().content_bytes) return {};
  if (link_) return Corrupt("its first frame is damaged");
  return MakeError(ErrorCode::kUnsupported,
                   header.ok()
                       ? "a zstd file, but not a snapshot: its first frame does not say how "
                         "much it holds (unpack it with zstd -d, and open the result)"
                       : "not a zstd file");
}

Status SnapshotFile::LoadSeekTable() {
  if (file_bytes_ < kSkippableHeaderBytes + kSeekTableFooterBytes) return Corrupt("no seek table");
  std::array<std::byte, kSeekTableFooterBytes> footer{};
  KCD_TRY(PreadExactly(fd_.get(), footer, file_bytes_ - footer.size()));
  const auto count = DecodeSeekTableFooter(footer);
  if (!count)
    return Corrupt("no seek table at the end: the file was cut off or its end is damaged");
  const uint64_t payload = uint64_t{*count} * kSeekTableEntryBytes + kSeekTableFooterBytes;
  if (payload + kSkippableHeaderBytes > file_bytes_) {
    return Corrupt("the seek table is larger than the file");
  }
  const uint64_t table_offset = file_bytes_ - payload - kSkippableHeaderBytes;
  if (table_offset < data_offset_) return Corrupt("the seek table is larger than the file");
  std::array<std::byte, kSkippableHeaderBytes> raw{};
  KCD_TRY(PreadExactly(fd_.get(), raw, table_offset));
  const auto header = ParseFrameHeader(raw);
  if (!header.ok() || header.value().skippable_magic != kSeekTableFrameMagic ||
      header.value().skippable_bytes != payload) {
    return Corrupt("the seek table's frame is damaged");
  }
  KCD_ASSIGN(const std::vector<SeekEntry> entries, LoadEntries(table_offset, *count));
  KCD_ASSIGN(const uint64_t trailer_end, LoadTrailer(entries));
  if (trailer_end != table_offset) {
    return Corrupt("something stands between the trailer and the seek table");
  }
  checksums_.reserve(entries.size());
  for (const SeekEntry& entry : entries) checksums_.push_back(entry.checksum);
  return {};
}

/// In steps, each checked before the next is read: a sparse file can promise a table of gigabytes.
Result<std::vector<SeekEntry>> SnapshotFile::LoadEntries(uint64_t table_offset, uint32_t count) {
  static constexpr uint32_t kStepEntries = 1 << 16;
  static constexpr uint32_t kMaxReserved = 1 << 22;
  std::vector<SeekEntry> entries;
  entries.reserve(std::min(count, kMaxReserved));
  frames_.reserve(std::min(count, kMaxReserved));
  FrameSpan next{.file_offset = data_offset_};
  for (uint32_t done = 0; done < count;) {
    const uint32_t step = std::min(kStepEntries, count - done);
    entries.resize(done + step);
    KCD_TRY(
        PreadExactly(fd_.get(), std::as_writable_bytes(std::span(entries).subspan(done)),
                     table_offset + kSkippableHeaderBytes + uint64_t{done} * kSeekTableEntryBytes));
    for (; done < entries.size(); ++done) {
      next.compressed_bytes = entries[done].compressed_bytes;
      next.content_bytes = entries[done].content_bytes;
      if (next.content_bytes == 0 || next.content_bytes > kMaxFrameContentBytes ||
          next.compressed_bytes > CompressedBound(next.content_bytes) ||
          next.compressed_bytes > table_offset - next.file_offset) {
        return Corrupt("entry " + std::to_string(done) + " of the seek table is damaged");
      }
      frames_.push_back(next);
      next.file_offset += next.compressed_bytes;
      next.plain_offset += next.content_bytes;
    }
  }
  return entries;
}

uint64_t SnapshotFile::DataEnd() const {
  return frames_.empty() ? data_offset_
                         : frames_.back().file_offset + frames_.back().compressed_bytes;
}

/// The trailer that follows the last frame. Returns where it ends.
Result<uint64_t> SnapshotFile::LoadTrailer(std::span<const SeekEntry> entries) {
  const uint64_t offset = DataEnd();
  std::array<std::byte, kSkippableHeaderBytes> raw{};
  KCD_ASSIGN(const size_t have, PreadUpTo(fd_.get(), raw, offset));
  const auto header = ParseFrameHeader(std::span<const std::byte>(raw).first(have));
  if (!header.ok() || header.value().skippable_magic != kTrailerFrameMagic) {
    return Corrupt("there is no trailer after the last frame");
  }
  const uint64_t bytes = header.value().skippable_bytes;
  if (bytes > MaxTrailerBytes(entries.size()) || bytes > file_bytes_ - offset - raw.size()) {
    return Corrupt("the trailer is not whole");
  }
  std::vector<std::byte> payload(bytes);
  KCD_TRY(PreadExactly(fd_.get(), payload, offset + raw.size()));
  KCD_ASSIGN(Trailer trailer, DecodeTrailer(payload, entries));
  if (trailer.plain_bytes != plain_bytes()) {
    return Corrupt("the trailer speaks of another amount of data than the seek table");
  }
  if (trailer.base_id != (link_ ? std::optional(link_->id) : std::nullopt)) {
    return Corrupt("the trailer speaks of another base than the file's start");
  }
  trailer_ = std::move(trailer);
  trailer_offset_ = offset + raw.size();
  trailer_bytes_ = bytes;
  return offset + raw.size() + bytes;
}

/// Frame by frame from the start, until one is not whole. A trailer that follows and knows these
/// very frames still tells which pages are holes, whatever became of the seek table.
Status SnapshotFile::WalkFrames() {
  WalkWindow window(fd_.get(), file_bytes_);
  std::vector<SeekEntry> entries;
  FrameSpan next{.file_offset = data_offset_};
  while (next.file_offset < file_bytes_ && frames_.size() < kMaxFrames) {
    KCD_ASSIGN(const auto frame, FrameFrom(window, next.file_offset, link_.has_value()));
    // A trailer or seek table ends the data; a torn or foreign frame ends what can be read.
    if (!frame) break;
    if (!frame->length) {
      damage_.push_back("the file is torn at " + Hex(next.file_offset) + ", within a frame");
      break;
    }
    next.content_bytes = frame->content_bytes;
    next.compressed_bytes = static_cast<uint32_t>(*frame->length);
    frames_.push_back(next);
    KCD_ASSIGN(const auto bytes, window.At(next.file_offset, *frame->length));
    entries.push_back({.compressed_bytes = next.compressed_bytes,
                       .content_bytes = next.content_bytes,
                       .checksum = StoredChecksum(bytes.first(*frame->length))});
    next.file_offset += *frame->length;
    next.plain_offset += next.content_bytes;
  }
  if (frames_.empty()) return Corrupt("not one whole frame: the file is torn within its first");
  if (const auto trailer_end = LoadTrailer(entries); !trailer_end.ok()) {
    damage_.push_back(trailer_end.error().message);
  }
  return {};
}

uint64_t SnapshotFile::plain_bytes() const {
  return frames_.empty() ? 0 : frames_.back().plain_offset + frames_.back().content_bytes;
}

bool SnapshotFile::complete() const {
  return trailer_ && trailer_->complete && damage_.empty() &&
         trailer_->plain_bytes == trailer_->expected_bytes;
}

std::string SnapshotFile::IncompleteReason() const {
  if (complete()) return {};
  if (!trailer_) return "the file has no trailer: it was cut off, or its end is damaged";
  if (!trailer_->reason.empty()) return trailer_->reason;
  return damage_.empty() ? "the capture ended early" : damage_.front();
}

const FrameSpan* SnapshotFile::FrameAt(uint64_t plain_offset) const {
  // All but the last frame of ours are of one size: the first guess is right.
  const uint64_t size = frames_.empty() ? 1 : frames_.front().content_bytes;
  if (const uint64_t guess = plain_offset / size; guess < frames_.size()) {
    const FrameSpan& frame = frames_[guess];
    if (plain_offset - frame.plain_offset < frame.content_bytes) return &frame;
  }
  auto after =
      std::upper_bound(frames_.begin(), frames_.end(), plain_offset,
                       [](uint64_t at, const FrameSpan& frame) { return at < frame.plain_offset; });
  if (after == frames_.begin() || plain_offset >= plain_bytes()) return nullptr;
  return &*std::prev(after);
}

std::optional<uint32_t> SnapshotFile::TableChecksum(size_t index) const {
  if (index >= checksums_.size()) return std::nullopt;
  return checksums_[index];
}

}  // namespace kcoredump
