// SPDX-License-Identifier: MIT
#pragma once

#include "format/image_writer.h"

namespace kcoredump {

/// Every byte at the offset that is its physical address; what lies between is zero. Which ranges
/// are memory is the sidecar's to say.
extern const FormatWriting kRawWriting;

}  // namespace kcoredump
