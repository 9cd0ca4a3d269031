// SPDX-License-Identifier: MIT
//
// fuzz_replay [--seconds N] [--seed N] [--target NAME] [--remember] [FILE…]: runs the targets over
// the files given, or over mutations of their seeds. The same seed gives the same inputs;
// --remember writes each to fuzz_last_input before it is run.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fuzz/targets.h"
#include "support/files.h"

namespace kcoredump::test {

namespace {

/// Numbers that lie at the edges of what parsers compare with.
constexpr uint64_t kEdges[] = {0,
                               1,
                               0x7f,
                               0x80,
                               0xff,
                               0xfff,
                               0x1000,
                               0xffff,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               0x100000000,
                               0x7fffffffffffffff,
                               0x8000000000000000,
                               0xffffffffffffffff};

void Mutate(Bytes& bytes, Random& random) {
  const size_t at = random.Below(bytes.size());
  switch (bytes.empty() ? 5 : random.Below(6)) {
    case 0:
      bytes[at] ^= static_cast<std::byte>(1U << random.Below(8));
      return;
    case 1:
      bytes[at] = static_cast<std::byte>(random.Next() >> 56);
      return;
    case 2:
      bytes.resize(at);
      return;
    case 3: {
      const uint64_t edge = kEdges[random.Below(std::size(kEdges))];
      const size_t width = size_t{1} << random.Below(4);
      std::memcpy(bytes.data() + at, &edge, std::min(width, bytes.size() - at));
      return;
    }
    case 4: {
      const auto from = bytes.begin() + static_cast<ptrdiff_t>(at);
      bytes.erase(from, from + static_cast<ptrdiff_t>(random.Below(bytes.size() - at)));
      return;
    }
    default: {
      const Bytes more = RandomBytes(1 + random.Below(32), random.Next());
      bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), more.begin(), more.end());
    }
  }
}

void Remember(const Bytes& input) {
  if (std::FILE* const file = std::fopen("fuzz_last_input", "wb")) {
    std::fwrite(input.data(), 1, input.size(), file);
    std::fclose(file);
  }
}

void Fuzz(const FuzzTarget& target, double seconds, uint64_t seed, bool remember) {
  Random random(seed);
  const std::vector<Bytes> seeds = target.seeds();
  for (const Bytes& input : seeds) target.run(input);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint64_t runs = 0;
  while (std::chrono::steady_clock::now() < end) {
    Bytes input = seeds[random.Below(seeds.size())];
    for (uint64_t i = 1 + random.Below(4); i > 0; --i) Mutate(input, random);
    if (remember) Remember(input);
    target.run(input);
    ++runs;
  }
  std::printf("%-12s %llu inputs\n", std::string(target.name).c_str(),
              static_cast<unsigned long long>(runs));
}

struct Arguments {
  double seconds = 20;
  uint64_t seed = 1;
  std::string target;
  bool remember = false;
  std::vector<std::string> files;
};

Arguments Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* const next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--remember") {
      arguments.remember = true;
    } else if (word == "--seconds") {
      arguments.seconds = std::atof(next);
    } else if (word == "--seed") {
      arguments.seed = std::strtoull(next, nullptr, 0);
    } else if (word == "--target") {
      arguments.target = next;
    } else {
      arguments.files.push_back(word);
      continue;
    }
    if (word != "--remember") ++i;
  }
  return arguments;
}

int Main(int argc, char** argv) {
  const Arguments arguments = Parse(argc, argv);
  std::vector<FuzzTarget> chosen;
  for (const FuzzTarget& target : FuzzTargets()) {
    if (arguments.target.empty() || arguments.target == target.name) chosen.push_back(target);
  }
  if (chosen.empty()) {
    std::fprintf(stderr, "no target named %s\n", arguments.target.c_str());
    return 2;
  }
  std::printf("seed %llu\n", static_cast<unsigned long long>(arguments.seed));
  std::fflush(stdout);
  for (const FuzzTarget& target : chosen) {
    for (const std::string& file : arguments.files) target.run(ReadFile(file));
    if (!arguments.files.empty()) continue;
    Fuzz(target, arguments.seconds / static_cast<double>(chosen.size()), arguments.seed,
         arguments.remember);
  }
  return 0;
}

}  // namespace

}  // namespace kcoredump::test

int main(int argc, char** argv) { return kcoredump::test::Main(argc, argv); }
