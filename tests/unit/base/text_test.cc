// SPDX-License-Identifier: MIT
#include "kcoredump/text.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "base/error.h"

namespace kcoredump {
namespace {

using namespace std::string_literals;

TEST(Text, Numbers) {
  EXPECT_EQ(HexAddress(0xabc), "0x0000000000000abc");
  EXPECT_EQ(HexAddress(~uint64_t{0}), "0xffffffffffffffff");
  EXPECT_EQ(Hex(0), "0x0");
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(1234567), "1,234,567");
}

TEST(Text, HumanBytesNeverShowsAThousandAndTwentyFour) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(~uint64_t{0}), "16.0 EiB");
}

TEST(Escaped, PlainTextStays) {
  EXPECT_EQ(Escaped("Linux version 6.1 (gcc) ~!@#"), "Linux version 6.1 (gcc) ~!@#");
  EXPECT_EQ(Escaped(""), "");
}

TEST(Escaped, AnsiEscapesAreDisarmed) {
  EXPECT_EQ(Escaped("\x1b[2J\x1b]0;title\a"), "\\x1b[2J\\x1b]0;title\\x07");
}

TEST(Escaped, LineBreaksTabsNulAndDeleteAreShown) {
  EXPECT_EQ(Escaped("a\r\nb\tc\0d\x7f"s), "a\\x0d\\x0ab\\x09c\\x00d\\x7f");
}

TEST(Escaped, Utf8Stays) { EXPECT_EQ(Escaped("Zürich 東京 🦀"), "Zürich 東京 🦀"); }

TEST(Escaped, C1ControlsAreDisarmed) {
  // U+009B is CSI: terminals take it for ESC [.
  EXPECT_EQ(Escaped("\xc2\x9b"
                    "2J"),
            "\\xc2\\x9b2J");
  EXPECT_EQ(Escaped("\xc2\xa0"), "\xc2\xa0");
}

TEST(Escaped, BidirectionalControlsAreDisarmed) {
  EXPECT_EQ(Escaped("\xe2\x80\xae"
                    "gpj.exe"),
            "\\xe2\\x80\\xaegpj.exe");
  EXPECT_EQ(Escaped("\xe2\x81\xa6"
                    "x\xe2\x81\xa9"),
            "\\xe2\\x81\\xa6x\\xe2\\x81\\xa9");
  EXPECT_EQ(Escaped("\xe2\x80\xa8"), "\\xe2\\x80\\xa8");  // LINE SEPARATOR
}

TEST(Escaped, WhatXmlMayNotHoldIsShownByteByByte) {
  EXPECT_EQ(Escaped("\xef\xbf\xbe"), "\\xef\\xbf\\xbe");
  EXPECT_EQ(Escaped("\xef\xbf\xbf"), "\\xef\\xbf\\xbf");
  EXPECT_EQ(Escaped("\xef\xbf\xbd"), "\xef\xbf\xbd");
}

TEST(Escaped, BrokenUtf8IsShownByteByByte) {
  EXPECT_EQ(Escaped("\x80"), "\\x80");
  EXPECT_EQ(Escaped("\xc3"), "\\xc3");
  EXPECT_EQ(Escaped("\xc3("), "\\xc3(");
  EXPECT_EQ(Escaped("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(Escaped("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(Escaped("\xc0\x9b"), "\\xc0\\x9b");
  EXPECT_EQ(Escaped("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80");
}

/// A lenient terminal decodes overlong forms: E0 80 9B would be ESC (1B) after all.
TEST(Escaped, OverlongSequencesAreNotUtf8) {
  EXPECT_EQ(Escaped("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");
  EXPECT_EQ(Escaped("\xf0\x80\x80\x9b"), "\\xf0\\x80\\x80\\x9b");
}

TEST(Escaped, SurrogatesAndBeyondUnicodeAreNotUtf8) {
  EXPECT_EQ(Escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(Escaped("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(TrimmedRight, KeepsWhatIsInside) {
  EXPECT_EQ(TrimmedRight(" a b \r\n\t"), " a b");
  EXPECT_EQ(TrimmedRight(" \n"), "");
}

TEST(SystemError, CodesFollowTheErrno) {
  EXPECT_EQ(SystemError("x", EPERM).code, ErrorCode::kPermission);
  EXPECT_EQ(SystemError("x", EACCES).code, ErrorCode::kPermission);
  EXPECT_EQ(SystemError("x", ENOENT).code, ErrorCode::kNotFound);
  EXPECT_EQ(SystemError("x", EIO).code, ErrorCode::kIo);
  EXPECT_EQ(SystemError("x", EIO).system_errno, EIO);
  EXPECT_EQ(SystemError("x", EIO).message, "x: Input/output error");
  EXPECT_EQ(SystemError("x", 9999).message, "x: unknown error");
}

TEST(ErrnoName, KnownAndUnknown) {
  EXPECT_EQ(ErrnoName(EFAULT), "EFAULT");
  EXPECT_EQ(ErrnoName(9999), "errno 9999");
}

TEST(Error, ContextStandsInFront) {
  const Error error = MakeError(ErrorCode::kCorrupt, "inner").WithContext("outer");
  EXPECT_EQ(error.message, "outer: inner");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace kcoredump
