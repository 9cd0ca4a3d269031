// SPDX-License-Identifier: MIT
//
// The snapshot that an incremental one is made from, and which of its frames are the same now.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/hash256.h"
#include "format/snapshot/reader.h"

namespace kcoredump {

/// What a new snapshot is made for, as far as a base must fit to it.
struct BaseNeeds {
  uint64_t page_bytes = 0;
  uint32_t frame_bytes = 0;
};

/// Immutable; any thread may call any method.
class SnapshotBase {
 public:
  /// Any snapshot with a trailer and without damage. kInvalidArgument: its pages or frames are of
  /// another size, or its name cannot be written down. Errors name it.
  [[nodiscard]] static Result<std::shared_ptr<const SnapshotBase>> Open(const std::string& path,
                                                                        const BaseNeeds& needs);

  /// What the new snapshot begins with: BaseLink, and the notice.
  [[nodiscard]] std::span<const std::byte> head() const { return head_; }
  [[nodiscard]] const Hash256& id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const SnapshotSource& source() const { return *source_; }
  /// Whether the file at `path` is the base, or the base's.
  [[nodiscard]] bool IsMadeOf(const std::string& path) const;
  /// Whether the base is found from a snapshot at `path`.
  [[nodiscard]] bool IsBeside(const std::string& path) const;

 private:
  SnapshotBase(std::unique_ptr<SnapshotSource> source, std::string name, const Hash256& id)
      : source_(std::move(source)), name_(std::move(name)), id_(id) {}
  [[nodiscard]] Status MakeHead();

  std::unique_ptr<SnapshotSource> source_;
  std::string name_;
  Hash256 id_;
  std::vector<std::byte> head_;
};

/// Memory of one frame as it is now.
struct FrameContent {
  PhysAddr phys;
  std::span<const std::byte> bytes;
  std::span<const PageRun> runs;  ///< of these and other pages, by address
  Hash256 hash{};                 ///< of the bytes
};

/// For one thread.
class BaseComparer {
 public:
  [[nodiscard]] static Result<BaseComparer> Create(std::shared_ptr<const SnapshotBase> base);

  /// The base's frame of that very memory, where its bytes are the same and so is what became of
  /// each page. A base without hashes is read for it, where the checksums agree.
  [[nodiscard]] std::optional<FrameReference> Find(const FrameContent& content);

 private:
  BaseComparer(std::shared_ptr<const SnapshotBase> base, PlainReader reader)
      : base_(std::move(base)), reader_(std::move(reader)) {}
  [[nodiscard]] bool SameOutcomes(const FrameContent& content);
  [[nodiscard]] bool SameBytes(size_t frame, const FrameContent& content, uint32_t checksum);

  std::shared_ptr<const SnapshotBase> base_;
  PlainReader reader_;
  std::vector<PageLabel> then_;
  std::vector<PageLabel> now_;
};

}  // namespace kcoredump
