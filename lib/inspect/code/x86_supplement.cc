// SPDX-License-Identifier: MIT
#include "inspect/code/x86_supplement.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace kcoredump {

namespace {

constexpr size_t kMaxBytes = 15;
/// Opcode maps, by the byte after 0f; the one of two bytes has none.
constexpr uint8_t kMap0f = 0;
constexpr uint8_t kMap38 = 0x38;

enum class Operands : uint8_t {
  kNone,
  kRegister,  ///< ModRM names one; its reg field is part of the opcode
  kQuad,      ///< likewise, always of 64 bits
  kTwin,      ///< as those of the opcode `twin` of the same map, without mandatory prefix
};

struct Row {
  uint8_t prefix;  ///< the mandatory one: 0, 0x66, 0xf2, 0xf3
  uint8_t map;
  uint8_t opcode;
  uint8_t mask;  ///< of ModRM
  uint8_t modrm;
  Operands operands;
  uint8_t twin;
  std::string_view mnemonic;
};

constexpr Row Plain(uint8_t prefix, uint8_t opcode, uint8_t modrm, std::string_view mnemonic) {
  return {prefix, kMap0f, opcode, 0xff, modrm, Operands::kNone, 0, mnemonic};
}
/// 0f `opcode` with /digit and a register.
constexpr Row OnRegister(uint8_t prefix, uint8_t opcode, unsigned digit,
                         std::string_view mnemonic) {
  const auto modrm = static_cast<uint8_t>(0xc0 | digit << 3);
  return {prefix, kMap0f, opcode, 0xf8, modrm, Operands::kRegister, 0, mnemonic};
}
constexpr Row Like(uint8_t prefix, uint8_t map, uint8_t opcode, uint8_t twin,
                   std::string_view mnemonic) {
  return {prefix, map, opcode, 0, 0, Operands::kTwin, twin, mnemonic};
}

constexpr uint8_t kImul = 0xaf;   ///< 0f af /r: register, register or memory
constexpr uint8_t kMovbe = 0xf1;  ///< 0f 38 f1 /r: memory, register
constexpr uint8_t kInvpcid = 0x82;

constexpr std::array kRows = {
    Plain(0, 0x01, 0xc5, "pconfig"),
    Plain(0, 0x01, 0xc6, "wrmsrns"),
    Plain(0xf2, 0x01, 0xc6, "rdmsrlist"),
    Plain(0xf3, 0x01, 0xc6, "wrmsrlist"),
    Plain(0xf2, 0x01, 0xca, "erets"),
    Plain(0xf3, 0x01, 0xca, "eretu"),
    Plain(0x66, 0x01, 0xcc, "tdcall"),
    Plain(0x66, 0x01, 0xcd, "seamret"),
    Plain(0x66, 0x01, 0xce, "seamops"),
    Plain(0x66, 0x01, 0xcf, "seamcall"),
    Plain(0xf3, 0x01, 0xd9, "vmgexit"),
    Plain(0, 0x01, 0xe8, "serialize"),
    Plain(0xf2, 0x01, 0xe8, "xsusldtrk"),
    Plain(0xf3, 0x01, 0xe8, "setssbsy"),
    Plain(0xf2, 0x01, 0xe9, "xresldtrk"),
    Plain(0xf3, 0x01, 0xea, "saveprevssp"),
    Plain(0, 0x01, 0xee, "rdpkru"),
    Plain(0, 0x01, 0xef, "wrpkru"),
    Plain(0, 0x01, 0xfa, "monitorx"),
    Plain(0xf3, 0x01, 0xfa, "mcommit"),
    Plain(0, 0x01, 0xfb, "mwaitx"),
    Plain(0, 0x01, 0xfc, "clzero"),
    Plain(0, 0x01, 0xfd, "rdpru"),
    Plain(0, 0x01, 0xfe, "invlpgb"),
    Plain(0xf2, 0x01, 0xfe, "rmpupdate"),
    Plain(0xf3, 0x01, 0xfe, "rmpadjust"),
    Plain(0, 0x01, 0xff, "tlbsync"),
    Plain(0xf2, 0x01, 0xff, "pvalidate"),
    Plain(0xf3, 0x01, 0xff, "psmash"),
    OnRegister(0xf2, 0x00, 6, "lkgs"),
    OnRegister(0xf3, 0x1e, 1, "rdssp"),
    OnRegister(0xf3, 0xae, 4, "ptwrite"),
    OnRegister(0xf3, 0xae, 5, "incssp"),
    OnRegister(0x66, 0xae, 6, "tpause"),
    OnRegister(0xf2, 0xae, 6, "umwait"),
    OnRegister(0xf3, 0xae, 6, "umonitor"),
    Row{0xf3, kMap0f, 0xc7, 0xf8, 0xf8, Operands::kQuad, 0, "rdpid"},
    Like(0, kMap0f, 0xb9, kImul, "ud1"),
    Like(0, kMap0f, 0xff, kImul, "ud0"),
    Like(0x66, kMap38, 0xf5, kMovbe, "wruss"),
    Like(0, kMap38, 0xf6, kMovbe, "wrss"),
    Like(0, kMap38, 0xf9, kMovbe, "movdiri"),
    Like(0x66, kMap38, 0xf8, kInvpcid, "movdir64b"),
    Like(0xf2, kMap38, 0xf8, kInvpcid, "enqcmd"),
    Like(0xf3, kMap38, 0xf8, kInvpcid, "enqcmds"),
};

bool IsLegacyPrefix(uint8_t byte) {
  static constexpr std::array<uint8_t, 11> kPrefixes = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                                        0x66, 0x67, 0xf0, 0xf2, 0xf3};
  return std::find(kPrefixes.begin(), kPrefixes.end(), byte) != kPrefixes.end();
}

