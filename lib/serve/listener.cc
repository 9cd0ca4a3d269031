// SPDX-License-Identifier: MIT
#include "serve/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/error.h"
#include "base/try.h"

namespace kcoredump {

namespace {

constexpr int kBacklog = 128;
/// Then its machine is asked whether it is still there.
constexpr int kKeepIdleSeconds = 60;

struct HostAndPort {
  std::string host;
  uint16_t port = 0;
};

Result<HostAndPort> ParseAddress(const std::string& where) {
  HostAndPort parts;
  const size_t colon = where.rfind(':');
  if (colon != std::string::npos) parts.host = where.substr(0, colon);
  const bool bracketed =
      parts.host.size() > 2 && parts.host.front() == '[' && parts.host.back() == ']';
  if (bracketed) parts.host = parts.host.substr(1, parts.host.size() - 2);
  const char* digits = where.data() + (colon == std::string::npos ? 0 : colon + 1);
  const char* end = where.data() + where.size();
  const auto [stop, error] = std::from_chars(digits, end, parts.port);
  const bool sound = !parts.host.empty() && digits != end && error == std::errc() && stop == end &&
                     bracketed == (parts.host.find(':') != std::string::npos);
  if (sound) return parts;
  return InvalidArgument("\"" + where + "\" is no address; write 127.0.0.1:1234 or [::1]:1234");
}

/// An address of either family. Names other than localhost are not looked up: a static program has
/// no resolver.
struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof(storage);

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] sockaddr_in& four() { return reinterpret_cast<sockaddr_in&>(storage); }
  [[nodiscard]] sockaddr_in6& six() { return reinterpret_cast<sockaddr_in6&>(storage); }

  [[nodiscard]] bool IsLoopback() {
    if (storage.ss_family == AF_INET) return ntohl(four().sin_addr.s_addr) >> 24 == 127;
    return storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six().sin6_addr);
  }

  /// "127.0.0.1:1234", "[::1]:1234"
  [[nodiscard]] std::string Name() {
    char host[INET6_ADDRSTRLEN] = {};
    if (storage.ss_family == AF_INET) {
      inet_ntop(AF_INET, &four().sin_addr, host, sizeof(host));
      return std::string(host) + ":" + std::to_string(ntohs(four().sin_port));
    }
    inet_ntop(AF_INET6, &six().sin6_addr, host, sizeof(host));
    return "[" + std::string(host) + "]:" + std::to_string(ntohs(six().sin6_port));
  }
};

Result<Address> MakeAddress(const std::string& where) {
  KCD_ASSIGN(const HostAndPort parts, ParseAddress(where));
  const std::string host = parts.host == "localhost" ? "127.0.0.1" : parts.host;
  Address address;
  if (inet_pton(AF_INET, host.c_str(), &address.four().sin_addr) == 1) {
    address.four().sin_family = AF_INET;
    address.four().sin_port = htons(parts.port);
    address.bytes = sizeof(sockaddr_in);
  } else if (inet_pton(AF_INET6, host.c_str(), &address.six().sin6_addr) == 1) {
    address.six().sin6_family = AF_INET6;
    address.six().sin6_port = htons(parts.port);
    address.bytes = sizeof(sockaddr_in6);
  } else {
    return InvalidArgument("\"" + where +
                           "\" is no address; write a number, 127.0.0.1:1234 or [::1]:1234");
  }
  return address;
}

Result<UniqueFd> Bind(const sockaddr* address, socklen_t bytes, const std::string& what) {
  UniqueFd fd(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return OutputError(what, errno);
  const int yes = 1;
  if (address->sa_family != AF_UNIX) {
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  }
  if (bind(fd.get(), address, bytes) != 0 || listen(fd.get(), kBacklog) != 0) {
    return OutputError(what, errno);
  }
  return fd;
}

/// Whether `path` is a socket that nobody listens at: what a server leaves that was killed.
bool IsAbandoned(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe.valid() &&
         connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

Result<Listener> Listener::Tcp(const std::string& where, bool allow_remote) {
  KCD_ASSIGN(Address address, MakeAddress(where));
  if (!allow_remote && !address.IsLoopback()) {
    return InvalidArgument(where +
                           " is where other machines could read this kernel's memory; "
                           "--allow-remote says that they may");
  }
  KCD_ASSIGN(UniqueFd fd, Bind(address.get(), address.bytes, where));
  getsockname(fd.get(), address.get(), &address.bytes);  // the port, where it was left open
  return Listener(std::move(fd), address.Name(), {});
}

Result<Listener> Listener::Unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return InvalidArgument("\"" + path + "\" is too long for the path of a socket");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (IsAbandoned(path, address)) unlink(path.c_str());
  // The mode is there from the first moment on.
  const mode_t before = umask(0177);
  auto fd = Bind(reinterpret_cast<const sockaddr*>(&address), sizeof(address), path);
  umask(before);
  if (!fd.ok()) return std::move(fd.error());
  return Listener(std::move(fd.value()), path, path);
}

Listener::~Listener() {
  if (fd_.valid() && !path_.empty()) unlink(path_.c_str());
}

UniqueFd Listener::Accept(std::string& name) const {
  Address peer;
  UniqueFd fd(accept4(fd_.get(), peer.get(), &peer.bytes, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return fd;
  name = path_.empty() ? peer.Name() : "a debugger";
  const int yes = 1;
  if (path_.empty()) {
    // Answers are short and waited for; and a peer that vanished shall be found out.
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, &kKeepIdleSeconds, sizeof(kKeepIdleSeconds));
  }
  return fd;
}

}  // namespace kcoredump
