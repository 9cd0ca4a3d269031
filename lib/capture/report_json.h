// SPDX-License-Identifier: MIT
//
// Parts that the report and the sidecar share.
#pragma once

#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "kcoredump/capture.h"

namespace kcoredump {

[[nodiscard]] std::string_view CaptureStatusName(CaptureStatus status);
[[nodiscard]] nlohmann::ordered_json PagesToJson(const PageCounts& pages);
/// [{"physical", "pages", "kind", "errno"}] of the holes, or of all runs, `most` at most.
[[nodiscard]] nlohmann::ordered_json HolesToJson(const std::vector<PageRun>& runs, size_t most);
[[nodiscard]] nlohmann::ordered_json RunsToJson(const std::vector<PageRun>& runs);

}  // namespace kcoredump
