// SPDX-License-Identifier: MIT
#include "serve/client.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.h"

namespace kcoredump {

namespace {

constexpr size_t kReadBytes = 512;
/// A client that came and says nothing that makes sense, or does not take its answers.
constexpr std::chrono::seconds kSilence{30};
/// What a debugger may begin with. A browser that a web page makes connect here begins otherwise,
/// and must not get to what the page puts behind that.
constexpr std::string_view kFirstBytes = "+-$\x03";
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
  if (input_.empty()) {
    std::array<char, kReadBytes> buffer;
    const ssize_t count = read(in_.get(), buffer.data(), buffer.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (count <= 0) {
      return GiveUp(count == 0 ? "hung up" : "cannot be read from: " + ErrnoName(errno));
    }
    input_.assign(buffer.data(), static_cast<size_t>(count));
    if (!heard_ && kFirstBytes.find(input_.front()) == std::string_view::npos) {
      return GiveUp("speaks another protocol");
    }
    heard_ = true;
  }
  std::string_view rest = input_;
  bool took_packet = false;
  while (end_.empty() && !took_packet) {
    const auto event = parser_.Next(rest);
    if (!event) break;
    took_packet = event->kind == PacketKind::kPacket;
    TakeEvent(*event);
  }
  input_.erase(0, input_.size() - rest.size());
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
  if (reply.monitor) return StartMonitor(std::move(*reply.monitor));
  if (!reply.silent) Answer(reply.content);
  if (reply.hang_up && end_.empty()) end_ = "detached";
}

/// GDB shows the text of an error in no answer to a command.
void Client::StartMonitor(std::string command) {
  const char* trouble = "the command before has not ended yet\n";
  if (!is_stopping()) {
    stopped_run_.reset();
    run_ = MonitorRun::Start(target_, std::move(command));
    if (run_) return;
    trouble = "this machine is out of threads or files\n";
  }
  Answer("O" + HexOf(trouble));
  Answer("OK");
}

void Client::OnMonitor() {
  if (!run_) return;
  std::array<char, kConsoleBytes> text;
  const ssize_t count = read(run_->fd(), text.data(), text.size());
  if (count < 0 && errno == EINTR) return;
  if (count <= 0) return EndMonitor();
  Answer("O" + HexOf({text.data(), static_cast<size_t>(count)}));
}

void Client::StopMonitor() {
  if (!run_) return;
  run_->Stop();
  stopped_run_ = std::move(run_);
}

void Client::EndMonitor() {
  StopMonitor();
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
  StopMonitor();
  unsent_.clear();
  if (end_.empty()) end_ = std::move(reason);
}

}  // namespace kcoredump
