// SPDX-License-Identifier: MIT
//
// The files that a kdump dump consists of: one, or the parts of a split set (makedumpfile --split).
#pragma once

#include <vector>

#include "format/input_file.h"
#include "format/kdump/format.h"
#include "kcoredump/result.h"

namespace kcoredump {

/// Most names of a folder that are looked at for the parts of a set.
inline constexpr size_t kMaxSiblings = 4096;

struct KdumpPart {
  InputFile file;
  KdumpMainHeader header;
  KdumpSubHeader sub_header;
  KdumpLayout layout;
};

/// Reads both headers. Errors do not name the path.
[[nodiscard]] Result<KdumpPart> ReadKdumpPart(const InputFile& file);

/// `part`, and the other parts of its set: files of the same folder, whatever their names, with the
/// same headers but for the pages they hold, and the same bitmaps. In the order of their pages,
/// without those that hold a page again.
[[nodiscard]] std::vector<KdumpPart> GatherKdumpSet(KdumpPart part);

}  // namespace kcoredump