/// The ModRM byte and what it asks for in 64-bit mode: SIB and displacement. Nothing: cut off.
struct ModRm {
  uint8_t byte = 0;
  size_t bytes = 0;
};
std::optional<ModRm> ReadModRm(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  const auto modrm = reader.Read<uint8_t>();
  if (!modrm) return std::nullopt;
  const unsigned mod = *modrm >> 6;
  const unsigned rm = *modrm & 7;
  size_t displacement = mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 5) ? 4 : 0;
  if (mod != 3 && rm == 4) {
    const auto sib = reader.Read<uint8_t>();
    if (!sib) return std::nullopt;
    if (mod == 0 && (*sib & 7) == 5) displacement = 4;
  }
  if (!reader.Take(displacement)) return std::nullopt;
  return ModRm{*modrm, bytes.size() - reader.remaining()};
}

/// Prefixes and opcode of an instruction of the maps 0f and 0f 38.
struct Opcode {
  std::span<const std::byte> prefixes;  ///< legacy ones
  std::optional<uint8_t> rex;
  uint8_t mandatory = 0;
  uint8_t map = kMap0f;
  uint8_t opcode = 0;
  std::span<const std::byte> rest;  ///< from ModRM on
};

std::optional<Opcode> ReadOpcode(std::span<const std::byte> bytes) {
  Opcode out;
  ByteReader reader(bytes.first(std::min(bytes.size(), kMaxBytes)));
  auto byte = reader.Read<uint8_t>();
  size_t prefixes = 0;
  for (; byte && IsLegacyPrefix(*byte); byte = reader.Read<uint8_t>()) {
    ++prefixes;
    if (*byte == 0xf2 || *byte == 0xf3) out.mandatory = *byte;
    if (*byte == 0x66 && out.mandatory == 0) out.mandatory = *byte;
  }
  out.prefixes = bytes.first(prefixes);
  if (byte && (*byte & 0xf0) == 0x40) {
    out.rex = byte;
    byte = reader.Read<uint8_t>();
  }
  if (byte != uint8_t{0x0f}) return std::nullopt;
  byte = reader.Read<uint8_t>();
  if (byte == kMap38) {
    out.map = kMap38;
    byte = reader.Read<uint8_t>();
  }
  if (!byte) return std::nullopt;
  out.opcode = *byte;
  out.rest = *reader.Take(reader.remaining());
  return out;
}

bool Matches(const Row& row, const Opcode& opcode, uint8_t modrm) {
  const bool memory_only = row.map == kMap38;
  return row.map == opcode.map && row.opcode == opcode.opcode && row.prefix == opcode.mandatory &&
         (modrm & row.mask) == row.modrm && (!memory_only || modrm >> 6 != 3);
}

