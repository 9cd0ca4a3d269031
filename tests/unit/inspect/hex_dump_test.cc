// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cerrno>

#include "kcoredump/inspect.h"
#include "support/files.h"

namespace kcoredump {
namespace {

using test::Bytes;

std::string Dump(std::span<const std::byte> bytes, uint64_t address = 0) {
  HexDump dump(address);
  const std::string lines = dump.Add(bytes);
  return lines + dump.Finish();
}

/// hexdump -C, its addresses widened from 8 digits to ours.
std::string Hexdump(const Bytes& bytes) {
  const test::TempDir dir;
  test::WriteFile(dir.Path("bytes"), bytes);
  const std::string text =
      test::ToText(test::RunCommand("LC_ALL=C hexdump -C " + dir.Path("bytes")).output);
  std::string wide;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at) + 1;
    wide += (text[at] == '*' ? "" : "00000000") + text.substr(at, end - at);
    at = end;
  }
  return wide;
}

TEST(HexDump, IsWhatHexdumpPrints) {
  if (!test::HaveCommand("hexdump")) GTEST_SKIP() << "no hexdump here";
  std::vector<Bytes> samples;
  for (size_t size = 1; size <= 50; ++size) samples.push_back(test::RandomBytes(size, size));
  samples.push_back(Bytes(16));
  samples.push_back(Bytes(48));
  samples.push_back(Bytes(50));
  Bytes mixed = test::RandomBytes(16, 1);
  mixed.resize(16 + 160);
  const Bytes tail = test::RandomBytes(37, 2);
  mixed.insert(mixed.end(), tail.begin(), tail.end());
  samples.push_back(mixed);
  Bytes all(256);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::byte>(i);
  samples.push_back(all);
  for (const Bytes& bytes : samples) EXPECT_EQ(Dump(bytes), Hexdump(bytes)) << bytes.size();
}

TEST(HexDump, OneLineByHeart) {
  EXPECT_EQ(Dump(test::ToBytes("Linux\x1b version!"), 0xffffffff81000000),
            "ffffffff81000000  4c 69 6e 75 78 1b 20 76  65 72 73 69 6f 6e 21     "
            "|Linux. version!|\nffffffff8100000f\n");
}

TEST(HexDump, PiecesOfAnySizeGiveTheSame) {
  Bytes bytes = test::RandomBytes(100, 3);
  bytes.resize(400);
  const Bytes tail = test::RandomBytes(77, 4);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  for (const size_t step : {size_t{1}, size_t{7}, size_t{16}, size_t{100}}) {
    HexDump dump(0x1000);
    std::string text;
    for (size_t at = 0; at < bytes.size(); at += step) {
      text += dump.Add(std::span(bytes).subspan(at, std::min(step, bytes.size() - at)));
    }
    text += dump.Finish();
    EXPECT_EQ(text, Dump(bytes, 0x1000)) << step;
  }
}

TEST(DescribeHole, SaysWhy) {
  const auto describe = [](PageOutcome outcome, int failure = 0) {
    return DescribeHole(
        {.first = PhysAddr{0x5000}, .pages = 1, .outcome = outcome, .system_errno = failure});
  };
  EXPECT_NE(describe(PageOutcome::kHwPoison).find("hwpoison"), std::string::npos);
  EXPECT_NE(describe(PageOutcome::kOffline).find("offline"), std::string::npos);
  EXPECT_NE(describe(PageOutcome::kAbsent).find("absent"), std::string::npos);
  EXPECT_NE(describe(PageOutcome::kNotReached).find("ended before"), std::string::npos);
  EXPECT_NE(describe(PageOutcome::kExcluded).find("was excluded when it was dumped"),
            std::string::npos);
  EXPECT_EQ(describe(PageOutcome::kUnreadable, EIO),
            "the page at physical 0x0000000000005000 cannot be read: EIO");
  EXPECT_NE(describe(PageOutcome::kUnreadable, EBADMSG).find("verify"), std::string::npos);
  EXPECT_NE(describe(PageOutcome::kUnreadable, ENXIO).find("no segment"), std::string::npos);
  EXPECT_NE(DescribeHole({.first = VirtAddr{0x5000}, .pages = 1}).find("virtual"),
            std::string::npos);
}

}  // namespace
}  // namespace kcoredump
