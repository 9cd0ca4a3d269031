// SPDX-License-Identifier: MIT
//
// Every kind of memory image the library opens, in one table.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "format/image_writer.h"
#include "source/memory_source.h"

namespace kcoredump {

struct Format {
  std::string_view name;
  /// Whether `path`, a file that starts with `head`, looks like this format.
  bool (*probe)(const std::string& path, std::span<const std::byte> head);
  Result<std::unique_ptr<MemorySource>> (*open)(const std::string& path);
  const FormatWriting* writing = nullptr;  ///< nullptr: is not written
};

/// Every format, in the order in which they are probed.
[[nodiscard]] std::span<const Format> Formats();

/// The format of that name, which can be written. kInvalidArgument lists those that can.
[[nodiscard]] Result<const Format*> FindWritableFormat(std::string_view name);

/// The format that `path` looks like. kUnsupported says what it looks like instead.
[[nodiscard]] Result<const Format*> DetectFormat(const std::string& path);

/// Opens whatever `path` is. Errors name it.
[[nodiscard]] Result<std::unique_ptr<MemorySource>> OpenSource(const std::string& path);

}  // namespace kcoredump
