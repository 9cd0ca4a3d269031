// SPDX-License-Identifier: MIT
#pragma once

#include "format/image_writer.h"

namespace kcoredump {

/// Pages compressed one by one, each with a descriptor. Wants a sink that can be patched:
/// descriptors and bitmaps stand before the pages and are known after them.
extern const FormatWriting kKdumpWriting;

/// The same file as a sequence of records that say where they belong: the form for a pipe.
extern const FormatWriting kFlattenedWriting;

}  // namespace kcoredump
