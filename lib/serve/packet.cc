// SPDX-License-Identifier: MIT
#include "serve/packet.h"

#include <charconv>

namespace kcoredump {

namespace {

constexpr char kInterruptByte = 0x03;
constexpr char kEscape = '}';
constexpr char kEscapeBit = 0x20;
constexpr std::string_view kDigits = "0123456789abcdef";

std::optional<uint8_t> DigitOf(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<uint8_t>(digit - '0');
  if (digit >= 'a' && digit <= 'f') return static_cast<uint8_t>(digit - 'a' + 10);
  if (digit >= 'A' && digit <= 'F') return static_cast<uint8_t>(digit - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::optional<PacketEvent> PacketParser::Next(std::string_view& input) {
  while (!input.empty()) {
    const char byte = input.front();
    input.remove_prefix(1);
    if (auto event = Step(byte)) return event;
  }
  return std::nullopt;
}

std::optional<PacketEvent> PacketParser::Step(char byte) {
  switch (state_) {
    case State::kBetween:
      if (byte == '+') return PacketEvent{.kind = PacketKind::kAck};
      if (byte == '-') return PacketEvent{.kind = PacketKind::kNack};
      if (byte == kInterruptByte) return PacketEvent{.kind = PacketKind::kInterrupt};
      if (byte == '$') AddContent(byte);
      return std::nullopt;
    case State::kContent:
      if (byte == '#') {
        state_ = State::kChecksumHigh;
      } else {
        AddContent(byte);
      }
      return std::nullopt;
    case State::kChecksumHigh:
      checksum_high_ = byte;
      state_ = State::kChecksumLow;
      return std::nullopt;
    case State::kChecksumLow:
      state_ = State::kBetween;
      return Finish(byte);
  }
  return std::nullopt;
}

/// A '$' begins a packet anew wherever it stands: the one before was cut off.
void PacketParser::AddContent(char byte) {
  if (byte == '$') {
    state_ = State::kContent;
    content_.clear();
    escaped_ = too_long_ = false;
    sum_ = 0;
    return;
  }
  sum_ = static_cast<uint8_t>(sum_ + static_cast<uint8_t>(byte));
  if (!escaped_ && byte == kEscape) {
    escaped_ = true;
    return;
  }
  if (content_.size() == kMaxPacketBytes) too_long_ = true;
  if (!too_long_) content_ += escaped_ ? static_cast<char>(byte ^ kEscapeBit) : byte;
  escaped_ = false;
}

PacketEvent PacketParser::Finish(char low) {
  const auto first = DigitOf(checksum_high_);
  const auto second = DigitOf(low);
  const bool sound = first && second && (*first << 4 | *second) == sum_ && !too_long_;
  PacketEvent event;
  if (sound) event = {.kind = PacketKind::kPacket, .content = std::move(content_)};
  content_.clear();
  return event;
}

std::string MakePacket(std::string_view content) {
  uint8_t sum = 0;
  for (const char byte : content) sum = static_cast<uint8_t>(sum + static_cast<uint8_t>(byte));
  std::string packet = "$";
  packet.append(content);
  packet += '#';
  packet += kDigits[sum >> 4];
  packet += kDigits[sum & 0xf];
  return packet;
}

void AppendEscaped(std::string& content, std::string_view data) {
  for (const char byte : data) {
    if (byte == '#' || byte == '$' || byte == kEscape || byte == '*') {
      content += kEscape;
      content += static_cast<char>(byte ^ kEscapeBit);
    } else {
      content += byte;
    }
  }
}

std::string HexOf(std::string_view bytes) {
  std::string digits;
  digits.reserve(2 * bytes.size());
  for (const char byte : bytes) {
    digits += kDigits[static_cast<uint8_t>(byte) >> 4];
    digits += kDigits[static_cast<uint8_t>(byte) & 0xf];
  }
  return digits;
}

std::optional<std::string> FromHex(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(digits.size() / 2);
  for (size_t i = 0; i < digits.size(); i += 2) {
    const auto high = DigitOf(digits[i]);
    const auto low = DigitOf(digits[i + 1]);
    if (!high || !low) return std::nullopt;
    bytes += static_cast<char>(*high << 4 | *low);
  }
  return bytes;
}

std::optional<uint64_t> TakeHex(std::string_view& text) {
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return value;
}

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace kcoredump
