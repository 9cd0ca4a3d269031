// SPDX-License-Identifier: MIT
#include "base/bytes.h"

#include <gtest/gtest.h>

#include "support/test_bytes.h"

namespace kcoredump {
namespace {

using test::Bytes;

TEST(ByteReader, ReadsLittleEndianInOrder) {
  const Bytes bytes = test::ToBytes(std::string_view("\x01\x02\x00\x00\x00\x03tail", 10));
  ByteReader reader(bytes);
  EXPECT_EQ(reader.Read<uint8_t>(), 1);
  EXPECT_EQ(reader.Read<uint32_t>(), 2U);
  EXPECT_EQ(reader.Read<uint8_t>(), 3);
  EXPECT_EQ(AsText(reader.Take(4).value()), "tail");
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteReader, FailsForGoodAfterTheFirstFailure) {
  const Bytes bytes(6);
  ByteReader reader(bytes);
  EXPECT_FALSE(reader.Read<uint64_t>());
  EXPECT_FALSE(reader.Read<uint8_t>());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteReader, ACountBeyondAnySizeIsRefused) {
  const Bytes bytes(6);
  ByteReader reader(bytes);
  EXPECT_FALSE(reader.Take(~uint64_t{0}));
}

TEST(ByteReader, TakingNothingAtTheEndIsFine) {
  ByteReader reader({});
  EXPECT_TRUE(reader.Take(0));
  EXPECT_FALSE(reader.Take(1));
}

TEST(ByteWriter, PadsWithZerosToTheAlignment) {
  ByteWriter writer;
  writer.Write(uint8_t{0xff});
  writer.PadTo(8);
  EXPECT_EQ(writer.size(), 8U);
  EXPECT_TRUE(test::AllZero(std::span(writer.bytes()).subspan(1)));
  writer.PadTo(8);
  EXPECT_EQ(writer.size(), 8U);
  writer.Append("abc");
  EXPECT_EQ(writer.size(), 11U);
}

}  // namespace
}  // namespace kcoredump
