// SPDX-License-Identifier: MIT
//
// Symbols and types.
#include <memory>

#include "abi/handles.h"
#include "base/try.h"
#include "inspect/session.h"
#include "kcoredump/print.h"
#include "kcoredump/symbols.h"

struct kcd_symbols {
  std::vector<kcoredump::SymbolAnswer> symbols;
  std::string notes;
  bool incomplete = false;
};

namespace kcoredump::abi {

namespace {

PrintOptions DepthOf(unsigned depth) {
  PrintOptions options;
  options.depth = std::clamp(depth, 1U, kMaxPrintDepth);
  return options;
}

}  // namespace

}  // namespace kcoredump::abi

using namespace kcoredump;
using abi::Guarded;
using abi::NullArgument;

int kcd_symbols_find(kcd_image* image, const char* query, size_t max, kcd_symbols** symbols,
                     kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || query == nullptr || symbols == nullptr) {
      return NullArgument("image, query or symbols");
    }
    *symbols = nullptr;
    const std::lock_guard hold(image->lock);
    KCD_ASSIGN(auto found, FindSymbols(image->kernel, {query}, {.max_matches = max}));
    auto made = std::make_unique<kcd_symbols>();
    made->symbols = std::move(found.symbols);
    made->notes = abi::Lines(found.findings.notes);
    made->incomplete = found.findings.incomplete;
    *symbols = made.release();
    return {};
  });
}

size_t kcd_symbols_count(const kcd_symbols* symbols) {
  return symbols == nullptr ? 0 : symbols->symbols.size();
}

int kcd_symbols_get(const kcd_symbols* symbols, size_t index, kcd_symbol* symbol,
                    kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (index >= kcd_symbols_count(symbols)) return InvalidArgument("no such symbol in the list");
    const SymbolAnswer& found = symbols->symbols[index];
    return abi::FillStruct(symbol,
                           {.size = 0,
                            .name = found.name.c_str(),
                            .module = found.module.c_str(),
                            .address = found.address,
                            .offset = found.offset,
                            .bytes = found.size.value_or(KCD_UNKNOWN),
                            .type = found.type},
                           "symbol");
  });
}

const char* kcd_symbols_notes(const kcd_symbols* symbols) {
  return symbols == nullptr ? "" : symbols->notes.c_str();
}

int kcd_symbols_incomplete(const kcd_symbols* symbols) {
  return symbols != nullptr && symbols->incomplete ? 1 : 0;
}

void kcd_symbols_free(kcd_symbols* symbols) { delete symbols; }

int kcd_resolve(kcd_image* image, const char* where, kcd_address* address, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || where == nullptr || address == nullptr) {
      return NullArgument("image, where or address");
    }
    const std::lock_guard hold(image->lock);
    KCD_ASSIGN(const Target target, image->kernel.Resolve(where));
    static_assert(static_cast<int>(Target::Space::kPhysical) == KCD_PHYSICAL &&
                  static_cast<int>(Target::Space::kKernel) == KCD_KERNEL &&
                  static_cast<int>(Target::Space::kProcess) == KCD_PROCESS);
    *address = {target.address, static_cast<uint32_t>(target.space), target.pid};
    return {};
  });
}

int64_t kcd_symbolize(kcd_image* image, uint64_t address, char* text, size_t capacity,
                      kcd_error* error) {
  int64_t length = 0;
  const int status = Guarded(error, [&]() -> Status {
    if (image == nullptr || (text == nullptr && capacity != 0)) {
      return NullArgument("image or text");
    }
    const std::lock_guard hold(image->lock);
    const std::string found = image->kernel.Symbolize(address);
    length = static_cast<int64_t>(found.size());
    if (capacity == 0) return {};
    const size_t kept = std::min(found.size(), capacity - 1);
    std::memcpy(text, found.data(), kept);
    text[kept] = '\0';
    return {};
  });
  return status == KCD_OK ? length : status;
}

int kcd_type_size(kcd_image* image, const char* type, uint64_t* bytes, kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || type == nullptr || bytes == nullptr) {
      return NullArgument("image, type or bytes");
    }
    const std::lock_guard hold(image->lock);
    KCD_ASSIGN(const TypeCatalog* types, image->kernel.session().Types());
    KCD_ASSIGN(*bytes, types->SizeOf(std::string_view(type)));
    return {};
  });
}

int kcd_type_member(kcd_image* image, const char* type, const char* path, kcd_member* member,
                    kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || type == nullptr || path == nullptr) {
      return NullArgument("image, type or path");
    }
    const std::lock_guard hold(image->lock);
    KCD_ASSIGN(const TypeCatalog* types, image->kernel.session().Types());
    KCD_ASSIGN(const MemberRef found, types->Member(type, path));
    return abi::FillStruct(member,
                           {.size = 0,
                            .bit_offset = found.bit_offset,
                            .bytes = found.size_bytes,
                            .bitfield_bits = found.bitfield_bits,
                            .reserved = 0},
                           "member");
  });
}

int kcd_value_json(kcd_image* image, const char* expression, unsigned depth, char** json,
                   kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || expression == nullptr || json == nullptr) {
      return NullArgument("image, expression or json");
    }
    *json = nullptr;
    const std::lock_guard hold(image->lock);
    KCD_ASSIGN(const auto answer, ReadValue(image->kernel, expression, abi::DepthOf(depth)));
    *json = abi::CopyText(ToJson(answer));
    return {};
  });
}

int kcd_layout_json(kcd_image* image, const char* expression, unsigned depth, char** json,
                    kcd_error* error) {
  return Guarded(error, [&]() -> Status {
    if (image == nullptr || expression == nullptr || json == nullptr) {
      return NullArgument("image, expression or json");
    }
    *json = nullptr;
    const std::lock_guard hold(image->lock);
    KCD_ASSIGN(const auto answer, ReadLayout(image->kernel, expression, abi::DepthOf(depth)));
    *json = abi::CopyText(ToJson(answer));
    return {};
  });
}
