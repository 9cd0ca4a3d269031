// SPDX-License-Identifier: MIT
//
// Where an image is written: a file that appears under its name only when it is whole, or a pipe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "kcoredump/result.h"

namespace kcoredump {

/// Takes bytes in order. For one thread.
class ByteSink {
 public:
  virtual ~ByteSink() = default;

  /// After an error the sink takes no more bytes until it was rewound.
  [[nodiscard]] virtual Status Write(std::span<const std::byte> bytes) = 0;
  /// As so many zeros written; a file has a hole there.
  [[nodiscard]] virtual Status Skip(uint64_t bytes);
  /// Overwrites bytes that were written, with `offset` + size at most what was written in all.
  /// kUnsupported: a pipe cannot.
  [[nodiscard]] virtual Status Patch(uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] virtual bool can_patch() const { return false; }
  /// Takes room on the disk for the first `bytes` of the file, as far as the file system can, so
  /// that Patch has it when the disk is full. Only before anything was written.
  [[nodiscard]] virtual Status Reserve(uint64_t bytes);
  /// Everything written so far is with the kernel. What a full disk refuses shows here at the
  /// latest.
  [[nodiscard]] virtual Status Flush() = 0;
  /// Bytes that would survive a rewind: those the kernel took.
  [[nodiscard]] virtual uint64_t taken_bytes() const = 0;
  /// Forgets everything from `offset` (at most taken_bytes()) on. kUnsupported: a pipe cannot.
  [[nodiscard]] virtual Status Rewind(uint64_t offset) = 0;
  /// Makes the result durable and gives it its name, NAME or NAME.partial. Returns where it is.
  [[nodiscard]] virtual Result<std::string> Publish(bool complete) = 0;
  /// For an image whose end cannot be written: what the kernel took is named NAME.partial as it is.
  /// Returns where it is. kNotFound: that is nothing; kIo: it has another name, which is told;
  /// kUnsupported: a pipe.
  [[nodiscard]] virtual Result<std::string> Keep();
  /// True while the page cache is not involved.
  [[nodiscard]] virtual bool around_page_cache() const = 0;
};

/// A file written under a temporary name beside `path`, mode 0600, never through a symbolic link,
/// around the page cache: O_DIRECT where the file system has it, else written back and dropped
/// right behind the writer. Long runs of zeros become holes. A sink that is destroyed unpublished
/// removes what it wrote. Unless `force`, an existing `path` is an error at once (kIo, EEXIST), and
/// no Publish ever overwrites one.
[[nodiscard]] Result<std::unique_ptr<ByteSink>> CreateOutputFile(const std::string& path,
                                                                 bool force);

/// An open descriptor, a pipe say, that stays the caller's.
[[nodiscard]] std::unique_ptr<ByteSink> CreatePipeSink(int fd);

}  // namespace kcoredump
