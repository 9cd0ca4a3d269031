// SPDX-License-Identifier: MIT
#include "serve/packet.h"

#include <gtest/gtest.h>

#include <vector>

namespace kcoredump::test {

namespace {

std::vector<PacketEvent> Parse(std::string_view input, size_t step = 1000000) {
  PacketParser parser;
  std::vector<PacketEvent> events;
  for (; !input.empty(); input.remove_prefix(std::min(step, input.size()))) {
    std::string_view piece = input.substr(0, step);
    while (auto event = parser.Next(piece)) events.push_back(*event);
  }
  return events;
}

std::vector<PacketKind> KindsOf(std::string_view input) {
  std::vector<PacketKind> kinds;
  for (const PacketEvent& event : Parse(input)) kinds.push_back(event.kind);
  return kinds;
}

}  // namespace

TEST(Packet, WhatIsMadeIsParsedHoweverItArrives) {
  for (const size_t step : {size_t{1}, size_t{3}, size_t{1000}}) {
    const auto events = Parse("+" + MakePacket("qSupported:x") + MakePacket("") + "-\x03", step);
    ASSERT_EQ(5U, events.size());
    EXPECT_EQ(PacketKind::kAck, events[0].kind);
    EXPECT_EQ(PacketKind::kPacket, events[1].kind);
    EXPECT_EQ("qSupported:x", events[1].content);
    EXPECT_EQ(PacketKind::kPacket, events[2].kind);
    EXPECT_EQ("", events[2].content);
    EXPECT_EQ(PacketKind::kNack, events[3].kind);
    EXPECT_EQ(PacketKind::kInterrupt, events[4].kind);
  }
}

TEST(Packet, ManualsExample) { EXPECT_EQ("$g#67", MakePacket("g")); }

TEST(Packet, EscapedBytesComeBack) {
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
  std::string content = "X0,100:";
  AppendEscaped(content, every);
  const auto events = Parse(MakePacket(content));
  ASSERT_EQ(1U, events.size());
  EXPECT_EQ("X0,100:" + every, events[0].content);
}

TEST(Packet, WrongChecksumIsBad) {
  EXPECT_EQ(std::vector{PacketKind::kBad}, KindsOf("$g#68"));
  EXPECT_EQ(std::vector{PacketKind::kBad}, KindsOf("$g#6z"));
  EXPECT_EQ((std::vector{PacketKind::kBad, PacketKind::kPacket}), KindsOf("$g#68$g#67"));
}

TEST(Packet, CutPacketIsGivenUpForTheNext) {
  const auto events = Parse("$m1234$g#67");
  ASSERT_EQ(1U, events.size());
  EXPECT_EQ("g", events[0].content);
}

TEST(Packet, TooLongIsBadAndNotKept) {
  EXPECT_EQ(std::vector{PacketKind::kPacket},
            KindsOf(MakePacket(std::string(kMaxPacketBytes, 'x'))));
  EXPECT_EQ((std::vector{PacketKind::kBad, PacketKind::kPacket}),
            KindsOf(MakePacket(std::string(kMaxPacketBytes + 1, 'x')) + "$g#67"));
}

TEST(Packet, NoiseBetweenPacketsIsPassedOver) {
  EXPECT_EQ(std::vector{PacketKind::kPacket}, KindsOf("GET / HTTP/1.0\r\n\r\n#}\x80$g#67"));
}

TEST(Packet, Hex) {
  EXPECT_EQ("00ff41", HexOf(std::string("\0\xff"
                                        "A",
                                        3)));
  EXPECT_EQ(std::string("\0\xff"
                        "A",
                        3),
            FromHex("00FF41"));
  EXPECT_FALSE(FromHex("0"));
  EXPECT_FALSE(FromHex("0g"));
  std::string_view text = "ffffffff81000000,10";
  EXPECT_EQ(0xffffffff81000000, TakeHex(text));
  EXPECT_EQ(",10", text);
  EXPECT_FALSE(TakeHex(text));
  text = "10000000000000000";
  EXPECT_FALSE(TakeHex(text));
}

}  // namespace kcoredump::test
