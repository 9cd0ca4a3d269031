// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/try.h"
#include "inspect/json_text.h"
#include "inspect/session.h"
#include "inspect/table.h"
#include "kcoredump/symbols.h"
#include "kcoredump/text.h"
#include "symbol/glob.h"

namespace kcoredump {

namespace {

using nlohmann::ordered_json;

constexpr size_t kAddressDigits = 16;

struct Query {
  enum class Kind : uint8_t { kAddress, kName, kGlob };
  Kind kind = Kind::kName;
  uint64_t address = 0;
  std::string_view name;  ///< or the glob
  uint64_t offset = 0;    ///< to be added, modulo 2^64
};

std::optional<uint64_t> Number(std::string_view text, int base) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<uint64_t> DecimalOrHex(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) return Number(text.substr(2), 16);
  return Number(text, 10);
}

/// As kallsyms spells them, too: 16 hexadecimal digits.
std::optional<uint64_t> Address(std::string_view text) {
  return text.size() == kAddressDigits && !text.starts_with("0x") ? Number(text, 16)
                                                                  : DecimalOrHex(text);
}

Result<Query> ParseQuery(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return MakeError(ErrorCode::kInvalidArgument, "'" + std::string(text) + "': " + why);
  };
  if (text.empty()) return bad("an empty name");
  if (IsGlob(text)) return Query{.kind = Query::Kind::kGlob, .name = text};
  Query query{.name = text};
  const size_t sign = text.find_last_of("+-");
  if (sign != std::string_view::npos && sign != 0) {
    const auto offset = DecimalOrHex(text.substr(sign + 1));
    if (!offset && text[sign] == '+') return bad("what follows the + is not a number");
    if (offset) {
      query.name = text.substr(0, sign);
      query.offset = text[sign] == '+' ? *offset : uint64_t{0} - *offset;
    }
  }
  if (const auto address = Address(query.name)) {
    query.kind = Query::Kind::kAddress;
    query.address = *address + query.offset;
  } else if (query.name.front() >= '0' && query.name.front() <= '9') {
    return bad("not an address of 64 bits");  // and no symbol begins with a digit
  }
  return query;
}

/// Answers queries and remembers what it had to load for them.
class Finder {
 public:
  Finder(Session& session, const SymbolQueryOptions& options)
      : session_(session),
        max_matches_(options.max_matches != 0 ? options.max_matches
                                              : std::numeric_limits<size_t>::max()) {}

  Result<SymbolAnswers> Run(const std::vector<std::string>& texts) {
    std::vector<Query> queries;
    for (const std::string& text : texts) {
      KCD_ASSIGN(queries.emplace_back(), ParseQuery(text));
    }
    const bool names = std::any_of(queries.begin(), queries.end(), [](const Query& query) {
      return query.kind != Query::Kind::kAddress;
    });
    auto table = session_.Symbols();
    if (table.ok()) {
      table_ = table.value();
    } else if (names) {
      return std::move(table.error());
    } else {
      Weaken("symbols", table.error());
    }
    for (size_t i = 0; i < queries.size(); ++i) Answer(texts[i], queries[i]);
    return std::move(answers_);
  }

 private:
  void Answer(const std::string& text, const Query& query) {
    switch (query.kind) {
      case Query::Kind::kAddress:
        return AnswerAddress(text, query.address);
      case Query::Kind::kName:
        return AnswerName(text, query);
      case Query::Kind::kGlob:
        return AnswerGlob(text);
    }
  }

  void AnswerAddress(const std::string& text, uint64_t address) {
    if (table_ != nullptr) {
      const auto starting = table_->StartingAt(address);
      for (const Symbol& symbol : starting) AddSymbol(text, symbol, 0);
      if (!starting.empty()) return;
      if (const auto symbol = table_->Containing(address)) {
        return AddSymbol(text, *symbol, address - symbol->address);
      }
    }
    SymbolAnswer answer;
    answer.query = text;
    answer.address = address;
    if (InMappedSpace(address)) {
      answer.module = ModuleAt(address);
      answer.area = AreaAt(address);
    }
    if (answer.module.empty() && !answer.area) {
      answers_.not_found.push_back({text,
                                    "nothing is known of this address: no symbol, module or "
                                    "vmalloc area contains it"});
      return;
    }
    answers_.symbols.push_back(std::move(answer));
  }

