// SPDX-License-Identifier: MIT
#include "kcoredump/serve.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"
#include "serve/client.h"
#include "serve/kernel_target.h"
#include "serve/listener.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxClients = 32;
/// How soon a cancellation or a client's time limit is noticed.
constexpr int kPollMs = 250;
/// Where the kernel's file has its text when KASLR did not move it (kernel:
/// arch/x86/include/asm/page_64_types.h, __START_KERNEL).
constexpr uint64_t kLinkedText = 0xffffffff81000000;

class Server {
 public:
  Server(Kernel& kernel, const ServeOptions& options)
      : options_(options), session_(kernel.session()), target_(kernel, options.monitor) {}

  Status Run() {
    if (options_.way == ServeWay::kStdio) {
      KCD_TRY(AddStdio());
    } else {
      KCD_TRY(Listen());
    }
    while (!cancelled()) {
      TellNotes();
      if (options_.way == ServeWay::kStdio && clients_.empty()) break;
      KCD_TRY(Turn());
    }
    // Their commands end at the same time.
    for (const auto& client : clients_) client->GiveUp("the server ends");
    return {};
  }

 private:
  [[nodiscard]] bool cancelled() const {
    return options_.cancel != nullptr && options_.cancel->load();
  }
  void Tell(const ServeEvent& event) const {
    if (options_.on_event) options_.on_event(event);
  }

  void TellReady(const std::string& address) {
    const auto start = session_.FindSymbol("_stext");
    Tell({.kind = ServeEvent::Kind::kReady,
          .text = address,
          .client = {},
          .symbol_offset = start ? std::optional(*start - kLinkedText) : std::nullopt});
  }

  void TellNotes() {
    for (; notes_told_ < target_.notes().size(); ++notes_told_) {
      Tell({.kind = ServeEvent::Kind::kNote, .text = target_.notes()[notes_told_]});
    }
  }

  Status AddStdio() {
    UniqueFd in(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
    UniqueFd out(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!in.valid() || !out.valid()) return SystemError("standard input and output", errno);
    clients_.push_back(
        std::make_unique<Client>(target_, std::move(in), std::move(out), "the debugger"));
    TellReady({});
    return {};
  }

  Status Listen() {
    KCD_ASSIGN(Listener listener, options_.way == ServeWay::kUnix
                                      ? Listener::Unix(options_.where)
                                      : Listener::Tcp(options_.where, options_.allow_remote));
    listener_.emplace(std::move(listener));
    TellReady(listener_->address());
    return {};
  }

  Status Turn() {
    std::vector<pollfd> waits;
    const bool listens = listener_ && Client::Clock::now() >= listens_again_;
    waits.push_back({.fd = listens ? listener_->fd() : -1, .events = POLLIN, .revents = 0});
    for (const auto& client : clients_) {
      const int in = client->wants_input() ? client->in() : -1;  // poll() passes over it
      const int out = client->has_unsent() ? client->out() : -1;
      waits.push_back({.fd = in, .events = POLLIN, .revents = 0});
      waits.push_back({.fd = out, .events = POLLOUT, .revents = 0});
      waits.push_back({.fd = client->monitor(), .events = POLLIN, .revents = 0});
    }
    const bool busy = std::any_of(clients_.begin(), clients_.end(),
                                  [](const auto& client) { return client->has_input(); });
    if (poll(waits.data(), waits.size(), busy ? 0 : kPollMs) < 0 && errno != EINTR) {
      return SystemError("poll", errno);
    }
    const auto now = Client::Clock::now();
    for (size_t i = 0; i < clients_.size(); ++i) {
      const pollfd* wait = &waits[1 + 3 * i];
      if (wait[1].revents != 0) clients_[i]->OnWritable();
      if (wait[2].revents != 0) clients_[i]->OnMonitor();
      if (wait[0].revents != 0 || clients_[i]->has_input()) clients_[i]->OnReadable();
      clients_[i]->CheckTime(now);
    }
    DropThoseThatEnded();
    if (waits.front().revents != 0) Accept(*listener_);
    return {};
  }

  void DropThoseThatEnded() {
    std::erase_if(clients_, [&](const std::unique_ptr<Client>& client) {
      if (client->done()) {
        Tell({.kind = ServeEvent::Kind::kGone, .text = client->end(), .client = client->name()});
      }
      return client->done();
    });
  }

  void Accept(const Listener& listener) {
    std::string name;
    UniqueFd fd = listener.Accept(name);
    UniqueFd out(fd.valid() ? fcntl(fd.get(), F_DUPFD_CLOEXEC, 3) : -1);
    if (!out.valid()) {
      // It was gone already; or files have run out, and it still stands in the queue.
      listens_again_ = Client::Clock::now() + std::chrono::milliseconds(kPollMs);
      return;
    }
    if (clients_.size() >= kMaxClients && !MakeRoom()) {
      Tell({.kind = ServeEvent::Kind::kGone,
            .text = "there are " + std::to_string(kMaxClients) + " already",
            .client = name});
      return;
    }
    Tell({.kind = ServeEvent::Kind::kCame, .text = {}, .client = name});
    clients_.push_back(
        std::make_unique<Client>(target_, std::move(fd), std::move(out), std::move(name)));
  }

  /// The first to come that has not said a word is the first to go.
  bool MakeRoom() {
    for (const auto& client : clients_) {
      if (client->has_spoken()) continue;
      client->GiveUp("says nothing, and others wait");
      DropThoseThatEnded();
      return true;
    }
    return false;
  }

  const ServeOptions& options_;
  Session& session_;
  KernelTarget target_;
  size_t notes_told_ = 0;
  std::optional<Listener> listener_;
  Client::Clock::time_point listens_again_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace

Status Serve(Kernel& kernel, const ServeOptions& options) {
  const uint16_t machine = kernel.session().source().machine();
  if (machine != EM_X86_64 && machine != EM_NONE) {
    return MakeError(
        ErrorCode::kUnsupported,
        "debuggers are served x86_64 kernels only; this one is " + MachineName(machine));
  }
  return Server(kernel, options).Run();
}

}  // namespace kcoredump
