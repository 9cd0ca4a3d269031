// SPDX-License-Identifier: MIT
//
// A kernel, live or dead, as a folder: its memory in the formats that other tools open, and what it
// says of itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kcoredump/result.h"

namespace kcoredump {

struct MountEvent {
  enum class Kind : uint8_t {
    kReady,  ///< the folder can be used; `text` is its path
    kNote,   ///< what weakens what stands in it; each once. May quote the image
    kGone,   ///< it is unmounted
  };
  Kind kind = Kind::kNote;
  std::string text;
};

/// For people, without a line's end.
[[nodiscard]] std::string ToText(const MountEvent& event);
/// One JSON object without line breaks: {"event", "text"}.
[[nodiscard]] std::string ToJson(const MountEvent& event);

struct MountOptions {
  std::string folder;                  ///< an empty one
  std::vector<std::string> arguments;  ///< of the program, for the metadata of `vmcore`
  /// Called by one thread at a time, not always the same. May be empty.
  std::function<void(const MountEvent&)> on_event;
  /// Set by anyone, a signal handler included, to unmount. May be null; must outlive the call.
  const std::atomic<bool>* cancel = nullptr;
};

/// Mounts the image `path` (as Memory::Open's) read-only, for this user alone, and serves it until
/// it is cancelled or somebody unmounts it; both are success. Starts threads of its own.
///
/// vmcore, memory.raw and memory.lime are what Capture writes of the image in these formats, worked
/// out as they are read; vmcore.kdump has its pages stored plain. What the image says is missing
/// is missing there as in a converted file; a page that should be there and cannot be read is EIO,
/// as is a hole in proc/PID/mem. Nothing of a live kernel's memory is kept.
///
/// Errors: as Memory::Open's; kInvalidArgument: `folder` is not an empty folder; kUnsupported: no
/// FUSE here, and what it takes; kIo: the mount failed.
[[nodiscard]] Status Mount(const std::string& path, const MountOptions& options);

}  // namespace kcoredump
