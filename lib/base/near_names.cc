// SPDX-License-Identifier: MIT
#include "base/near_names.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace kcoredump {

namespace {

constexpr size_t kMaxNameBytes = 64;  ///< a longer one is not compared letter by letter
constexpr size_t kMaxNear = 4;
constexpr size_t kMaxEdits = 2;
/// Shorter ones are contained in half of all names.
constexpr size_t kLeastContained = 4;

/// Letters to insert, drop or replace (Levenshtein).
size_t Edits(std::string_view a, std::string_view b) {
  std::array<size_t, kMaxNameBytes + 1> row{};
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

void NearNames::Offer(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || wanted_.size() > kMaxNameBytes) return;
  const auto [shorter, longer] = std::minmax({name.size(), wanted_.size()});
  const size_t edits = longer - shorter > kMaxEdits ? longer : Edits(wanted_, name);
  size_t away = edits;
  if (edits > std::min(kMaxEdits, shorter / 3)) {
    const bool contains = name.find(wanted_) != std::string_view::npos ||
                          wanted_.find(name) != std::string_view::npos;
    if (!contains || shorter < kLeastContained) return;
    away = kMaxEdits + longer - shorter;
  }
  std::pair<size_t, std::string> entry(away, name);
  const auto place = std::lower_bound(best_.begin(), best_.end(), entry);
  if (place != best_.end() && *place == entry) return;
  best_.insert(place, std::move(entry));
  if (best_.size() > kMaxNear) best_.pop_back();
}

std::string NearNames::Text() const {
  std::string text;
  for (const auto& [away, name] : best_) text += (text.empty() ? "; near: " : ", ") + name;
  return text;
}

}  // namespace kcoredump
