// SPDX-License-Identifier: MIT
#include "inspect/file/sock_reader.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

// Kernel: include/linux/socket.h, include/uapi/linux/in.h, include/net/tcp_states.h.
constexpr uint64_t kFamilyUnix = 1;
constexpr uint64_t kFamilyInternet = 2;
constexpr uint64_t kFamilyInternet6 = 10;
constexpr uint64_t kFamilyNetlink = 16;
constexpr uint64_t kFamilyPacket = 17;
constexpr uint64_t kTypeRaw = 3;
constexpr uint64_t kProtocolTcp = 6;
constexpr uint64_t kStateTimeWait = 6;
constexpr uint64_t kStateRequest = 12;
constexpr uint64_t kMaxUnixNameBytes = 108;

struct NumberName {
  uint64_t number;
  const char* name;
};
constexpr std::array kProtocols = {NumberName{1, "icmp"},      NumberName{6, "tcp"},
                                   NumberName{17, "udp"},      NumberName{33, "dccp"},
                                   NumberName{58, "icmp"},     NumberName{132, "sctp"},
                                   NumberName{136, "udplite"}, NumberName{262, "mptcp"}};
constexpr std::array kFamilies = {
    NumberName{1, "unix"},       NumberName{15, "key"}, NumberName{16, "netlink"},
    NumberName{17, "packet"},    NumberName{29, "can"}, NumberName{30, "tipc"},
    NumberName{31, "bluetooth"}, NumberName{38, "alg"}, NumberName{40, "vsock"},
    NumberName{43, "smc"},       NumberName{44, "xdp"}};
constexpr std::array kTypes = {NumberName{1, "stream"},    NumberName{2, "dgram"},
                               NumberName{3, "raw"},       NumberName{4, "rdm"},
                               NumberName{5, "seqpacket"}, NumberName{6, "dccp"},
                               NumberName{10, "packet"}};
constexpr std::array kStates = {
    NumberName{1, "ESTABLISHED"}, NumberName{2, "SYN_SENT"},   NumberName{3, "SYN_RECV"},
    NumberName{4, "FIN_WAIT1"},   NumberName{5, "FIN_WAIT2"},  NumberName{6, "TIME_WAIT"},
    NumberName{7, "CLOSE"},       NumberName{8, "CLOSE_WAIT"}, NumberName{9, "LAST_ACK"},
    NumberName{10, "LISTEN"},     NumberName{11, "CLOSING"},   NumberName{12, "SYN_RECV"},
    NumberName{13, "BOUND"}};

template <size_t kCount>
std::string NameOfNumber(const std::array<NumberName, kCount>& names, uint64_t number,
                         const std::string& otherwise) {
  for (const NumberName& each : names) {
    if (each.number == number) return each.name;
  }
  return otherwise + std::to_string(number);
}

uint16_t Swapped(uint64_t port) { return ntohs(static_cast<uint16_t>(port)); }

}  // namespace

Result<SockReader> SockReader::Create(const TaskSources& sources, Findings& findings) {
  KCD_ASSIGN(Layout sock, Layout::Of(sources.types, "struct sock"));
  KCD_ASSIGN(Layout common, Layout::Of(sources.types, "struct sock_common"));
  SockReader reader(sources, std::move(sock), std::move(common));
  KCD_TRY(reader.FindFields(findings));
  reader.FindFamilies();
  return reader;
}

