// SPDX-License-Identifier: MIT
#pragma once

#include "format/image_writer.h"

namespace kcoredump {

/// AVML version 2: one range and one snappy stream for each run of pages of a batch. Holes are in
/// no range. AVML itself leaves out blocks of zeros, too; here they are kept, for a page that was
/// read is not one that is missing.
extern const FormatWriting kAvmlWriting;

}  // namespace kcoredump
