// SPDX-License-Identifier: MIT
#pragma once

#include "format/image_writer.h"

namespace kcoredump {

/// Ranges of memory, each behind its header. Holes are in no range. Into a file as many ranges as
/// there are; into a pipe, where a range's end must be known at its start, one or more a batch.
extern const FormatWriting kLimeWriting;

}  // namespace kcoredump
