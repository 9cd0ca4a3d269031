// SPDX-License-Identifier: MIT
//
// Whose the memory of a string is. Strings come by page, so that a page is asked about once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "inspect/page/page_owner.h"
#include "inspect/page/page_words.h"
#include "inspect/search/search_where.h"
#include "inspect/session.h"
#include "kcoredump/strings.h"

namespace kcoredump {

/// For one thread. `session` and `findings` must outlive it.
class StringOwners {
 public:
  /// What cannot be told on this image is noted, once.
  StringOwners(Session& session, Findings& findings);
  ~StringOwners();

  /// From `found.physical`: everything but its text.
  void Tell(FoundString& found);

 private:
  void Prepare();
  void ReadPage(uint64_t pfn);
  [[nodiscard]] std::string CacheOf(uint64_t head);

  Session& session_;
  Findings& findings_;
  std::optional<TaskSources> sources_;
  std::optional<PageWordsReader> words_;
  std::optional<PageOwnerReader> owners_;
  HitLocator locator_;
  std::unordered_map<uint64_t, std::unique_ptr<PagedSpace>> spaces_;  ///< by pgd
  std::optional<Field> cache_at_;                                     ///< of a slab's struct
  std::optional<Field> cache_name_;                                   ///< of kmem_cache
  std::unordered_map<uint64_t, std::string> caches_;
  uint64_t pfn_ = ~uint64_t{0};
  FoundString page_;  ///< what holds for the whole page
};

}  // namespace kcoredump