Status SockReader::FindFields(Findings& findings) {
  auto& notes = findings.notes;
  KCD_ASSIGN(family_, common_layout_.Need("skc_family"));
  KCD_ASSIGN(state_, common_layout_.Need("skc_state"));
  const auto common = [&](const char* member, const char* costs) {
    return common_layout_.Find(member, costs, notes);
  };
  number_ = common("skc_num", "local ports are not known");
  remote_port_ = common("skc_dport", "remote ports are not known");
  local_ = common("skc_rcv_saddr", "local addresses are not known");
  remote_ = common("skc_daddr", "remote addresses are not known");
  // Kernels without IPv6 have none.
  local6_ = common_layout_.Find("skc_v6_rcv_saddr");
  remote6_ = common_layout_.Find("skc_v6_daddr");
  net_ = common_layout_.Find("skc_net.net");
  type_ = sock_layout_.Find("sk_type", "types of sockets are not known", notes);
  protocol_ = sock_layout_.Find("sk_protocol", "protocols are not known", notes);
  uid_ = sock_layout_.Find("sk_uid", "users are not known", notes);
  socket_ = sock_layout_.Find("sk_socket", "inodes of sockets are not known", notes);
  return {};
}

/// What modules define, or nobody uses, may be missing from BTF.
void SockReader::FindFamilies() {
  const auto find = [&](const char* type, const char* member) {
    const auto layout = Layout::Of(sources_.types, type);
    return layout.ok() ? layout.value().Find(member) : Field{};
  };
  old_state_ = find("struct inet_timewait_sock", "tw_substate");
  unix_address_ = find("struct unix_sock", "addr");
  unix_peer_ = find("struct unix_sock", "peer");
  name_bytes_ = find("struct unix_address", "len");
  const auto address = Layout::Of(sources_.types, "struct unix_address");
  if (address.ok()) name_ = {.offset = address.value().bytes(), .bytes = 1};
  port_id_ = find("struct netlink_sock", "portid");
  other_port_id_ = find("struct netlink_sock", "dst_portid");
  packet_type_ = find("struct packet_sock", "num");
  packet_interface_ = find("struct packet_sock", "ifindex");
  net_inode_ = find("struct net", "ns.inum");
  inode_ = find("struct socket_alloc", "vfs_inode");
  inode_number_ = find("struct inode", "i_ino");
}

uint64_t SockReader::Number(uint64_t at, const Field& field) {
  if (!field.known()) return 0;
  Record record;
  const uint64_t bytes = std::min<uint64_t>(field.bytes, 8);
  if (!record.Load(sources_.kernel, at + field.offset, bytes).ok()) return 0;
  return record.Unsigned(Field{.offset = 0, .bytes = bytes});
}

uint32_t SockReader::NamespaceOf(uint64_t net) {
  if (net == 0) return 0;
  const auto [known, is_new] = namespaces_.try_emplace(net, 0);
  if (is_new) known->second = static_cast<uint32_t>(Number(net, net_inode_));
  return known->second;
}

/// A struct socket and its inode are one struct socket_alloc (kernel: include/net/sock.h).
uint64_t SockReader::InodeOf(uint64_t socket) {
  if (socket == 0 || !inode_.known()) return 0;
  return Number(socket + inode_.offset, inode_number_);
}

void SockReader::DescribeInternet(const Record& common, bool six, SocketInfo& out) {
  const auto text = [&](const Field& field, int family) {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    const size_t bytes = family == AF_INET ? 4 : 16;
    if (field.bytes < bytes || field.offset + bytes > common.bytes().size()) return std::string();
    const char* done = inet_ntop(family, common.bytes().data() + field.offset, buffer.data(),
                                 static_cast<socklen_t>(buffer.size()));
    return std::string(done != nullptr ? done : "");
  };
  out.local = six ? text(local6_, AF_INET6) : text(local_, AF_INET);
  out.remote = six ? text(remote6_, AF_INET6) : text(remote_, AF_INET);
  out.local_port = static_cast<uint32_t>(common.Unsigned(number_));
  out.remote_port = Swapped(common.Unsigned(remote_port_));
}

