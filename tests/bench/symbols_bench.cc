// SPDX-License-Identifier: MIT
//
// How fast symbols load and answer: symbols_bench [KALLSYMS] [--benchmark_…]
//
// KALLSYMS is a saved /proc/kallsyms (default: the running kernel's, if it shows addresses; else
// made up). What it lacks to 210,000 symbols is filled up with modules: its own names, most of them
// changed to stand once, in the disorder of a module's symbol table.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>

#include "base/error.h"
#include "support/kallsyms_recipe.h"
#include "support/test_bytes.h"
#include "symbol/kallsyms.h"

namespace kcoredump {
namespace {

constexpr size_t kSymbols = 210000;
constexpr size_t kSymbolsAModule = 700;

std::string g_text;
std::string g_name_text;  ///< in the order of the questions, so that asking costs nothing
std::vector<std::string_view> g_names;
std::vector<uint64_t> g_addresses;

std::string Line(uint64_t address, char type, const std::string& name, const std::string& module) {
  std::array<char, 32> head{};
  std::snprintf(head.data(), head.size(), "%016lx %c ", address, type);
  return head.data() + name + (module.empty() ? "" : "\t[" + module + "]") + "\n";
}

std::string MadeUp() {
  test::Random random(1);
  std::string text = Line(0xffffffff81000000, 'T', "_stext", "");
  for (uint64_t i = 1; i < kSymbols / 2; ++i) {
    std::string name = "made_up_" + std::to_string(random.Next() % 100000);
    name.append(random.Below(20), 'x');
    text += Line(0xffffffff81000000 + i * 0x80, 't', name, "");
  }
  return text;
}

void Load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  g_text.assign(std::istreambuf_iterator<char>(file), {});
  auto table = ParseKallsyms(g_text, VmcoreInfo());
  if (!table.ok()) {
    std::fprintf(stderr, "%s: %s: made up symbols instead\n", path.c_str(),
                 table.error().message.c_str());
    g_text = MadeUp();
    table = ParseKallsyms(g_text, VmcoreInfo());
  }
  test::Random random(2);
  const size_t real = table.value().size();
  for (size_t i = real; i < kSymbols; ++i) {
    const size_t module = (i - real) / kSymbolsAModule;
    std::string name(table.value().At(random.Below(real)).name);
    if (random.Below(8) != 0) name += "_" + std::to_string(i);
    g_text += Line(0xffffffffc1000000 + module * 0x20000 + random.Below(0x18000), 't', name,
                   "module_" + std::to_string(module));
  }
  const auto all = ParseKallsyms(g_text, VmcoreInfo());
  std::set<std::string_view> names;
  for (size_t i = 0; i < all.value().size(); ++i) names.insert(all.value().At(i).name);
  g_names.assign(names.begin(), names.end());
  for (size_t i = g_names.size(); i-- > 1;) std::swap(g_names[i], g_names[random.Below(i + 1)]);
  for (const std::string_view name : g_names) g_name_text += name;
  size_t at = 0;
  for (std::string_view& name : g_names) {
    name = std::string_view(g_name_text).substr(at, name.size());
    at += name.size();
  }
  for (size_t i = 0; i < 1 << 16; ++i) {
    const Symbol symbol = all.value().At(random.Below(all.value().size()));
    g_addresses.push_back(symbol.address + random.Below(std::max<uint64_t>(symbol.size, 1)));
  }
  std::fprintf(stderr, "%zu symbols, %zu bytes of text\n", all.value().size(), g_text.size());
}

const SymbolTable& Table() {
  static const auto table = ParseKallsyms(g_text, VmcoreInfo());
  return table.value();
}

void LoadText(benchmark::State& state) {
  for (auto _ : state) {
    auto table = ParseKallsyms(g_text, VmcoreInfo());
    benchmark::DoNotOptimize(table);
  }
}
BENCHMARK(LoadText)->Unit(benchmark::kMillisecond);

void ByAddress(benchmark::State& state) {
  const SymbolTable& table = Table();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.Containing(g_addresses[i++ % g_addresses.size()]));
  }
}
BENCHMARK(ByAddress);

/// Each distinct name as often as any other.
void ByName(benchmark::State& state) {
  const SymbolTable& table = Table();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.Named(g_names[i++ % g_names.size()]));
  }
}
BENCHMARK(ByName);

/// The name that stands most often: how long each of its symbols takes.
void ByCommonName(benchmark::State& state) {
  const SymbolTable& table = Table();
  const auto common = std::max_element(
      g_names.begin(), g_names.end(),
      [&](const auto& a, const auto& b) { return table.Named(a).size() < table.Named(b).size(); });
  size_t listed = 0;
  for (auto _ : state) listed += table.Named(*common).size();
  state.SetItemsProcessed(static_cast<int64_t>(listed));
}
BENCHMARK(ByCommonName);

void ByGlob(benchmark::State& state) {
  const SymbolTable& table = Table();
  for (auto _ : state) benchmark::DoNotOptimize(table.Matching("*tcp_v[46]_*", 10000));
}
BENCHMARK(ByGlob)->Unit(benchmark::kMillisecond);

/// Memory that is one block of bytes.
class BlockView : public MemoryView {
 public:
  explicit BlockView(const test::KallsymsImage& image) : image_(image) {}
  Status Read(uint64_t address, std::span<std::byte> out) override {
    if (address < image_.begin || address - image_.begin > image_.bytes.size() ||
        out.size() > image_.bytes.size() - (address - image_.begin)) {
      return MakeError(ErrorCode::kUnreadable, "outside");
    }
    std::memcpy(out.data(), image_.bytes.data() + (address - image_.begin), out.size());
    return {};
  }

 private:
  const test::KallsymsImage& image_;
};

/// The same symbols as the kernel's own tables, decoded and built.
void DecodeMemory(benchmark::State& state) {
  test::KallsymsRecipe recipe;
  recipe.layout = "after-index";
  recipe.addresses = "place-relative";
  recipe.lengths = 2;
  recipe.at = 0xffffffff82000000;
  uint8_t code = 0x80;
  for (const char* token :
       {"__",     "e_", "_t", "in", "er",  "_s",    "re", "en",  "tr",         "st",
        "__pfx_", "on", "_p", "ti", "ing", "_init", "al", "dev", "__x64_sys_", "ct"}) {
    recipe.tokens[code++] = token;
  }
  const SymbolTable& table = Table();
  for (size_t i = 0; i < table.size(); ++i) {
    const Symbol symbol = table.At(i);
    recipe.symbols.push_back({symbol.address, symbol.type, std::string(symbol.name), {}});
  }
  const test::KallsymsImage image = Build(recipe);
  const auto info = VmcoreInfo::Parse(image.Vmcoreinfo(true));
  BlockView view(image);
  for (auto _ : state) {
    SymbolTable::Builder builder;
    const Status status = DecodeKallsyms(view, info.value(), builder);
    if (!status.ok()) return state.SkipWithError(status.error().message.c_str());
    benchmark::DoNotOptimize(std::move(builder).Build());
  }
}
BENCHMARK(DecodeMemory)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace kcoredump

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  kcoredump::Load(argc > 1 ? argv[1] : "/proc/kallsyms");
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
