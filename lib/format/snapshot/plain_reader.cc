// SPDX-License-Identifier: MIT
#include "format/snapshot/plain_reader.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

Result<PlainReader> PlainReader::Create(std::shared_ptr<const SnapshotFile> file) {
  KCD_ASSIGN(FrameDecompressor decompressor, FrameDecompressor::Create());
  return PlainReader(std::move(file), std::move(decompressor));
}

uint64_t PlainReader::MostBytes(const SnapshotFile& file) {
  uint64_t compressed = 0;
  uint64_t content = 0;
  for (const SnapshotFile* one = &file; one != nullptr; one = one->base().get()) {
    for (const FrameSpan& frame : one->frames()) {
      compressed = std::max<uint64_t>(compressed, frame.compressed_bytes);
      content = std::max<uint64_t>(content, frame.content_bytes);
    }
  }
  return compressed + content + DecompressorBytes();
}

PlainReader::PlainReader(std::shared_ptr<const SnapshotFile> file, FrameDecompressor decompressor)
    : file_(std::move(file)), decompressor_(std::move(decompressor)) {}

/// Whatever became of the base since: what is not what was referred to is damage.
Result<std::span<const std::byte>> PlainReader::Load(const FrameSpan& frame) {
  if (loaded_ == &frame) return std::span<const std::byte>(content_);
  loaded_ = nullptr;
  referred_hash_.reset();
  KCD_TRY(LoadCompressed({file_.get(), &frame}));
  KCD_ASSIGN(const Place place, Follow({file_.get(), &frame}));
  Status unpacked = Unpack(*place.frame);
  if (unpacked.ok() && referred_hash_ && Sha256(content_) != *referred_hash_) {
    unpacked = Corrupt("it has not the content that was referred to");
  }
  if (!unpacked.ok() && place.file != file_.get()) {
    return std::move(unpacked.error())
        .WithContext("the frame at " + Hex(frame.file_offset) + ", which " + place.file->path() +
                     " has");
  }
  KCD_TRY(std::move(unpacked));
  loaded_ = &frame;
  return std::span<const std::byte>(content_);
}

Status PlainReader::LoadCompressed(const Place& place) {
  compressed_.resize(place.frame->compressed_bytes);
  return uncached_ ? uncached_->ReadExactly(compressed_, place.frame->file_offset)
                   : PreadExactly(place.file->fd(), compressed_, place.frame->file_offset);
}

/// From base to base, as long as what is found refers to the next; they are at most kMaxBases.
Result<PlainReader::Place> PlainReader::Follow(Place place) {
  const std::string where = "the frame at " + Hex(place.frame->file_offset);
  while (const auto reference = DecodeReference(compressed_)) {
    const std::string there =
        where + " refers to frame " + std::to_string(reference->frame) + " of its base";
    if (referred_hash_ && *referred_hash_ != reference->hash) {
      return Corrupt(there + ", which refers to another content");
    }
    referred_hash_ = reference->hash;
    const SnapshotFile* base = place.file->base().get();
    if (base == nullptr) return Corrupt(there + ", and the snapshot has none");
    if (reference->frame >= base->frames().size()) return Corrupt(there + ", beyond its end");
    const FrameSpan* target = &base->frames()[reference->frame];
    if (reference->content_bytes != place.frame->content_bytes ||
        target->content_bytes != place.frame->content_bytes) {
      return Corrupt(there + ", which has another size");
    }
    place = {base, target};
    if (Status read = LoadCompressed(place); !read.ok()) {
      return std::move(read.error()).WithContext(there);
    }
  }
  return place;
}

Status PlainReader::Unpack(const FrameSpan& frame) {
  // The frame's own word before anything is allocated: a seek table may promise a bomb.
  const auto header = ParseFrameHeader(compressed_);
  if (!header.ok() || header.value().content_bytes != frame.content_bytes) {
    return Corrupt("the frame at " + Hex(frame.file_offset) + " is not what the seek table says");
  }
  content_.resize(frame.content_bytes);
  if (Status status = decompressor_.Decompress(compressed_, content_); !status.ok()) {
    return std::move(status.error()).WithContext("the frame at " + Hex(frame.file_offset));
  }
  return {};
}

Result<size_t> PlainReader::ReadAt(uint64_t plain_offset, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const FrameSpan* frame = file_->FrameAt(plain_offset + done);
    if (frame == nullptr) break;
    KCD_ASSIGN(const auto content, Load(*frame));
    done += ReadFromBytes(content, plain_offset + done - frame->plain_offset, out.subspan(done));
  }
  return done;
}

}  // namespace kcoredump