  void AnswerName(const std::string& text, const Query& query) {
    const auto found = table_->Named(query.name);
    for (const Symbol& symbol : found) AddSymbol(text, symbol, query.offset);
    if (found.empty()) {
      answers_.not_found.push_back(
          {text, "this kernel has no symbol of the name " + std::string(query.name)});
    }
  }

  void AnswerGlob(const std::string& text) {
    const size_t ask = max_matches_ + (max_matches_ != std::numeric_limits<size_t>::max() ? 1 : 0);
    auto found = table_->Matching(text, ask);
    if (found.size() > max_matches_) {
      found.resize(max_matches_);
      answers_.findings.Add("more symbols match '" + text + "' than the " + Grouped(max_matches_) +
                            " that are listed");
    }
    for (const Symbol& symbol : found) AddSymbol(text, symbol, 0);
    if (found.empty()) {
      answers_.not_found.push_back({text, "no symbol of this kernel matches it"});
    }
  }

  void AddSymbol(const std::string& text, const Symbol& symbol, uint64_t offset) {
    const uint64_t address = symbol.address + offset;
    answers_.symbols.push_back(
        {.query = text,
         .name = std::string(symbol.name),
         .address = address,
         .offset = offset,
         .size = symbol.size != 0 ? std::optional(symbol.size) : std::nullopt,
         .type = symbol.type,
         .module = std::string(symbol.module),
         .area = InMappedSpace(address) ? AreaAt(address) : std::nullopt});
  }

  /// The kernel's half without image and direct map: vmalloc, modules and the like.
  [[nodiscard]] bool InMappedSpace(uint64_t address) const {
    const MemoryMap& map = session_.source().map();
    const auto covers = [&](const Segment& segment) {
      const bool linear =
          segment.kind == SegmentKind::kRam || segment.kind == SegmentKind::kKernelImage;
      return linear && segment.virt.Contains(address);
    };
    return address >> 63 != 0 && std::none_of(map.ram().begin(), map.ram().end(), covers) &&
           std::none_of(map.others().begin(), map.others().end(), covers);
  }

  /// Empty: in no module.
  std::string ModuleAt(uint64_t address) {
    if (!modules_asked_) {
      modules_asked_ = true;
      auto modules = session_.Modules();
      if (modules.ok()) {
        modules_ = modules.value();
        Inherit(*modules_);
      } else {
        Weaken("modules", modules.error());
      }
    }
    if (modules_ == nullptr) return {};
    for (const LoadedModule& module : modules_->modules) {
      for (const Range& range : module.ranges) {
        if (range.Contains(address)) return module.name;
      }
    }
    return {};
  }

  std::optional<AreaAnswer> AreaAt(uint64_t address) {
    if (!areas_asked_) {
      areas_asked_ = true;
      auto areas = session_.Vmalloc();
      if (areas.ok()) {
        areas_ = areas.value();
        Inherit(*areas_);
      } else {
        Weaken("vmalloc areas", areas.error());
      }
    }
    const VmallocArea* area = areas_ != nullptr ? areas_->Containing(address) : nullptr;
    if (area == nullptr) return std::nullopt;
    std::string caller = area->caller;
    if (caller.empty() && area->caller_address != 0) {
      caller = session_.Symbolize(area->caller_address);
      if (caller.empty()) caller = HexAddress(area->caller_address);
    }
    return AreaAnswer{.start = area->start,
                      .end = area->end,
                      .pages = area->pages,
                      .caller = std::move(caller),
                      .kinds = area->kinds};
  }

  template <typename List>
  void Inherit(const List& list) {
    for (const std::string& note : list.notes) answers_.findings.Add(note);
    answers_.findings.incomplete = answers_.findings.incomplete || list.incomplete;
  }

  /// One kind of answer less, but the rest stands.
  void Weaken(const std::string& what, const Error& error) {
    const bool damage = error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kUnreadable;
    const std::string note = "without " + what + ": " + error.message;
    damage ? answers_.findings.Lost(note) : answers_.findings.Add(note);
  }

