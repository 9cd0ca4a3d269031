// SPDX-License-Identifier: MIT
//
// The snapshot that an incremental one is made from, and which of its frames are the same now.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/hash256.h"
#include "format/snapshot/plain_reader.h"
#include "format/snapshot/reader.h"
#include "kcoredump/capture.h"

namespace kcoredump {

/// Whether a capture can have frames of that size.
[[nodiscard]] constexpr bool IsFrameSize(uint32_t bytes) {
  return std::has_single_bit(bytes) && bytes >= kMinFrameBytes && bytes <= kMaxFrameBytes;
}

/// Immutable; any thread may call any method.
class SnapshotBase {
 public:
  /// Any snapshot with a trailer and without damage, complete or not. kInvalidArgument: its name
  /// cannot be written down. Errors name it.
  [[nodiscard]] static Result<std::shared_ptr<const SnapshotBase>> Open(const std::string& path);
  /// kInvalidArgument: what is made from it needs pages and frames of its sizes.
  [[nodiscard]] Status CheckSizes(uint64_t page_bytes, uint32_t frame_bytes) const;
  /// Of the largest frame.
  [[nodiscard]] uint32_t frame_bytes() const { return frame_bytes_; }

  /// What the new snapshot begins with: BaseLink, and the notice.
  [[nodiscard]] std::span<const std::byte> head() const { return head_; }
  [[nodiscard]] const Hash256& id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const SnapshotSource& source() const { return *source_; }
  /// Whether the base is found from a snapshot at `path`.
  [[nodiscard]] bool IsBeside(const std::string& path) const;

 private:
  SnapshotBase(std::unique_ptr<SnapshotSource> source, std::string name, const Hash256& id);
  [[nodiscard]] Status MakeHead();

  std::unique_ptr<SnapshotSource> source_;
  std::string name_;
  Hash256 id_;
  uint32_t frame_bytes_ = 0;
  std::vector<std::byte> head_;
};

/// Memory of one frame as it is now.
struct FrameContent {
  PhysAddr phys;
  std::span<const std::byte> bytes;
  Hash256 hash{};  ///< of the bytes
};

/// For one thread.
class BaseComparer {
 public:
  [[nodiscard]] static Result<BaseComparer> Create(std::shared_ptr<const SnapshotBase> base);
  /// Memory of a comparer.
  [[nodiscard]] static uint64_t MostBytes(const SnapshotBase& base);

  /// The base's frame of that very memory, where its bytes are the same. A base without hashes is
  /// read for it, where the checksums agree, around the page cache.
  [[nodiscard]] std::optional<FrameReference> Find(const FrameContent& content);

 private:
  explicit BaseComparer(std::shared_ptr<const SnapshotBase> base) : base_(std::move(base)) {}
  [[nodiscard]] bool SameBytes(size_t frame, const FrameContent& content, uint32_t checksum);

  std::shared_ptr<const SnapshotBase> base_;
  std::optional<PlainReader> reader_;  ///< of a base without hashes
};

}  // namespace kcoredump
