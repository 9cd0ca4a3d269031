// SPDX-License-Identifier: MIT
//
// What each page of an image is in a picture. One teller a way of telling them apart.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "inspect/session.h"
#include "kcoredump/map.h"

namespace kcoredump {

/// For one thread. The session must outlive it.
class PageTeller {
 public:
  virtual ~PageTeller() = default;
  [[nodiscard]] virtual std::vector<MapKind> Kinds() const = 0;
  /// The kind of each of `kinds.size()` pages of RAM from `first` on.
  virtual void Tell(PhysAddr first, std::span<size_t> kinds) = 0;
  /// Of a page that is not there.
  [[nodiscard]] virtual size_t KindOfHole(const PageLabel& hole) const = 0;
};

/// How many pages of a cell are looked at, where not all are.
inline constexpr uint64_t kEntropySample = 4;
inline constexpr uint64_t kZeroSample = 16;

/// By a few pages of each cell. For one thread. The session must outlive it.
class PageSampler {
 public:
  struct Sample {
    size_t kind = 0;
    std::optional<double> entropy{};  ///< bits a byte; nothing: not asked for, or a hole
  };
  virtual ~PageSampler() = default;
  [[nodiscard]] virtual std::vector<MapKind> Kinds() const = 0;
  [[nodiscard]] virtual uint64_t sample_pages() const = 0;
  [[nodiscard]] virtual Sample Look(PhysAddr page) = 0;
};

/// kUnsupported, …: the kernel's account of its pages cannot be had, and why.
[[nodiscard]] Result<std::unique_ptr<PageTeller>> TellByClass(Session& session,
                                                              std::vector<std::string>& notes);
[[nodiscard]] Result<std::unique_ptr<PageTeller>> TellByOutcome(Session& session);
/// kUnsupported: the image does not tell when its pages were read.
[[nodiscard]] Result<std::unique_ptr<PageTeller>> TellByTime(Session& session);
[[nodiscard]] Result<std::unique_ptr<PageSampler>> SampleEntropy(Session& session);
/// Zero, or not.
[[nodiscard]] Result<std::unique_ptr<PageSampler>> SampleZeros(Session& session);

/// Of bytes, 0 (all alike) to 8 bits a byte.
[[nodiscard]] double EntropyOf(std::span<const std::byte> bytes);

}  // namespace kcoredump
