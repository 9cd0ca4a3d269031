// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/sockets.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

std::string EndText(const SocketInfo& socket, const std::string& address, uint32_t port) {
  if (socket.protocol == "unix") return address.empty() ? "-" : address;
  if (socket.protocol == "netlink" || socket.protocol == "packet") {
    return port == 0 ? "-" : std::to_string(port);
  }
  if (address.empty()) return "-";
  const std::string host = address.find(':') == std::string::npos ? address : "[" + address + "]";
  return host + ":" + (port == 0 ? "*" : std::to_string(port));
}

/// "sshd/411:3,sshd/412:3"
std::string OwnerText(const SocketInfo& socket) {
  std::string text;
  for (const SocketOwner& owner : socket.owners) {
    text += (text.empty() ? "" : ",") + owner.comm + "/" + std::to_string(owner.pid) + ":" +
            std::to_string(owner.descriptor);
  }
  return text.empty() ? "-" : text;
}

std::string ProtocolText(const SocketInfo& socket) {
  return socket.protocol == "netlink"
             ? socket.protocol + "/" + std::to_string(socket.netlink_protocol)
             : socket.protocol;
}

ordered_json SocketJson(const SocketInfo& socket) {
  ordered_json owners = ordered_json::array();
  for (const SocketOwner& owner : socket.owners) {
    owners.push_back({{"pid", owner.pid}, {"descriptor", owner.descriptor}, {"comm", owner.comm}});
  }
  return {{"protocol", socket.protocol},
          {"type", TextOrNull(socket.type)},
          {"state", socket.state},
          {"local", TextOrNull(socket.local)},
          {"local_port", socket.local_port},
          {"remote", TextOrNull(socket.remote)},
          {"remote_port", socket.remote_port},
          {"netlink_protocol", socket.protocol == "netlink" ? ordered_json(socket.netlink_protocol)
                                                            : ordered_json(nullptr)},
          {"inode", socket.inode == 0 ? ordered_json(nullptr) : ordered_json(socket.inode)},
          {"uid", socket.uid ? ordered_json(*socket.uid) : ordered_json(nullptr)},
          {"namespace", socket.namespace_inode == 0 ? ordered_json(nullptr)
                                                    : ordered_json(socket.namespace_inode)},
          {"owners", std::move(owners)},
          {"listed", socket.listed},
          {"address", HexAddress(socket.address)},
          {"peer", AddressOrNull(socket.peer)}};
}

}  // namespace

std::string ToText(const SocketList& list, const TextStyle& style) {
  Table table({{"PROTO", false},
               {"TYPE", false},
               {"STATE", false},
               {"LOCAL", false},
               {"REMOTE", false},
               {"INODE", true},
               {"UID", true},
               {"PROCESS", false}});
  for (const SocketInfo& socket : list.sockets) {
    table.AddRow({ProtocolText(socket), socket.type, socket.state,
                  EndText(socket, socket.local, socket.local_port),
                  EndText(socket, socket.remote, socket.remote_port),
                  socket.inode == 0 ? "-" : std::to_string(socket.inode),
                  socket.uid ? std::to_string(*socket.uid) : "-", OwnerText(socket)});
  }
  return table.Text(style);
}

std::string ToJson(const SocketList& list) {
  ordered_json sockets = ordered_json::array();
  for (const SocketInfo& socket : list.sockets) sockets.push_back(SocketJson(socket));
  return JsonText({{"sockets", std::move(sockets)},
                   {"notes", list.findings.notes},
                   {"incomplete", list.findings.incomplete}});
}

}  // namespace kcoredump
