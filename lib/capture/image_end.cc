// SPDX-License-Identifier: MIT
#include "capture/image_end.h"

#include <cerrno>

namespace kcoredump {

namespace {

/// How much the trailer may need beyond what it takes a frame: its fixed part and the reason.
constexpr uint64_t kTailReserveBytes = 64 << 10;
constexpr unsigned kMostTries = 2;

bool IsLackOfRoom(const Error& error) {
  return error.system_errno == ENOSPC || error.system_errno == EDQUOT ||
         error.system_errno == EFBIG;
}

}  // namespace

Result<Trailer> FinishImage(ImageWriter& writer, std::optional<Error> failure,
                            const MakeTrailer& make_trailer) {
  Trailer trailer = make_trailer(failure);
  Status finished = failure ? Status(std::move(*failure)) : writer.Finish(trailer);
  uint64_t reserve = kTailReserveBytes + trailer.runs.size() * sizeof(PageRun);
  for (unsigned tries = 0; !finished.ok(); reserve *= 2) {
    if (!IsLackOfRoom(finished.error()) && ++tries > kMostTries) return finished.error();
    if (!writer.MakeRoom(reserve).ok()) return finished.error();
    trailer = make_trailer(finished.error());
    finished = writer.Finish(trailer);
  }
  return trailer;
}

}  // namespace kcoredump
