// SPDX-License-Identifier: MIT
#include "inspect/picture/map_kinds.h"

#include <array>
#include <cstdio>

namespace kcoredump {

namespace {

// Colours that differ in lightness, too, for those who see hues alike.
const MapKind kZeroKind{.name = "zero", .letter = '0', .rgb = 0x10141f, .ansi = 0};
const MapKind kPoisonedKind{
    .name = "poisoned", .letter = '!', .rgb = 0xff2bd6, .ansi = 13, .wins = true};
const MapKind kUnreadableKind{
    .name = "unreadable", .letter = 'X', .rgb = 0xff1f1f, .ansi = 9, .wins = true};
const MapKind kExcludedKind{.name = "excluded", .letter = '-', .rgb = 0x5b4a3a, .ansi = 1};
const MapKind kUnknownKind{.name = "not known", .letter = '?', .rgb = 0xc8c8c8, .ansi = 15};

constexpr double kMsASecond = 1000;

/// From dark to light, evenly (viridis).
constexpr std::array<uint32_t, kScaleSteps> kScaleRgb = {0x440154, 0x46327e, 0x365c8d, 0x277f8e,
                                                         0x1fa187, 0x4ac16d, 0xa0da39, 0xfde725};
constexpr std::array<uint8_t, kScaleSteps> kScaleAnsi = {8, 5, 4, 12, 6, 2, 10, 11};

std::vector<MapKind> Scale(const std::array<std::string, kScaleSteps>& names) {
  std::vector<MapKind> kinds;
  for (size_t i = 0; i < kScaleSteps; ++i) {
    kinds.push_back({.name = names[i],
                     .letter = static_cast<char>('1' + i),
                     .rgb = kScaleRgb[i],
                     .ansi = kScaleAnsi[i]});
  }
  kinds.insert(kinds.end(),
               {kZeroKind, kPoisonedKind, kUnreadableKind, kExcludedKind, kUnknownKind});
  return kinds;
}

}  // namespace

std::vector<MapKind> ClassKinds() {
  return {{.name = "free", .letter = '.', .rgb = 0x2f3a4f, .ansi = 8},
          kZeroKind,
          {.name = "user", .letter = 'u', .rgb = 0x57b947, .ansi = 2},
          {.name = "cache", .letter = 'c', .rgb = 0x3f8efc, .ansi = 4},
          {.name = "slab", .letter = 's', .rgb = 0xf2b134, .ansi = 3},
          {.name = "page tables", .letter = 't', .rgb = 0xa45ee5, .ansi = 5},
          {.name = "kernel", .letter = 'k', .rgb = 0x2fb7a8, .ansi = 6},
          {.name = "reserved", .letter = 'r', .rgb = 0x8d99ae, .ansi = 7},
          {.name = "not zero", .letter = '#', .rgb = 0x2fb7a8, .ansi = 6},
          kPoisonedKind,
          kUnreadableKind,
          kExcludedKind,
          kUnknownKind};
}

size_t ClassKindOf(const PageUse& use) {
  if (use.fault == PageUse::Fault::kHwPoison) return kClassPoisoned;
  if (use.fault == PageUse::Fault::kOffline) return kClassUnreadable;
  switch (use.kind) {
    case PageKind::kUnknown:
      break;
    case PageKind::kFree:
      return kClassFree;
    case PageKind::kUser:
      return kClassUser;
    case PageKind::kCache:
      return kClassCache;
    case PageKind::kSlab:
      return kClassSlab;
    case PageKind::kPageTable:
      return kClassPageTable;
    case PageKind::kReserved:
      return kClassReserved;
    case PageKind::kKernel:
      return kClassKernel;
  }
  return kClassUnknown;
}

std::optional<size_t> ClassKindOfHole(const PageLabel& label) {
  if (!IsHole(label.outcome)) return std::nullopt;
  if (label.outcome == PageOutcome::kHwPoison) return kClassPoisoned;
  if (label.outcome != PageOutcome::kExcluded) return kClassUnreadable;
  return label.page_class == PageClass::kZero ? kClassZero : kClassExcluded;
}

std::vector<MapKind> OutcomeKinds() {
  MapKind poisoned = kPoisonedKind;
  poisoned.name = "hwpoison";
  return {{.name = "direct", .letter = '.', .rgb = 0x2f6f4f, .ansi = 2},
          {.name = "retried", .letter = 'r', .rgb = 0xf2b134, .ansi = 3, .wins = true},
          {.name = "bounced", .letter = 'b', .rgb = 0xfde725, .ansi = 11, .wins = true},
          kUnreadableKind,
          poisoned,
          {.name = "offline", .letter = 'o', .rgb = 0x3f8efc, .ansi = 4, .wins = true},
          {.name = "absent", .letter = 'a', .rgb = 0x8d99ae, .ansi = 7, .wins = true},
          {.name = "not reached", .letter = 'n', .rgb = 0x10141f, .ansi = 8},
          kExcludedKind};
}

std::vector<MapKind> EntropyKinds() {
  std::array<std::string, kScaleSteps> names;
  for (size_t i = 0; i < kScaleSteps; ++i) {
    names[i] = std::to_string(i) + "-" + std::to_string(i + 1) + " bits a byte";
  }
  return Scale(names);
}

/// No two steps have the same name: the last millisecond has an end, too.
std::vector<MapKind> TimeKinds(uint32_t last_ms) {
  const double span_ms = last_ms + 1.0;
  std::array<std::string, kScaleSteps> names;
  for (size_t i = 0; i < kScaleSteps; ++i) {
    std::array<char, 64> text{};
    const auto edge = [&](size_t step) {
      return span_ms * static_cast<double>(step) / kScaleSteps;
    };
    if (span_ms < kMsASecond) {
      std::snprintf(text.data(), text.size(), "%.1f-%.1f ms", edge(i), edge(i + 1));
    } else {
      std::snprintf(text.data(), text.size(), "%.2f-%.2f s", edge(i) / kMsASecond,
                    edge(i + 1) / kMsASecond);
    }
    names[i] = text.data();
  }
  return Scale(names);
}

std::optional<size_t> ScaleKindOfHole(const PageLabel& label) {
  const auto hole = ClassKindOfHole(label);
  if (!hole) return std::nullopt;
  if (*hole == kClassZero) return kScaleZero;
  if (*hole == kClassPoisoned) return kScalePoisoned;
  return *hole == kClassExcluded ? kScaleExcluded : kScaleUnreadable;
}

}  // namespace kcoredump
