// SPDX-License-Identifier: MIT
//
// The search, from the page cache to the last match: non-zero data at no less than 2 GB/s a thread
// for a byte pattern. Arguments: threads. Bytes a second are of memory searched, by the clock.
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "inspect/search/search_pattern.h"
#include "kcoredump/search.h"
#include "support/elf_builder.h"
#include "support/files.h"

namespace kcoredump {
namespace {

constexpr uint64_t kBytes = 256 << 20;

/// An ELF core of random bytes, or of what KCOREDUMP_BENCH_IMAGE names.
Kernel& Image() {
  static const test::MemoryFile file([] {
    test::ElfBuilder elf;
    elf.AddNote("VMCOREINFO", 0, "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n");
    elf.AddLoad(test::LoadHeader(test::kDirectMap + 0x100000, 0x100000, kBytes),
                test::RandomBytes(kBytes, 1));
    return elf.Build();
  }());
  static Kernel kernel = [] {
    const char* other = std::getenv("KCOREDUMP_BENCH_IMAGE");
    auto opened = Kernel::Open(other != nullptr ? other : file.path());
    if (!opened.ok()) std::abort();
    return std::move(opened.value());
  }();
  return kernel;
}

void SearchFor(benchmark::State& state, PatternKind kind, const char* pattern, bool ignore_case) {
  SearchOptions options;
  options.kind = kind;
  options.pattern = pattern;
  options.ignore_case = ignore_case;
  options.threads = static_cast<unsigned>(state.range(0));
  Kernel& kernel = Image();
  uint64_t bytes = 0;
  for (auto _ : state) {
    const auto report = Search(kernel, options);
    if (!report.ok() || !report.value().complete) {
      state.SkipWithError("the search failed, or found too much");
      return;
    }
    bytes += report.value().searched_bytes;
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}

void Threads(benchmark::internal::Benchmark* bench) {
  bench->RangeMultiplier(2)->Range(1, 8)->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(SearchFor, bytes, PatternKind::kBytes, "48 8b ?? 05 12 34 56 78", false)
    ->Apply(Threads);
BENCHMARK_CAPTURE(SearchFor, text, PatternKind::kText, "a text that is not there", false)
    ->Apply(Threads);
BENCHMARK_CAPTURE(SearchFor, text_of_any_case, PatternKind::kText, "a text that is not there", true)
    ->Apply(Threads);
BENCHMARK_CAPTURE(SearchFor, word, PatternKind::kWord, "0xffffffff81234567", false)->Apply(Threads);
BENCHMARK_CAPTURE(SearchFor, regex, PatternKind::kRegex, "[a-z]{8}_lock(ed)?", false)
    ->Apply(Threads);

/// Without reading: 256 KiB that stay in a core's own cache.
void MatcherAlone(benchmark::State& state, Scanner scanner) {
  test::Bytes bytes = test::RandomBytes((256 << 10) + kTextSlack, 1);
  const SearchText text{.address = 0, .bytes = std::span(bytes).first(256 << 10)};
  const auto matcher =
      MakeByteMatcher(ParseHexPattern("48 8b ?? 05 12 34 56 78").value(), 1, scanner);
  std::vector<Hit> hits;
  for (auto _ : state) {
    benchmark::DoNotOptimize(matcher->Find(text, 0, text.end(), 1000, hits));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.bytes.size()));
}
BENCHMARK_CAPTURE(MatcherAlone, best, BestScanner());
BENCHMARK_CAPTURE(MatcherAlone, portable, &ScanPortably);

}  // namespace
}  // namespace kcoredump

BENCHMARK_MAIN();
