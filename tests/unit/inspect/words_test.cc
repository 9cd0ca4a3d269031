// SPDX-License-Identifier: MIT
#include "kcoredump/words.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/elf_builder.h"
#include "support/files.h"
#include "support/raw_snapshot.h"

namespace kcoredump {
namespace {

using test::Bytes;

std::string Dump(std::span<const std::byte> bytes, unsigned width, WordNames names = nullptr) {
  WordDump dump(0x1000, width, std::move(names));
  const std::string lines = dump.Add(bytes);
  return lines + dump.Finish();
}

std::string NameOf(uint64_t word) {
  return word == 0x6665646362613938 ? "there+0x10 [a\x1b module]" : "";
}

const Bytes& Digits() {
  static const Bytes kBytes = test::ToBytes("0123456789abcdefGHIJKLM");
  return kBytes;
}

TEST(WordDump, LittleEndianWordsOfEachWidth) {
  EXPECT_EQ(Dump(Digits(), 8),
            "0000000000001000  3736353433323130 6665646362613938  |0123456789abcdef|\n"
            "0000000000001010  4d4c4b4a494847                     |GHIJKLM|\n"
            "0000000000001017\n");
  EXPECT_EQ(Dump(Digits(), 4),
            "0000000000001000  33323130 37363534 62613938 66656463  |0123456789abcdef|\n"
            "0000000000001010  4a494847 4d4c4b                      |GHIJKLM|\n"
            "0000000000001017\n");
  EXPECT_EQ(Dump(Digits(), 2).substr(0, 66),
            "0000000000001000  3130 3332 3534 3736 3938 6261 6463 6665  |012345");
  EXPECT_EQ(Dump(Digits(), 1).substr(0, 66),
            "0000000000001000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 ");
}

TEST(WordDump, NamesStandBesideTheirWords) {
  EXPECT_EQ(Dump(Digits(), 8, NameOf),
            "0000000000001000  3736353433323130\n"
            "0000000000001008  6665646362613938  there+0x10 [a\\x1b module]\n"
            "0000000000001010  4d4c4b4a494847\n"
            "0000000000001017\n");
}

TEST(WordDump, RepeatedLinesAreSqueezed) {
  Bytes bytes(64);
  bytes.push_back(std::byte{1});
  EXPECT_EQ(Dump(bytes, 8),
            "0000000000001000  0000000000000000 0000000000000000  |................|\n"
            "*\n"
            "0000000000001040  01                                 |.|\n"
            "0000000000001041\n");
}

TEST(WordDump, PiecesOfAnySizeGiveTheSame) {
  const Bytes bytes = test::RandomBytes(333, 5);
  for (const unsigned width : {1U, 2U, 4U, 8U}) {
    for (const size_t step : {size_t{1}, size_t{7}, size_t{100}}) {
      WordDump dump(0x1000, width);
      std::string text;
      for (size_t at = 0; at < bytes.size(); at += step) {
        text += dump.Add(std::span(bytes).subspan(at, std::min(step, bytes.size() - at)));
      }
      EXPECT_EQ(text + dump.Finish(), Dump(bytes, width)) << width << " " << step;
    }
  }
}

TEST(WordDump, NothingIsOneAddress) { EXPECT_EQ(Dump({}, 8), "0000000000001000\n"); }

TEST(WordsJson, WordsAndNames) {
  const WordsAnswer answer{.at = {.address = 0xffffffff81000000},
                           .bytes = Digits(),
                           .width = 8,
                           .names = NameOf,
                           .findings = {}};
  const auto parsed = nlohmann::json::parse(ToJson(answer));
  EXPECT_EQ(parsed["address"], "0xffffffff81000000");
  EXPECT_EQ(parsed["space"], "kernel");
  EXPECT_EQ(parsed["pid"], nullptr);
  EXPECT_EQ(parsed["bytes"], "303132333435363738396162636465664748494a4b4c4d");
  EXPECT_EQ(parsed["words"],
            (nlohmann::json{"0x3736353433323130", "0x6665646362613938", "0x4d4c4b4a494847"}));
  EXPECT_EQ(parsed["symbols"], (nlohmann::json{nullptr, "there+0x10 [a\\x1b module]", nullptr}));
  EXPECT_EQ(parsed["readable_bytes"], 23);
  EXPECT_EQ(parsed["incomplete"], false);
}

TEST(WordsJson, BytesAlone) {
  const WordsAnswer answer{.at = {.space = Target::Space::kProcess, .address = 16, .pid = 7},
                           .bytes = {},
                           .width = 0,
                           .names = nullptr,
                           .findings = {}};
  const auto parsed = nlohmann::json::parse(ToJson(answer));
  EXPECT_EQ(parsed["space"], "process");
  EXPECT_EQ(parsed["pid"], 7);
  EXPECT_EQ(parsed["bytes"], "");
  EXPECT_FALSE(parsed.contains("words"));
  EXPECT_FALSE(parsed.contains("symbols"));
}

Reading ReadAt(Kernel& kernel, Target::Space space, uint64_t address, size_t bytes) {
  Bytes out(bytes);
  Target at;
  at.space = space;
  at.address = address;
  auto reading = ReadMemory(kernel, at, out);
  EXPECT_TRUE(reading.ok());
  return reading.ok() ? std::move(reading.value()) : Reading{};
}

TEST(ReadMemory, TellsWhatTheCaptureDidNotReach) {
  // The capture ended within the last segment: its image has no byte of what follows.
  Bytes plain = test::SmallCore().Build();
  plain.resize(plain.size() - 4 * test::kPage);
  test::RawSnapshot raw = test::RawSnapshot::Of(plain);
  const uint64_t end = test::kHighRam + test::kHighRamBytes;
  raw.trailer.complete = false;
  raw.trailer.expected_bytes = plain.size() + 4 * test::kPage;
  raw.trailer.counts = {.direct = 20, .not_reached = 4};
  const test::MemoryFile file(raw.Build());
  auto kernel = Kernel::Open(file.path());
  ASSERT_TRUE(kernel.ok()) << kernel.error().message;
  const Reading reading =
      ReadAt(kernel.value(), Target::Space::kPhysical, end - 5 * test::kPage, 2 * test::kPage);
  EXPECT_EQ(reading.bytes, test::kPage);
  EXPECT_TRUE(reading.not_reached) << reading.failure;
  EXPECT_NE(reading.failure.find("ended before"), std::string::npos) << reading.failure;
  const Reading virt =
      ReadAt(kernel.value(), Target::Space::kKernel, test::kDirectMap + end - test::kPage, 16);
  EXPECT_TRUE(virt.not_reached);
  const Reading nowhere = ReadAt(kernel.value(), Target::Space::kPhysical, 0, 16);
  EXPECT_EQ(nowhere.bytes, 0U);
  EXPECT_FALSE(nowhere.failure.empty());
  EXPECT_FALSE(nowhere.not_reached);
}

}  // namespace
}  // namespace kcoredump
