// SPDX-License-Identifier: MIT
#include "serve/client.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.h"

namespace kcoredump {

namespace {

/// One turn of one client.
constexpr size_t kTurnBytes = 512;
/// A client that came and says nothing that makes sense, or does not take its answers.
constexpr std::chrono::seconds kSilence{30};
/// Text of a monitor command that one packet takes, as two digits a byte.
constexpr size_t kConsoleBytes = kMaxPacketBytes / 2 - 1;

/// Returns the flags that it had; −1: none.
int MakeNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  return flags;
}

}  // namespace

Client::Client(DebugTarget& target, UniqueFd in, UniqueFd out, std::string name)
    : target_(target),
      in_(std::move(in)),
      out_(std::move(out)),
      name_(std::move(name)),
      stub_(target) {
  flags_in_ = MakeNonBlocking(in_.get());
  flags_out_ = MakeNonBlocking(out_.get());
}

/// Standard input and output may be a terminal's, which others use after us.
Client::~Client() {
  if (flags_out_ >= 0) fcntl(out_.get(), F_SETFL, flags_out_);
  if (flags_in_ >= 0) fcntl(in_.get(), F_SETFL, flags_in_);
}

void Client::OnReadable() {
  if (!end_.empty()) return;
  std::array<char, kTurnBytes> buffer;
  const ssize_t count = read(in_.get(), buffer.data(), buffer.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) {
    return GiveUp(count == 0 ? "hung up" : "cannot be read from: " + ErrnoName(errno));
  }
  std::string_view input(buffer.data(), static_cast<size_t>(count));
  while (end_.empty()) {
    const auto event = parser_.Next(input);
    if (!event) break;
    TakeEvent(*event);
  }
}

void Client::TakeEvent(const PacketEvent& event) {
  switch (event.kind) {
    case PacketKind::kAck:
      return;
    case PacketKind::kInterrupt:  // nothing else runs that could be interrupted
      if (run_) EndMonitor();
      return;
    case PacketKind::kNack:
      if (acks_ && unsent_.empty()) Send(last_packet_);
      return;
    case PacketKind::kBad:
      if (acks_) Send("-");
      return;
    case PacketKind::kPacket:
      return TakePacket(event.content);
  }
}

void Client::TakePacket(std::string_view content) {
  spoken_ = true;
  if (acks_) Send("+");
  if (run_) EndMonitor();  // it no longer waits for that
  StubReply reply = stub_.Answer(content);
  if (reply.no_acks) acks_ = false;
  if (reply.monitor) {
    run_ = MonitorRun::Start(target_, std::move(*reply.monitor));
    if (run_) return;
    reply.content = "E.this machine is out of threads or files";
  }
  if (!reply.silent) Answer(reply.content);
  if (reply.hang_up && end_.empty()) end_ = "detached";
}

void Client::OnMonitor() {
  if (!run_) return;
  std::array<char, kConsoleBytes> text;
  const ssize_t count = read(run_->fd(), text.data(), text.size());
  if (count < 0 && errno == EINTR) return;
  if (count <= 0) return EndMonitor();
  Answer("O" + HexOf({text.data(), static_cast<size_t>(count)}));
}

void Client::EndMonitor() {
  run_.reset();
  Answer("OK");
}

void Client::Answer(std::string_view content) {
  last_packet_ = MakePacket(content);
  Send(last_packet_);
}

void Client::Send(std::string_view bytes) {
  if (unsent_.empty()) taken_ = Clock::now();
  unsent_ += bytes;
  Flush();
}

void Client::Flush() {
  while (!unsent_.empty()) {
    const ssize_t count = write(out_.get(), unsent_.data(), unsent_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) return GiveUp("cannot be written to: " + ErrnoName(errno));
    unsent_.erase(0, static_cast<size_t>(count));
    taken_ = Clock::now();
  }
}

void Client::CheckTime(Clock::time_point now) {
  if (!unsent_.empty() && now - taken_ >= kSilence) {
    GiveUp("does not take its answers");
  } else if (!spoken_ && now - came_ >= kSilence) {
    GiveUp("says nothing that a debugger would say");
  }
}

void Client::GiveUp(std::string reason) {
  run_.reset();
  unsent_.clear();
  if (end_.empty()) end_ = std::move(reason);
}

}  // namespace kcoredump
