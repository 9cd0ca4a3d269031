// SPDX-License-Identifier: MIT
//
// What else is to be said of an address that a search found: its other addresses and its symbol.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inspect/session.h"
#include "kcoredump/search.h"

namespace kcoredump {

/// Pages of vmalloc and module space whose memory is looked up for the sake of aliases.
inline constexpr uint64_t kMaxAliasPages = 1 << 18;

/// For the thread that has the session.
class HitLocator {
 public:
  /// `process_root`: of the page tables that matches in a process were found by.
  HitLocator(Session& session, std::optional<PhysAddr> process_root)
      : session_(session), process_root_(process_root) {}

  /// From `match.at`: phys, virt, aliases and symbol.
  void Locate(SearchMatch& match);
  /// Whether a match in kernel space is one in RAM, too: its pages follow each other there.
  [[nodiscard]] bool IsInRam(uint64_t address, uint64_t length);
  /// What could not be found out; each once.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Alias {
    uint64_t phys_page = 0;
    uint64_t virt_page = 0;
    auto operator<=>(const Alias&) const = default;
  };

  [[nodiscard]] std::optional<uint64_t> PhysOf(const Target& at);
  [[nodiscard]] std::optional<uint64_t> DirectMap(uint64_t phys) const;
  [[nodiscard]] std::vector<uint64_t> Images(uint64_t phys);
  void FindImageBySymbols();
  [[nodiscard]] std::vector<uint64_t> VmallocAddresses(uint64_t phys);
  void LoadVmalloc();

  Session& session_;
  std::optional<PhysAddr> process_root_;
  std::unique_ptr<PagedSpace> process_;
  bool image_sought_ = false;
  std::optional<std::pair<Range, uint64_t>> image_;  ///< physical, and the address of its beginning
  bool vmalloc_loaded_ = false;
  std::vector<Alias> vmalloc_;  ///< sorted
  std::vector<std::string> notes_;
};

}  // namespace kcoredump