std::string SockReader::UnixName(uint64_t sock) {
  constexpr uint64_t kFamilyBytes = 2;  // of sockaddr_un
  const uint64_t address = Number(sock, unix_address_);
  if (address == 0 || !name_.known()) return {};
  const uint64_t bytes = Number(address, name_bytes_);
  if (bytes <= kFamilyBytes) return {};
  std::string name(std::min(bytes - kFamilyBytes, kMaxUnixNameBytes), '\0');
  const uint64_t at = address + name_.offset + kFamilyBytes;
  if (!sources_.kernel.Read(at, std::as_writable_bytes(std::span(name))).ok()) return {};
  if (name.front() == '\0') {
    std::replace(name.begin(), name.end(), '\0', '@');  // as /proc/net/unix
  } else {
    name.resize(std::min(name.find('\0'), name.size()));
  }
  return name;
}

void SockReader::DescribeUnix(uint64_t sock, SocketInfo& out) {
  out.local = UnixName(sock);
  out.peer = Number(sock, unix_peer_);
  if (out.peer != 0) out.remote = UnixName(out.peer);
}

void SockReader::DescribeNetlink(uint64_t sock, SocketInfo& out) {
  out.local_port = static_cast<uint32_t>(Number(sock, port_id_));
  out.remote_port = static_cast<uint32_t>(Number(sock, other_port_id_));
}

void SockReader::DescribePacket(uint64_t sock, SocketInfo& out) {
  out.local_port = Swapped(Number(sock, packet_type_));
  out.remote_port = static_cast<uint32_t>(Number(sock, packet_interface_));
}

/// What is left of a connection, or not yet one: of a struct sock only the beginning.
Result<SocketInfo> SockReader::Remains(const Record& common, uint64_t state) {
  SocketInfo out;
  const bool six = common.Unsigned(family_) == kFamilyInternet6;
  out.address = common.address();
  out.protocol = six ? "tcp6" : "tcp";
  out.type = "stream";
  // FIN_WAIT2 without a socket is kept as TIME_WAIT is.
  const uint64_t before =
      state == kStateTimeWait ? Number(common.address(), old_state_) : uint64_t{0};
  out.state = NameOfNumber(kStates, before != 0 ? before : state, "state/");
  out.namespace_inode = NamespaceOf(common.Unsigned(net_));
  DescribeInternet(common, six, out);
  return out;
}

Result<SocketInfo> SockReader::Describe(uint64_t sock) {
  Record record;
  KCD_TRY(record.Load(sources_.kernel, sock, common_layout_.bytes()));
  const uint64_t family = record.Unsigned(family_);
  const uint64_t state = record.Unsigned(state_);
  const bool internet = family == kFamilyInternet || family == kFamilyInternet6;
  if (internet && (state == kStateTimeWait || state == kStateRequest)) {
    return Remains(record, state);
  }
  KCD_TRY(record.Load(sources_.kernel, sock, sock_layout_.bytes()));
  SocketInfo out;
  out.address = sock;
  const uint64_t type = record.Unsigned(type_);
  const uint64_t protocol = record.Unsigned(protocol_);
  out.type = type_.known() ? NameOfNumber(kTypes, type, "type/") : "";
  out.state = NameOfNumber(kStates, state, "state/");
  if (out.state == "CLOSE" && !(internet && protocol == kProtocolTcp)) out.state = "UNCONNECTED";
  if (uid_.known()) out.uid = static_cast<uint32_t>(record.Unsigned(uid_));
  out.namespace_inode = NamespaceOf(record.Unsigned(net_));
  out.inode = InodeOf(record.Unsigned(socket_));
  if (internet) {
    out.protocol = type == kTypeRaw ? "raw" : NameOfNumber(kProtocols, protocol, "inet/");
    if (family == kFamilyInternet6) out.protocol += "6";
    DescribeInternet(record, family == kFamilyInternet6, out);
    return out;
  }
  out.protocol = NameOfNumber(kFamilies, family, "family/");
  if (family == kFamilyUnix) DescribeUnix(sock, out);
  if (family == kFamilyNetlink) DescribeNetlink(sock, out);
  if (family == kFamilyNetlink) out.netlink_protocol = static_cast<uint32_t>(protocol);
  if (family == kFamilyPacket) DescribePacket(sock, out);
  return out;
}

}  // namespace kcoredump
