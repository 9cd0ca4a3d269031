// SPDX-License-Identifier: MIT
//
// Reading a snapshot: 4 KiB at a time from memory that was read before, and once through.
//
//   KCOREDUMP_BENCH_IMAGE=FILE [KCOREDUMP_BENCH_KDUMP=FILE] space_bench
//
// KDUMP is makedumpfile's output of the same memory: libkdumpfile reads the same pages of it.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#ifdef KCOREDUMP_HAVE_LIBKDUMPFILE
#include <libkdumpfile/kdumpfile.h>
#endif

#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>

#include "base/zero.h"
#include "format/registry.h"
#include "space/physical_space.h"

namespace kcoredump {
namespace {

constexpr uint64_t kPage = 4096;
/// Most that hot reads go over: less than the cache holds, more than processors' caches do.
constexpr size_t kHotPages = 8192;

struct Image {
  std::unique_ptr<MemorySource> source;
  std::vector<uint64_t> hot;    ///< pages that are not zero, in random order
  std::vector<Range> non_zero;  ///< blocks without a zero page
};

const char* ImagePath() { return std::getenv("KCOREDUMP_BENCH_IMAGE"); }

/// One look at the whole image tells which pages are worth measuring.
Image OpenImage() {
  Image image;
  auto source = OpenSource(ImagePath());
  if (!source.ok()) {
    std::cerr << source.error().message << "\n";
    std::exit(1);
  }
  image.source = std::move(source.value());
  auto space = PhysicalSpace::Create(*image.source, std::make_shared<PageCache>(64 << 20));
  std::vector<std::byte> bytes;
  for (const Range& ram : image.source->map().RamRanges()) {
    for (uint64_t at = ram.begin; at < ram.end;) {
      const Range block = image.source->BlockAround(PhysAddr{at});
      bytes.resize(block.size());
      bool whole = space.value()->Read(block.begin, bytes).ok();
      for (uint64_t page = 0; page < block.size(); page += kPage) {
        const bool zero = IsZero(std::span(bytes).subspan(page, kPage));
        whole &= !zero;
        if (!zero && image.hot.size() < kHotPages) image.hot.push_back(block.begin + page);
      }
      if (whole) image.non_zero.push_back(block);
      at = block.end;
    }
  }
  std::shuffle(image.hot.begin(), image.hot.end(), std::mt19937_64(1));
  return image;
}

const Image& TheImage() {
  static const Image image = OpenImage();
  return image;
}

std::shared_ptr<PageCache> TheCache() {
  static const auto cache = std::make_shared<PageCache>(64 << 20);
  return cache;
}

/// Over as many pages as the argument says.
void HotPageReads(benchmark::State& state) {
  const Image& image = TheImage();
  const size_t pages = std::min(image.hot.size(), static_cast<size_t>(state.range(0)));
  auto space = PhysicalSpace::Create(*image.source, TheCache());
  std::vector<std::byte> page(kPage);
  for (const uint64_t at : image.hot) (void)space.value()->Read(at, page);
  size_t next = static_cast<size_t>(state.thread_index()) * 977;
  for (auto _ : state) {
    if (!space.value()->Read(image.hot[next++ % pages], page).ok()) state.SkipWithError("hole");
    benchmark::DoNotOptimize(page.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(HotPageReads)->Arg(1024)->Arg(kHotPages)->ThreadRange(1, 2)->UseRealTime();

/// The blocks without a zero page that this thread is to read.
std::span<const Range> ShareOf(const benchmark::State& state) {
  const std::vector<Range>& blocks = TheImage().non_zero;
  const size_t share = blocks.size() / static_cast<size_t>(state.threads());
  return std::span(blocks).subspan(share * static_cast<size_t>(state.thread_index()), share);
}

/// Each block read once.
void ColdSequentialReads(benchmark::State& state) {
  const auto blocks = ShareOf(state);
  int64_t bytes_read = 0;
  std::vector<std::byte> bytes(256 << 10);
  for (auto _ : state) {
    auto space = PhysicalSpace::Create(*TheImage().source, std::make_shared<PageCache>(64 << 20));
    for (const Range& block : blocks) {
      if (!space.value()->Read(block.begin, std::span(bytes).first(block.size())).ok())
        state.SkipWithError("hole");
      bytes_read += static_cast<int64_t>(block.size());
    }
  }
  state.SetBytesProcessed(bytes_read);
}
BENCHMARK(ColdSequentialReads)->ThreadRange(1, 2)->UseRealTime()->Unit(benchmark::kMillisecond);

#ifdef KCOREDUMP_HAVE_LIBKDUMPFILE

/// The peer, with its own cache. Its contexts are made once for each thread.
class Peer {
 public:
  Peer() : context_(kdump_new()) {
    const char* path = std::getenv("KCOREDUMP_BENCH_KDUMP");
    if (path == nullptr || kdump_open_fd(context_, open(path, O_RDONLY | O_CLOEXEC)) != KDUMP_OK) {
      kdump_free(context_);
      context_ = nullptr;
    }
  }
  ~Peer() {
    if (context_ != nullptr) kdump_free(context_);
  }
  [[nodiscard]] bool ready() const { return context_ != nullptr; }
  bool Read(uint64_t at, std::span<std::byte> out) {
    size_t length = out.size();
    return kdump_read(context_, KDUMP_MACHPHYSADDR, at, out.data(), &length) == KDUMP_OK;
  }

 private:
  kdump_ctx_t* context_;
};

/// As HotPageReads; libkdumpfile's cache holds 1024 pages as it comes.
void PeerHotPageReads(benchmark::State& state) {
  const Image& image = TheImage();
  const size_t pages = std::min(image.hot.size(), static_cast<size_t>(state.range(0)));
  Peer peer;
  if (!peer.ready()) return state.SkipWithError("KCOREDUMP_BENCH_KDUMP is not a dump it opens");
  std::vector<std::byte> page(kPage);
  size_t next = static_cast<size_t>(state.thread_index()) * 977;
  for (size_t i = 0; i < pages; ++i) (void)peer.Read(image.hot[i], page);
  for (auto _ : state) {
    if (!peer.Read(image.hot[next++ % pages], page)) state.SkipWithError("hole");
    benchmark::DoNotOptimize(page.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(PeerHotPageReads)->Arg(512)->Arg(1024)->Arg(kHotPages)->ThreadRange(1, 2)->UseRealTime();

/// As ColdSequentialReads.
void PeerColdSequentialReads(benchmark::State& state) {
  const auto blocks = ShareOf(state);
  int64_t bytes_read = 0;
  std::vector<std::byte> bytes(256 << 10);
  for (auto _ : state) {
    Peer peer;
    if (!peer.ready()) return state.SkipWithError("KCOREDUMP_BENCH_KDUMP is not a dump it opens");
    for (const Range& block : blocks) {
      if (!peer.Read(block.begin, std::span(bytes).first(block.size())))
        state.SkipWithError("hole");
      bytes_read += static_cast<int64_t>(block.size());
    }
  }
  state.SetBytesProcessed(bytes_read);
}
BENCHMARK(PeerColdSequentialReads)->ThreadRange(1, 2)->UseRealTime()->Unit(benchmark::kMillisecond);

#endif

}  // namespace
}  // namespace kcoredump

BENCHMARK_MAIN();
