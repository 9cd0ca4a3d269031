// SPDX-License-Identifier: MIT
//
// The packets of GDB's remote serial protocol (GDB manual, appendix E.1): $content#checksum, and
// the bytes between packets. What arrives is hostile: nothing here grows with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kcoredump {

/// Most bytes of a packet's content, either way: what qSupported tells as PacketSize.
inline constexpr size_t kMaxPacketBytes = 16 << 10;

enum class PacketKind : uint8_t {
  kPacket,
  kAck,
  kNack,
  kInterrupt,  ///< the byte that Ctrl-C sends
  kBad,        ///< a wrong checksum, or too long
};

struct PacketEvent {
  PacketKind kind = PacketKind::kBad;
  std::string content = {};  ///< of a packet, as it was before it was escaped
};

/// Cuts what one client sends into packets. For one thread.
class PacketParser {
 public:
  /// Takes bytes off the front of `input`, up to the end of the next event, or all of them when
  /// there is none. Bytes between packets that mean nothing are passed over.
  [[nodiscard]] std::optional<PacketEvent> Next(std::string_view& input);

 private:
  enum class State : uint8_t { kBetween, kContent, kChecksumHigh, kChecksumLow };
  [[nodiscard]] std::optional<PacketEvent> Step(char byte);
  void AddContent(char byte);
  [[nodiscard]] PacketEvent Finish(char low);

  State state_ = State::kBetween;
  std::string content_;
  bool escaped_ = false;
  bool too_long_ = false;
  uint8_t sum_ = 0;
  char checksum_high_ = '0';
};

/// `content` as a packet. It must hold none of the bytes that AppendEscaped escapes, other than as
/// its escapes.
[[nodiscard]] std::string MakePacket(std::string_view content);

/// As binary data in a packet: '}' and the byte XOR 0x20 in place of '#', '$', '}' and '*'.
void AppendEscaped(std::string& content, std::string_view data);

[[nodiscard]] std::string HexOf(std::string_view bytes);
/// Nothing: an odd number of digits, or none.
[[nodiscard]] std::optional<std::string> FromHex(std::string_view digits);

/// A number in hexadecimal off the front of `text`, without 0x. Nothing: no digit, or too many.
[[nodiscard]] std::optional<uint64_t> TakeHex(std::string_view& text);
/// Whether `text` began with `prefix`, which is then gone.
[[nodiscard]] bool TakePrefix(std::string_view& text, std::string_view prefix);

}  // namespace kcoredump
