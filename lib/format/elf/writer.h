// SPDX-License-Identifier: MIT
#pragma once

#include "format/image_writer.h"

namespace kcoredump {

/// An ELF core, uncompressed and sparse: the very image that a snapshot holds. A capture that ends
/// early shortens p_filesz, so that what was not reached is not taken for zeros; to a pipe it
/// cannot, and ends within a segment.
extern const FormatWriting kElfWriting;

}  // namespace kcoredump
