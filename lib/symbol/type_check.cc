// SPDX-License-Identifier: MIT
#include "symbol/type_check.h"

#include <linux/btf.h>

#include <array>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/try.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr uint32_t kHeaderBytes = 24;
constexpr unsigned kBtfKinds = 20;
constexpr uint32_t kVlenMask = 0xffff;
constexpr uint32_t kReservedInfoBits = 0x60ff0000;

/// What follows the 12 bytes that every type begins with, and where in it ids and names stand.
struct KindShape {
  uint8_t tail = 0;     ///< bytes once
  uint8_t item = 0;     ///< bytes for each of vlen items
  bool refers = false;  ///< the third word is a type, not a size
  bool item_name = false;
  int8_t item_type = -1;  ///< the offset of a type id in an item
  bool indexed = false;
};

constexpr std::array<KindShape, kBtfKinds> kShapes = {{
    {},                                                                // 0: none
    {.tail = 4, .indexed = true},                                      // INT
    {.refers = true},                                                  // PTR
    {.tail = 12},                                                      // ARRAY
    {.item = 12, .item_name = true, .item_type = 4, .indexed = true},  // STRUCT
    {.item = 12, .item_name = true, .item_type = 4, .indexed = true},  // UNION
    {.item = 8, .item_name = true, .indexed = true},                   // ENUM
    {},                                                                // FWD
    {.refers = true, .indexed = true},                                 // TYPEDEF
    {.refers = true},                                                  // VOLATILE
    {.refers = true},                                                  // CONST
    {.refers = true},                                                  // RESTRICT
    {.refers = true},                                                  // FUNC
    {.item = 8, .refers = true, .item_name = true, .item_type = 4},    // FUNC_PROTO
    {.tail = 4, .refers = true},                                       // VAR
    {.item = 12, .item_type = 0},                                      // DATASEC
    {.indexed = true},                                                 // FLOAT
    {.tail = 4, .refers = true},                                       // DECL_TAG
    {.refers = true},                                                  // TYPE_TAG
    {.item = 12, .item_name = true, .indexed = true},                  // ENUM64
}};

constexpr unsigned kKindArray = 3;
constexpr unsigned kKindEnum = 6;
constexpr unsigned kKindEnum64 = 19;

struct TypeHeader {
  uint32_t name = 0;
  uint32_t info = 0;
  uint32_t size_or_type = 0;
};

uint32_t WordAt(std::span<const std::byte> bytes, size_t offset) {
  uint32_t word = 0;
  std::memcpy(&word, bytes.data() + offset, sizeof(word));
  return word;
}

Error CorruptBtf(std::string what) { return Corrupt("BTF: " + std::move(what)); }

/// The two sections of a blob, in bounds.
struct Sections {
  std::span<const std::byte> types;
  std::span<const std::byte> strings;
  bool plain = false;  ///< laid out as libbpf 1.1.2 takes it
};

Result<std::span<const std::byte>> Section(std::span<const std::byte> blob,
                                           const btf_header& header, uint32_t offset,
                                           uint32_t length, const char* name) {
  const uint64_t begin = uint64_t{header.hdr_len} + offset;
  if (begin > blob.size() || length > blob.size() - begin) {
    return CorruptBtf(std::string("its ") + name + " (" + std::to_string(length) + " bytes at " +
                      Hex(begin) + ") lie past its end, " + std::to_string(blob.size()) + " bytes");
  }
  return blob.subspan(begin, length);
}

Result<Sections> FindSections(std::span<const std::byte> blob) {
  const auto header = ByteReader(blob).Read<btf_header>();
  if (!header) return CorruptBtf("shorter than its header");
  if (header->magic == __builtin_bswap16(BTF_MAGIC)) {
    return MakeError(ErrorCode::kUnsupported, "BTF of the other byte order");
  }
  if (header->magic != BTF_MAGIC) return CorruptBtf("no BTF: its first bytes are not BTF's");
  if (header->version != BTF_VERSION) {
    return MakeError(ErrorCode::kUnsupported,
                     "BTF version " + std::to_string(header->version) + " is not known");
  }
  if (header->hdr_len < kHeaderBytes || header->hdr_len > blob.size()) {
    return CorruptBtf("its header says it is " + std::to_string(header->hdr_len) + " bytes long");
  }
  Sections found;
  KCD_ASSIGN(found.types, Section(blob, *header, header->type_off, header->type_len, "types"));
  KCD_ASSIGN(found.strings, Section(blob, *header, header->str_off, header->str_len, "names"));
  found.plain = header->hdr_len == kHeaderBytes && header->type_off == 0 &&
                header->str_off == header->type_len &&
                blob.size() == uint64_t{kHeaderBytes} + header->str_off + header->str_len;
  return found;
}

