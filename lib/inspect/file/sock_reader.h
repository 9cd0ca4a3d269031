// SPDX-License-Identifier: MIT
//
// What a struct sock tells of itself, by its family.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "inspect/task/tasks.h"
#include "kcoredump/sockets.h"
#include "symbol/record.h"

namespace kcoredump {

/// For one thread. `sources` must outlive it.
class SockReader {
 public:
  /// kNotFound: this kernel lacks struct sock or struct sock_common.
  [[nodiscard]] static Result<SockReader> Create(const TaskSources& sources, Findings& findings);

  /// Without owners. kUnreadable.
  [[nodiscard]] Result<SocketInfo> Describe(uint64_t sock);

 private:
  SockReader(const TaskSources& sources, Layout sock, Layout common)
      : sources_(sources), sock_layout_(std::move(sock)), common_layout_(std::move(common)) {}
  [[nodiscard]] Status FindFields(Findings& findings);
  void FindFamilies();
  [[nodiscard]] Result<SocketInfo> Remains(const Record& common, uint64_t state);
  void DescribeInternet(const Record& common, bool six, SocketInfo& out);
  void DescribeUnix(uint64_t sock, SocketInfo& out);
  void DescribeNetlink(uint64_t sock, SocketInfo& out);
  void DescribePacket(uint64_t sock, SocketInfo& out);
  [[nodiscard]] std::string UnixName(uint64_t sock);
  [[nodiscard]] uint32_t NamespaceOf(uint64_t net);
  [[nodiscard]] uint64_t InodeOf(uint64_t socket);
  [[nodiscard]] uint64_t Number(uint64_t at, const Field& field);

  const TaskSources& sources_;
  Layout sock_layout_;
  Layout common_layout_;
  Field family_, state_, number_, remote_port_, local_, remote_, local6_, remote6_,
      net_;                                            ///< of sock_common
  Field type_, protocol_, uid_, socket_;               ///< of sock
  Field old_state_;                                    ///< of inet_timewait_sock
  Field unix_address_, unix_peer_;                     ///< of unix_sock
  Field name_bytes_, name_;                            ///< of unix_address
  Field port_id_, other_port_id_;                      ///< of netlink_sock
  Field packet_type_, packet_interface_;               ///< of packet_sock
  Field net_inode_;                                    ///< of net
  Field inode_, inode_number_;                         ///< of socket_alloc, of inode
  std::unordered_map<uint64_t, uint32_t> namespaces_;  ///< inode by struct net
};

}  // namespace kcoredump
