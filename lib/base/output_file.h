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
  /// Everything written so far is with the kernel. What a full disk refuses shows here at the
  /// latest.
  [[nodiscard]] virtual Status Flush() = 0;
  /// Bytes that would survive a rewind: those the kernel took.
  [[nodiscard]] virtual uint64_t taken_bytes() const = 0;
  /// Forgets everything from `offset` (at most taken_bytes()) on. kUnsupported: a pipe cannot.
  [[nodiscard]] virtual Status Rewind(uint64_t offset) = 0;
  /// Makes the result durable and gives it its name, NAME or NAME.partial. Returns where it is.
  [[nodiscard]] virtual Result<std::string> Publish(bool complete) = 0;
  /// True while the page cache is not involved.
  [[nodiscard]] virtual bool around_page_cache() const = 0;
};

/// A file written under a temporary name beside `path`, mode 0600, never through a symbolic link,
/// around the page cache: O_DIRECT where the file system has it, else written back and dropped
/// right behind the writer. A sink that is destroyed unpublished removes what it wrote. Unless
/// `force`, an existing `path` is an error at once (kIo, EEXIST), and no Publish ever overwrites
/// one.
[[nodiscard]] Result<std::unique_ptr<ByteSink>> CreateOutputFile(const std::string& path,
                                                                 bool force);

/// An open descriptor, a pipe say, that stays the caller's.
[[nodiscard]] std::unique_ptr<ByteSink> CreatePipeSink(int fd);

}  // namespace kcoredump