  Session& session_;
  size_t max_matches_;
  SymbolAnswers answers_;
  const SymbolTable* table_ = nullptr;
  const ModuleList* modules_ = nullptr;
  const VmallocAreas* areas_ = nullptr;
  bool modules_asked_ = false;
  bool areas_asked_ = false;
};

std::string Place(const SymbolAnswer& answer) {
  if (answer.name.empty()) return "-";
  if (answer.offset == 0) return answer.name;
  const bool before = answer.offset >> 63 != 0;
  return answer.name + (before ? "-" : "+") + Hex(before ? 0 - answer.offset : answer.offset);
}

std::string AreaText(const AreaAnswer& area) {
  std::string text = HexAddress(area.start) + "-" + HexAddress(area.end);
  if (area.pages != 0) text += " " + Grouped(area.pages) + (area.pages == 1 ? " page" : " pages");
  for (const std::string& kind : area.kinds) text += " " + kind;
  return area.caller.empty() ? text : text + " " + area.caller;
}

ordered_json AreaJson(const std::optional<AreaAnswer>& area) {
  if (!area) return nullptr;
  return {{"start", HexAddress(area->start)},
          {"end", HexAddress(area->end)},
          {"pages", area->pages},
          {"caller", TextOrNull(area->caller)},
          {"kinds", area->kinds}};
}

ordered_json SymbolJson(const SymbolAnswer& answer) {
  const bool known = !answer.name.empty();
  return {{"query", answer.query},
          {"name", TextOrNull(answer.name)},
          {"address", HexAddress(answer.address)},
          {"offset", known ? ordered_json(static_cast<int64_t>(answer.offset)) : nullptr},
          {"size", answer.size ? ordered_json(*answer.size) : nullptr},
          {"type", known ? ordered_json(std::string(1, answer.type)) : nullptr},
          {"module", TextOrNull(answer.module)},
          {"area", AreaJson(answer.area)}};
}

}  // namespace

Result<SymbolAnswers> FindSymbols(Kernel& kernel, const std::vector<std::string>& queries,
                                  const SymbolQueryOptions& options) {
  return Finder(kernel.session(), options).Run(queries);
}

std::string ToText(const SymbolAnswers& answers, const TextStyle& style) {
  if (answers.symbols.empty()) return {};
  const auto any = [&](const auto& test) {
    return std::any_of(answers.symbols.begin(), answers.symbols.end(), test);
  };
  const bool modules = any([](const SymbolAnswer& answer) { return !answer.module.empty(); });
  const bool areas = any([](const SymbolAnswer& answer) { return answer.area.has_value(); });
  std::vector<Table::Column> columns = {{.title = "ADDRESS"},
                                        {.title = "TYPE"},
                                        {.title = "SIZE", .right = true},
                                        {.title = "SYMBOL"}};
  if (modules) columns.push_back({.title = "MODULE"});
  if (areas) columns.push_back({.title = "VMALLOC AREA"});
  Table table(std::move(columns));
  for (const SymbolAnswer& answer : answers.symbols) {
    std::vector<std::string> row = {
        HexAddress(answer.address), answer.name.empty() ? "-" : std::string(1, answer.type),
        answer.size ? std::to_string(*answer.size) : "-", Place(answer)};
    if (modules) row.push_back(answer.module);
    if (areas) row.push_back(answer.area ? AreaText(*answer.area) : "");
    table.AddRow(std::move(row));
  }
  return table.Text(style);
}

std::string ToJson(const SymbolAnswers& answers) {
  ordered_json symbols = ordered_json::array();
  for (const SymbolAnswer& answer : answers.symbols) symbols.push_back(SymbolJson(answer));
  ordered_json not_found = ordered_json::array();
  for (const UnknownSymbol& unknown : answers.not_found) not_found.push_back(unknown.query);
  const ordered_json object = {{"symbols", std::move(symbols)},
                               {"not_found", std::move(not_found)},
                               {"notes", answers.findings.notes},
                               {"incomplete", answers.findings.incomplete}};
  return object.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace kcoredump