/// One pass over the types. Ids are held against the count at the end, when it is known.
class TypePass {
 public:
  TypePass(const BtfBase& base, uint32_t string_bytes, CheckedBtf& out)
      : names_end_(uint64_t{base.string_bytes} + string_bytes), out_(out) {
    out_.type_count = base.type_count;
  }

  Status Run(std::span<const std::byte> types) {
    ByteReader reader(types);
    while (reader.remaining() != 0) {
      if (out_.type_count >= kMaxBtfTypes) {
        return MakeError(ErrorCode::kLimitExceeded,
                         "BTF of more than " + Grouped(kMaxBtfTypes) + " types");
      }
      KCD_TRY(CheckType(reader));
      ++out_.type_count;
    }
    if (highest_id_ < out_.type_count) return {};
    return CorruptBtf("type " + std::to_string(highest_from_) + " refers to type " +
                      std::to_string(highest_id_) + " of " + std::to_string(out_.type_count));
  }

 private:
  [[nodiscard]] std::string Here() const { return "type " + std::to_string(out_.type_count); }

  void SeeId(uint32_t id) {
    if (id <= highest_id_) return;
    highest_id_ = id;
    highest_from_ = out_.type_count;
  }

  [[nodiscard]] Status CheckName(uint32_t offset) const {
    if (offset < names_end_) return {};
    return CorruptBtf(Here() + " has a name at " + Hex(offset) + ", past all names");
  }

  Status CheckType(ByteReader& reader) {
    const auto header = reader.Read<TypeHeader>();
    if (!header) return CorruptBtf(Here() + " is cut off");
    const unsigned kind = (header->info >> 24) & 0x1f;
    if (kind >= kBtfKinds || (header->info & kReservedInfoBits) != 0) {
      return MakeError(ErrorCode::kUnsupported,
                       "BTF: " + Here() + " is of kind " + std::to_string(kind) + " (info " +
                           Hex(header->info) + "), which is not known; the newest known is 19");
    }
    if (kind == 0) return CorruptBtf(Here() + " is of no kind");
    const KindShape& shape = kShapes[kind];
    KCD_TRY(CheckName(header->name));
    if (shape.refers) SeeId(header->size_or_type);
    const auto tail = reader.Take(shape.tail);
    const uint32_t items = shape.item == 0 ? 0 : header->info & kVlenMask;
    const auto list = reader.Take(uint64_t{items} * shape.item);
    if (!tail || !list) {
      return CorruptBtf(Here() + " has " + std::to_string(items) +
                        " members and ends past all types");
    }
    if (kind == kKindArray) {
      SeeId(WordAt(*tail, 0));
      SeeId(WordAt(*tail, 4));
    }
    if (shape.indexed && header->name != 0) out_.named.push_back(out_.type_count);
    if (kind == kKindEnum || kind == kKindEnum64) out_.enums.push_back(out_.type_count);
    return CheckItems(shape, *list);
  }

  Status CheckItems(const KindShape& shape, std::span<const std::byte> list) {
    for (size_t at = 0; at < list.size(); at += shape.item) {
      if (shape.item_name) KCD_TRY(CheckName(WordAt(list, at)));
      if (shape.item_type >= 0) SeeId(WordAt(list, at + static_cast<size_t>(shape.item_type)));
    }
    return {};
  }

  uint64_t names_end_;
  CheckedBtf& out_;
  uint32_t highest_id_ = 0;
  uint32_t highest_from_ = 0;
};

void Rebuild(const Sections& sections, CheckedBtf& out) {
  btf_header header{};
  header.magic = BTF_MAGIC;
  header.version = BTF_VERSION;
  header.hdr_len = kHeaderBytes;
  header.type_len = static_cast<uint32_t>(sections.types.size());
  header.str_off = header.type_len;
  header.str_len = static_cast<uint32_t>(sections.strings.size());
  ByteWriter writer;
  writer.Write(header);
  writer.Append(sections.types);
  writer.Append(sections.strings);
  out.rebuilt = std::move(writer.bytes());
  out.bytes = out.rebuilt;
}

}  // namespace

Result<CheckedBtf> CheckBtf(std::span<const std::byte> blob, const BtfBase& base) {
  if (blob.size() > kMaxBtfBytes) {
    return MakeError(ErrorCode::kLimitExceeded, "BTF of " + HumanBytes(blob.size()));
  }
  KCD_ASSIGN(const Sections sections, FindSections(blob));
  const bool split = base.string_bytes != 0;
  if (sections.strings.empty() ? !split : sections.strings.back() != std::byte{0}) {
    return CorruptBtf("its names do not end with a NUL");
  }
  if (!split && sections.strings.front() != std::byte{0}) {
    return CorruptBtf("its first name is not empty");
  }
  CheckedBtf out;
  out.bytes = blob;
  out.string_bytes = static_cast<uint32_t>(sections.strings.size());
  KCD_TRY(TypePass(base, out.string_bytes, out).Run(sections.types));
  if (!sections.plain) Rebuild(sections, out);
  return out;
}

}  // namespace kcoredump
