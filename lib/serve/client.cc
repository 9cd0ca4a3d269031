// SPDX-License-Identifier: MIT
#include "serve/client.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.h"

namespace kcoredump {

namespace {

/// One turn of one client; then the others have theirs.
constexpr size_t kTurnBytes = 64 << 10;
/// A client that came and says nothing that makes sense, or does not take its answers.
constexpr std::chrono::seconds kSilence{30};
constexpr int kProgressWaitMs = 10'000;

/// Returns the flags that it had; −1: none.
int MakeNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  return flags;
}

}  // namespace

Client::Client(DebugTarget& target, UniqueFd in, UniqueFd out, std::string name)
    : in_(std::move(in)), out_(std::move(out)), name_(std::move(name)), stub_(target) {
  flags_in_ = MakeNonBlocking(in_.get());
  flags_out_ = MakeNonBlocking(out_.get());
}

/// Standard input and output may be a terminal's, which others use after us.
Client::~Client() {
  if (flags_out_ >= 0) fcntl(out_.get(), F_SETFL, flags_out_);
  if (flags_in_ >= 0) fcntl(in_.get(), F_SETFL, flags_in_);
}

void Client::OnReadable() {
  std::array<char, 1024> buffer;
  for (size_t taken = 0; taken < kTurnBytes && wants_input();) {
    const ssize_t count = read(in_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      end_ = count == 0 ? "hung up" : "cannot be read from: " + ErrnoName(errno);
      return;
    }
    taken += static_cast<size_t>(count);
    std::string_view input(buffer.data(), static_cast<size_t>(count));
    while (end_.empty()) {
      const auto event = parser_.Next(input);
      if (!event) break;
      TakeEvent(*event);
    }
  }
}

void Client::TakeEvent(const PacketEvent& event) {
  switch (event.kind) {
    case PacketKind::kAck:
    case PacketKind::kInterrupt:  // nothing runs that could be interrupted
      return;
    case PacketKind::kNack:
      if (acks_ && unsent_.empty() && !last_packet_.empty()) Send(last_packet_);
      return;
    case PacketKind::kBad:
      if (acks_) Send("-");
      return;
    case PacketKind::kPacket:
      break;
  }
  spoken_ = true;
  if (acks_) Send("+");
  StubReply reply = stub_.Answer(
      event.content, [this](std::string_view content) { return SendProgress(content); });
  if (reply.no_acks) acks_ = false;
  if (!reply.silent) {
    last_packet_ = MakePacket(reply.content);
    Send(last_packet_);
  }
  if (reply.hang_up && end_.empty()) end_ = "detached";
}

void Client::Send(std::string packet) {
  if (unsent_.empty()) since_ = Clock::now();
  unsent_ += packet;
  Flush();
}

void Client::Flush() {
  while (!unsent_.empty()) {
    const ssize_t count = write(out_.get(), unsent_.data(), unsent_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) {
      end_ = "cannot be written to: " + ErrnoName(errno);
      unsent_.clear();
      return;
    }
    unsent_.erase(0, static_cast<size_t>(count));
    since_ = Clock::now();
  }
}

/// A command that goes on has the client's ear alone: its text goes out before it goes on, and
/// Ctrl-C or a client that hangs up ends it.
bool Client::SendProgress(std::string_view content) {
  if (!end_.empty()) return false;
  if (!content.empty()) Send(MakePacket(content));
  pollfd wait{.fd = out_.get(), .events = POLLOUT, .revents = 0};
  while (!unsent_.empty()) {
    if (poll(&wait, 1, kProgressWaitMs) <= 0) {
      if (errno == EINTR) continue;
      end_ = "does not take what it asked for";
      unsent_.clear();
      return false;
    }
    Flush();
  }
  pollfd input{.fd = in_.get(), .events = POLLIN, .revents = 0};
  if (poll(&input, 1, 0) <= 0) return end_.empty();
  // Acknowledgements of what was sent may wait there; anything else is a wish to stop.
  char byte = '+';
  ssize_t count = 1;
  while (count == 1 && byte == '+') count = read(in_.get(), &byte, 1);
  if (count == 1) return false;
  if (count == 0 || errno != EAGAIN) end_ = "hung up";
  return end_.empty();
}

void Client::CheckTime(Clock::time_point now) {
  if (!end_.empty() && unsent_.empty()) return;
  if (now - since_ < kSilence) return;
  if (!unsent_.empty()) {
    end_ = "does not take its answers";
    unsent_.clear();
  } else if (!spoken_) {
    end_ = "says nothing that a debugger would say";
  }
}

}  // namespace kcoredump
