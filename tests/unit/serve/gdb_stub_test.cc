// SPDX-License-Identifier: MIT
#include "serve/gdb_stub.h"

#include <gtest/gtest.h>

#include "serve/packet.h"
#include "support/fake_target.h"

namespace kcoredump::test {

namespace {

class GdbStubTest : public testing::Test {
 protected:
  StubReply Answer(std::string_view packet) { return stub_.Answer(packet); }
  std::string Content(std::string_view packet) { return Answer(packet).content; }

  /// A whole document, in pieces of `step`.
  std::string Document(const std::string& what, size_t step) {
    std::string all;
    for (std::string piece = "m"; piece.front() == 'm';) {
      piece = Content("qXfer:" + what + ":" + Hex16(all.size()) + "," + Hex16(step));
      EXPECT_FALSE(piece.empty());
      if (piece.empty()) break;
      all += piece.substr(1);
    }
    return all;
  }
  static std::string Hex16(uint64_t value) {
    char text[17];
    snprintf(text, sizeof(text), "%lx", value);
    return text;
  }

  FakeTarget target_;
  GdbStub stub_{target_};
};

}  // namespace

TEST_F(GdbStubTest, ChoosesTheFirstThreadWhoseProgramCounterIsKnown) {
  EXPECT_EQ("T05thread:2a;hexname:" + HexOf("a<&\"\\x1b") + ";", Content("?"));
  EXPECT_EQ("QC2a", Content("qC"));
}

TEST_F(GdbStubTest, TellsWhatItCan) {
  const std::string features = Content("qSupported:multiprocess+;swbreak+");
  EXPECT_NE(std::string::npos, features.find("PacketSize=4000;"));
  EXPECT_NE(std::string::npos, features.find("qXfer:threads:read+"));
  EXPECT_EQ("1", Content("qAttached"));
  EXPECT_EQ("TextSeg=ffffffff9a000000", Content("qOffsets"));
}

TEST_F(GdbStubTest, UnknownPacketsGetTheEmptyAnswer) {
  for (const char* packet : {"", "!", "vMustReplyEmpty", "vCont?", "qNonsense", "QNonsense", "\x01",
                             "jThreadsInfo", "qXfer:auxv:read::0,100"}) {
    const StubReply reply = Answer(packet);
    EXPECT_EQ("", reply.content) << packet;
    EXPECT_FALSE(reply.silent || reply.hang_up) << packet;
  }
}

TEST_F(GdbStubTest, UnknownRegistersAreUnavailableNotZero) {
  ASSERT_EQ("OK", Content("Hg2a"));
  const std::string all = Content("g");
  // 17 of 8 bytes, 7 of 4, 8 of 10, 8 of 4, 2 of 8.
  EXPECT_EQ(2U * (17 * 8 + 7 * 4 + 8 * 10 + 8 * 4 + 2 * 8), all.size());
  EXPECT_EQ("xxxxxxxxxxxxxxxx", all.substr(0, 16));
  EXPECT_EQ("67452381ffffffff", all.substr(16 * 16, 16));
  EXPECT_EQ("67452381ffffffff", Content("p10"));
  EXPECT_EQ("10000000", Content("p12"));
  // LLDB shows digits as they are, but asks for register 0 whether there are any.
  EXPECT_EQ("xxxxxxxxxxxxxxxx", Content("p0"));
  EXPECT_EQ("E16", Content("p0"));
  EXPECT_EQ("E16", Content("p18"));
  EXPECT_EQ("E16", Content("p100"));
  EXPECT_EQ("E16", Content("p"));
}

TEST_F(GdbStubTest, DescriptionHasAsManyBytesAsTheRegisters) {
  const std::string text = Document("features:read:target.xml", 100);
  EXPECT_EQ(text, Document("features:read:target.xml", 0xfff));
  size_t bits = 0;
  for (size_t at = 0; (at = text.find("bitsize=\"", at)) != std::string::npos; ++at) {
    bits += std::stoul(text.substr(at + 9));
  }
  EXPECT_EQ(Content("g").size() * 4, bits);
  EXPECT_EQ("E00", Content("qXfer:features:read:other.xml:0,100"));
}

TEST_F(GdbStubTest, ReadsAsFarAsThereIsMemory) {
  EXPECT_EQ("00010203", Content("mffff888000001000,4"));
  EXPECT_EQ("feff", Content("mffff888000001ffe,4"));
  EXPECT_EQ("E0e", Content("mffff888000002000,4"));
  EXPECT_EQ("E0e", Content("m0,1"));
  EXPECT_EQ("E0e", Content("mffffffffffffffff,10"));
  EXPECT_EQ("OK", Content("m0,0"));
  EXPECT_EQ(2 * 4096U, Content("mffff888000001000,ffffffffffffffff").size());
}

TEST_F(GdbStubTest, MemoryIsThatOfTheThreadChosen) {
  EXPECT_EQ("OK", Content("Hg1"));
  EXPECT_EQ("E0e", Content("m1000,4"));
  EXPECT_EQ(1U, target_.last_thread);
}

TEST_F(GdbStubTest, MalformedPacketsAreErrors) {
  for (const char* packet : {"m",
                             "m1000",
                             "m1000,",
                             "mx,1",
                             "m1000,1,1",
                             "mffff8880000010000,1",
                             "Hg",
                             "Hgx",
                             "Hx",
                             "Hg7777",
                             "T",
                             "T7777",
                             "Tx",
                             "qThreadExtraInfo,",
                             "qThreadExtraInfo,7777",
                             "qThreadStopInfo7777",
                             "qThreadStopInfo",
                             "qMemoryRegionInfo:",
                             "qMemoryRegionInfo:0x",
                             "qRcmd,0",
                             "qRcmd,0g",
                             "p-1"}) {
    EXPECT_EQ("E16", Content(packet)) << packet;
  }
  EXPECT_EQ("E00", Content("qXfer:threads:read::x,1"));
  EXPECT_EQ("E00", Content("qXfer:threads:read::0"));
  EXPECT_EQ("l", Content("qXfer:threads:read::ffffffffffffffff,ffffffffffffffff"));
}

TEST_F(GdbStubTest, NothingIsWrittenOrRun) {
  for (const char* packet :
       {"Gxx", "P0=00", "M1000,1:00", "X1000,0:", "c", "C05", "s", "S05", "Z0,1000,1", "z2,1000,4",
        "vCont;c", "vCont;s:1", "vRun;", "vAttach;1"}) {
    const std::string content = Content(packet);
    EXPECT_TRUE(content.starts_with("E.") && content.find("read-only") != std::string::npos)
        << packet << ": " << content;
    for (const char special : {'#', '$', '*', '}'}) {
      EXPECT_EQ(std::string::npos, content.find(special)) << packet;
    }
  }
}

TEST_F(GdbStubTest, ThreadsEitherWay) {
  EXPECT_EQ("m1,2a", Content("qfThreadInfo"));
  EXPECT_EQ("l", Content("qsThreadInfo"));
  EXPECT_EQ("OK", Content("T2a"));
  EXPECT_EQ("696e69742073746174652053", Content("qThreadExtraInfo,1"));
  const std::string text = Document("threads:read:", 10);
  EXPECT_NE(std::string::npos, text.find("<thread id=\"1\" name=\"init\" core=\"0\">state S<"));
  EXPECT_NE(std::string::npos,
            text.find("<thread id=\"2a\" name=\"a&lt;&amp;&quot;\\x1b\">state R<"));
}

TEST_F(GdbStubTest, ThreadsAreListedAnewEachTime) {
  (void)Document("threads:read:", 4096);
  const size_t before = target_.listings;
  (void)Document("threads:read:", 16);
  EXPECT_EQ(before + 1, target_.listings);
}

TEST_F(GdbStubTest, MapOfMemoryIsReadOnlyInBothHalves) {
  const std::string text = Document("memory-map:read:", 4096);
  EXPECT_NE(std::string::npos,
            text.find("<memory type=\"rom\" start=\"0x0\" length=\"0x800000000000\"/>"));
  EXPECT_NE(std::string::npos, text.find("<memory type=\"rom\" start=\"0xffff800000000000\" "
                                         "length=\"0x800000000000\"/>"));
}

TEST_F(GdbStubTest, RegionsCoverAllAddresses) {
  EXPECT_EQ("start:0;size:800000000000;permissions:rx;", Content("qMemoryRegionInfo:0"));
  EXPECT_EQ("start:0;size:800000000000;permissions:rx;", Content("qMemoryRegionInfo:7fffffffffff"));
  EXPECT_EQ("start:800000000000;size:ffff000000000000;", Content("qMemoryRegionInfo:800000000000"));
  EXPECT_EQ("start:ffff800000000000;size:800000000000;permissions:rx;",
            Content("qMemoryRegionInfo:ffffffffffffffff"));
}

TEST_F(GdbStubTest, ThreadsStopWithTheirNames) {
  (void)Content("qfThreadInfo");
  EXPECT_EQ("T00thread:1;hexname:696e6974;", Content("qThreadStopInfo1"));
}

TEST_F(GdbStubTest, MonitorIsHandedOn) {
  const StubReply reply = Answer("qRcmd," + HexOf("ps 1"));
  EXPECT_EQ("ps 1", reply.monitor);
  EXPECT_FALSE(Answer("qRcmd,0").monitor);
}

TEST_F(GdbStubTest, WhereNoThreadHasAProgramCounterOneStandsAtZero) {
  target_.has_registers = false;
  EXPECT_EQ("T05thread:1;hexname:696e6974;", Content("?"));
  EXPECT_EQ("0000000000000000", Content("p10"));
  EXPECT_EQ("OK", Content("Hg2a"));
  EXPECT_EQ("E16", Content("p10"));
}

TEST_F(GdbStubTest, HangsUpWhenTold) {
  EXPECT_TRUE(Answer("D").hang_up);
  EXPECT_TRUE(Answer("vKill;1").hang_up);
  EXPECT_TRUE(Answer("k").hang_up);
  EXPECT_TRUE(Answer("k").silent);
  EXPECT_TRUE(Answer("QStartNoAckMode").no_acks);
}

}  // namespace kcoredump::test
