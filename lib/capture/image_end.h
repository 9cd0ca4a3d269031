// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <optional>

#include "format/image_writer.h"

namespace kcoredump {

/// The trailer for what the writer holds at the moment; `error`: why it holds no more.
using MakeTrailer = std::function<Trailer(const std::optional<Error>& error)>;

/// Gives the image its end, and returns the trailer that it has then. `failure`: Append's, if that
/// ended it. A full disk costs the newest of the image, as much as makes room for the end that lets
/// the rest be read; any other error is given two more tries, for it may well last. An error: the
/// image has no end.
[[nodiscard]] Result<Trailer> FinishImage(ImageWriter& writer, std::optional<Error> failure,
                                          const MakeTrailer& make_trailer);

}  // namespace kcoredump
