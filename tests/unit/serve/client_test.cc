// SPDX-License-Identifier: MIT
#include "serve/client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "support/fake_target.h"
#include "support/test_bytes.h"

namespace kcoredump::test {

namespace {

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    std::signal(SIGPIPE, SIG_IGN);  // as the program has it
    int ends[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
    debugger_ = UniqueFd(ends[0]);
    UniqueFd out(dup(ends[1]));
    client_ = std::make_unique<Client>(target_, UniqueFd(ends[1]), std::move(out), "test");
  }

  /// Sends, lets the client have its turns, and returns what it says.
  std::string Ask(std::string_view text) {
    std::string said;
    while (!text.empty()) {
      const ssize_t sent = write(debugger_.get(), text.data(), text.size());
      if (sent > 0) text.remove_prefix(static_cast<size_t>(sent));
      said += Turn();
    }
    return said + Turn();
  }

  std::string Turn() {
    if (client_->has_unsent()) client_->OnWritable();
    if (client_->wants_input()) client_->OnReadable();
    std::string said;
    std::array<char, 65536> buffer;
    for (ssize_t count; (count = read(debugger_.get(), buffer.data(), buffer.size())) > 0;) {
      said.append(buffer.data(), static_cast<size_t>(count));
      if (client_->has_unsent()) client_->OnWritable();
    }
    return said;
  }

  /// Until the command has ended and its end is told.
  std::string AskMonitor(std::string_view packet) {
    std::string said = Ask(packet);
    while (!said.ends_with(MakePacket("OK")) && !client_->done()) {
      pollfd wait{.fd = client_->monitor(), .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, 100) > 0) client_->OnMonitor();
      said += Turn();
    }
    return said;
  }

  FakeTarget target_;
  UniqueFd debugger_;
  std::unique_ptr<Client> client_;
};

}  // namespace

TEST_F(ClientTest, AcknowledgesUntilToldNotTo) {
  EXPECT_EQ("+" + MakePacket("QC2a"), Ask(MakePacket("qC")));
  EXPECT_EQ("-", Ask("$qC#00"));
  EXPECT_EQ(MakePacket("QC2a"), Ask("-"));
  EXPECT_EQ("+" + MakePacket("OK"), Ask(MakePacket("QStartNoAckMode")));
  EXPECT_EQ(MakePacket("QC2a"), Ask("+" + MakePacket("qC")));
  EXPECT_EQ("", Ask("$qC#00-"));
}

TEST_F(ClientTest, DetachIsAnsweredAndThenItIsDone) {
  EXPECT_EQ("+" + MakePacket("OK"), Ask(MakePacket("D")));
  EXPECT_TRUE(client_->done());
}

TEST_F(ClientTest, HangUpIsNoticed) {
  debugger_.Reset();
  client_->OnReadable();
  EXPECT_TRUE(client_->done());
  EXPECT_EQ("hung up", client_->end());
}

TEST_F(ClientTest, PacketBeforeAHangUpDoesNoHarm) {
  const std::string packet = MakePacket("g");
  ASSERT_EQ(static_cast<ssize_t>(packet.size()),
            write(debugger_.get(), packet.data(), packet.size()));
  debugger_.Reset();
  client_->OnReadable();
  client_->OnReadable();
  EXPECT_TRUE(client_->done());
}

TEST_F(ClientTest, WhoSaysNothingIsGivenUpInTime) {
  (void)Ask("GET / HTTP/1.0\r\n\r\n$garbage#00");
  client_->CheckTime(Client::Clock::now() + std::chrono::seconds(20));
  EXPECT_FALSE(client_->done());
  client_->CheckTime(Client::Clock::now() + std::chrono::seconds(40));
  EXPECT_TRUE(client_->done());
}

TEST_F(ClientTest, WhoHasSpokenMayBeSilent) {
  (void)Ask(MakePacket("qC"));
  client_->CheckTime(Client::Clock::now() + std::chrono::hours(24));
  EXPECT_FALSE(client_->done());
}

TEST_F(ClientTest, FloodThatIsNeverReadStopsBeingTakenAndIsGivenUp) {
  std::string flood;
  for (int i = 0; i < 2000; ++i) flood += MakePacket("mffff888000001000,1000");
  size_t sent = 0;
  for (int turn = 0; turn < 1000 && client_->wants_input(); ++turn) {
    const ssize_t count = write(debugger_.get(), flood.data(), flood.size());
    if (count > 0) sent += static_cast<size_t>(count);
    client_->OnReadable();
  }
  EXPECT_FALSE(client_->wants_input());
  EXPECT_LT(sent, 10 * flood.size());
  client_->CheckTime(Client::Clock::now() + std::chrono::seconds(40));
  EXPECT_TRUE(client_->done());
}

TEST_F(ClientTest, MonitorTextComesInPackets) {
  target_.monitor_text = std::string(20000, 'a');
  (void)Ask(MakePacket("QStartNoAckMode"));
  const std::string said = AskMonitor(MakePacket("qRcmd,7073"));
  EXPECT_EQ("ps", target_.last_command);
  PacketParser parser;
  std::string_view rest = said;
  std::string text;
  while (const auto event = parser.Next(rest)) {
    EXPECT_LE(event->content.size(), kMaxPacketBytes);
    if (event->content.starts_with("O") && event->content != "OK") {
      text += FromHex(event->content.substr(1)).value();
    }
  }
  EXPECT_TRUE(target_.monitor_text == text) << text.size();
}

TEST_F(ClientTest, MonitorEndsWithCtrlC) {
  target_.monitor_repeats = SIZE_MAX;
  EXPECT_EQ("+", Ask(MakePacket("qRcmd,7073")));
  EXPECT_TRUE(Ask("\x03").ends_with(MakePacket("OK")));
  EXPECT_EQ("+" + MakePacket("QC2a"), Ask(MakePacket("qC")));
}

TEST_F(ClientTest, MonitorEndsWithItsClient) {
  target_.monitor_repeats = SIZE_MAX;
  EXPECT_EQ("+", Ask(MakePacket("qRcmd,7073")));
  debugger_.Reset();
  client_->OnReadable();
  EXPECT_TRUE(client_->done());
  EXPECT_EQ(-1, client_->monitor());
}

TEST_F(ClientTest, MonitorWhoseTextIsNotTakenWaits) {
  target_.monitor_repeats = SIZE_MAX;
  target_.monitor_text = std::string(4000, 'a');
  EXPECT_EQ("+", Ask(MakePacket("qRcmd,7073")));
  for (int turn = 0; turn < 10000 && client_->monitor() >= 0; ++turn) client_->OnMonitor();
  EXPECT_EQ(-1, client_->monitor());
  client_->CheckTime(Client::Clock::now() + std::chrono::seconds(40));
  EXPECT_TRUE(client_->done());
}

TEST_F(ClientTest, NoiseDoesNotBreakIt) {
  Random random(7);
  for (int i = 0; i < 300; ++i) {
    const Bytes noise = RandomBytes(random.Below(300), random.Next());
    (void)Ask({reinterpret_cast<const char*>(noise.data()), noise.size()});
  }
  EXPECT_NE(std::string::npos, Ask("$" + MakePacket("qC")).find(MakePacket("QC2a")));
}

}  // namespace kcoredump::test
