// SPDX-License-Identifier: MIT
#include "inspect/search/search_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kcoredump {

uint64_t ScanPortably(const std::byte* first_at, MaskedByte first, const std::byte* second_at,
                      MaskedByte second, ScanMasks& masks) {
  uint64_t any = 0;
  for (size_t word = 0; word < masks.size(); ++word) {
    std::array<uint8_t, 64> fits{};
    uint8_t hit = 0;
    for (size_t i = 0; i < fits.size(); ++i) {  // plain enough for the compiler to vectorize
      const auto a = static_cast<uint8_t>(first_at[word * 64 + i]);
      const auto b = static_cast<uint8_t>(second_at[word * 64 + i]);
      fits[i] = static_cast<uint8_t>((a & first.mask) == first.value &&
                                     (b & second.mask) == second.value);
      hit = static_cast<uint8_t>(hit | fits[i]);
    }
    uint64_t bits = 0;
    for (size_t i = 0; hit != 0 && i < fits.size(); ++i) bits |= uint64_t{fits[i]} << i;
    masks[word] = bits;
    any |= bits;
  }
  return any;
}

#if defined(__x86_64__)

namespace {

__attribute__((target("avx2"))) uint64_t ScanAvx2(const std::byte* first_at, MaskedByte first,
                                                  const std::byte* second_at, MaskedByte second,
                                                  ScanMasks& masks) {
  const __m256i first_value = _mm256_set1_epi8(static_cast<char>(first.value));
  const __m256i first_mask = _mm256_set1_epi8(static_cast<char>(first.mask));
  const __m256i second_value = _mm256_set1_epi8(static_cast<char>(second.value));
  const __m256i second_mask = _mm256_set1_epi8(static_cast<char>(second.mask));
  uint64_t any = 0;
  for (size_t word = 0; word < masks.size(); ++word) {
    uint64_t bits = 0;
    for (size_t half = 0; half < 2; ++half) {
      const size_t at = word * 64 + half * 32;
      const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first_at + at));
      const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(second_at + at));
      const __m256i fits =
          _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(a, first_mask), first_value),
                           _mm256_cmpeq_epi8(_mm256_and_si256(b, second_mask), second_value));
      bits |= uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(fits))} << (half * 32);
    }
    masks[word] = bits;
    any |= bits;
  }
  return any;
}

/// What every x86_64 has.
uint64_t ScanSse2(const std::byte* first_at, MaskedByte first, const std::byte* second_at,
                  MaskedByte second, ScanMasks& masks) {
  const __m128i first_value = _mm_set1_epi8(static_cast<char>(first.value));
  const __m128i first_mask = _mm_set1_epi8(static_cast<char>(first.mask));
  const __m128i second_value = _mm_set1_epi8(static_cast<char>(second.value));
  const __m128i second_mask = _mm_set1_epi8(static_cast<char>(second.mask));
  uint64_t any = 0;
  for (size_t word = 0; word < masks.size(); ++word) {
    uint64_t bits = 0;
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      const size_t at = word * 64 + quarter * 16;
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(first_at + at));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(second_at + at));
      const __m128i fits =
          _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(a, first_mask), first_value),
                        _mm_cmpeq_epi8(_mm_and_si128(b, second_mask), second_value));
      bits |= uint64_t{static_cast<uint32_t>(_mm_movemask_epi8(fits))} << (quarter * 16);
    }
    masks[word] = bits;
    any |= bits;
  }
  return any;
}

}  // namespace

Scanner BestScanner() { return __builtin_cpu_supports("avx2") != 0 ? ScanAvx2 : ScanSse2; }

#else

Scanner BestScanner() { return ScanPortably; }

#endif

}  // namespace kcoredump