std::vector<std::byte> TwinOf(const Row& row, const Opcode& opcode, const ModRm& modrm) {
  std::vector<std::byte> twin;
  if (row.operands == Operands::kNone) return twin;
  for (const std::byte prefix : opcode.prefixes) {
    const auto value = std::to_integer<uint8_t>(prefix);
    if (value != 0x66 && value != 0xf2 && value != 0xf3) twin.push_back(prefix);
  }
  // invpcid's own mandatory prefix.
  if (row.map == kMap38 && row.twin == kInvpcid) twin.push_back(std::byte{0x66});
  const auto rex = static_cast<uint8_t>(opcode.rex.value_or(0x40) |
                                        (row.operands == Operands::kQuad ? 0x08 : 0));
  if (rex != 0x40) twin.push_back(std::byte{rex});
  twin.push_back(std::byte{0x0f});
  if (row.operands != Operands::kTwin) {
    twin.push_back(static_cast<std::byte>(0xc8 | (modrm.byte & 7)));  // bswap
    return twin;
  }
  if (row.map == kMap38) twin.push_back(std::byte{kMap38});
  twin.push_back(std::byte{row.twin});
  const auto operands = opcode.rest.first(modrm.bytes);
  twin.insert(twin.end(), operands.begin(), operands.end());
  return twin;
}

/// Whether an opcode of map 0f with a VEX or EVEX prefix carries a byte of immediate.
bool Map0fHasImmediate(uint8_t opcode) {
  return (opcode >= 0x70 && opcode <= 0x73) || (opcode >= 0xc2 && opcode <= 0xc6 && opcode != 0xc3);
}

}  // namespace

std::optional<SupplementInstruction> FindX86Supplement(std::span<const std::byte> bytes) {
  if (!bytes.empty() && bytes[0] == std::byte{0xd6}) {
    return SupplementInstruction{.mnemonic = "udb", .bytes = 1, .twin = {}};
  }
  const auto opcode = ReadOpcode(bytes);
  if (!opcode) return std::nullopt;
  const auto before = static_cast<size_t>(opcode->rest.data() - bytes.data());
  if (opcode->map == kMap0f && opcode->opcode == 0x09 && opcode->mandatory == 0xf3) {
    return SupplementInstruction{.mnemonic = "wbnoinvd", .bytes = before, .twin = {}};
  }
  const auto modrm = ReadModRm(opcode->rest);
  if (!modrm) return std::nullopt;
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& candidate) {
    return Matches(candidate, *opcode, modrm->byte);
  });
  if (row == kRows.end()) return std::nullopt;
  return SupplementInstruction{.mnemonic = row->mnemonic,
                               .bytes = before + modrm->bytes,
                               .twin = TwinOf(*row, *opcode, *modrm)};
}

std::optional<size_t> X86VectorLength(std::span<const std::byte> bytes) {
  ByteReader reader(bytes.first(std::min(bytes.size(), kMaxBytes)));
  const auto first = reader.Read<uint8_t>();
  const auto second = reader.Read<uint8_t>();
  if (!first || !second) return std::nullopt;
  unsigned map = 1;
  const bool evex = *first == 0x62;
  if (evex || *first == 0xc4) {
    map = *second & (evex ? 7 : 0x1f);
    if (!reader.Take(evex ? 2 : 1)) return std::nullopt;
  } else if (*first != 0xc5) {
    return std::nullopt;
  }
  // Maps 4 and 7 are of instructions that no kernel has (APX).
  if (map != 1 && map != 2 && map != 3 && map != 5 && map != 6) return std::nullopt;
  const auto opcode = reader.Read<uint8_t>();
  if (!opcode) return std::nullopt;
  const auto rest = reader.Take(reader.remaining());
  const auto modrm = ReadModRm(*rest);
  const bool immediate = map == 3 || (map == 1 && Map0fHasImmediate(*opcode));
  const size_t tail = modrm ? modrm->bytes + (immediate ? 1 : 0) : 0;
  if (!modrm || tail > rest->size()) return std::nullopt;
  return bytes.first(std::min(bytes.size(), kMaxBytes)).size() - rest->size() + tail;
}

}  // namespace kcoredump
