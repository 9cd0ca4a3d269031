// SPDX-License-Identifier: MIT
#include "base/crc32c.h"

#include <gtest/gtest.h>

#include "support/test_bytes.h"

namespace kcoredump {
namespace {

/// RFC 3720, appendix B.4.
TEST(Crc32c, MatchesTheStandardsExamples) {
  EXPECT_EQ(Crc32c(test::Bytes(32)), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(test::Bytes(32, std::byte{0xff})), 0x62a8ab43U);
  test::Bytes up;
  for (int i = 0; i < 32; ++i) up.push_back(static_cast<std::byte>(i));
  EXPECT_EQ(Crc32c(up), 0x46dd794eU);
  EXPECT_EQ(Crc32c(test::ToBytes("123456789")), 0xe3069283U);
  EXPECT_EQ(Crc32c({}), 0U);
}

TEST(Crc32c, EveryLengthAndEveryBitCounts) {
  const test::Bytes bytes = test::RandomBytes(40, 1);
  for (size_t size = 1; size < bytes.size(); ++size) {
    const auto part = std::span(bytes).first(size);
    test::Bytes changed(part.begin(), part.end());
    for (size_t at = 0; at < size; ++at) {
      changed[at] ^= std::byte{1};
      EXPECT_NE(Crc32c(changed), Crc32c(part)) << size << " " << at;
      changed[at] ^= std::byte{1};
    }
  }
}

}  // namespace
}  // namespace kcoredump
