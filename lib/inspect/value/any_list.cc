// SPDX-License-Identifier: MIT
#include "inspect/value/any_list.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/try.h"
#include "inspect/session.h"
#include "kcoredump/text.h"
#include "symbol/chain_walk.h"
#include "symbol/list_walk.h"
#include "symbol/maple_walk.h"
#include "symbol/tree_walk.h"
#include "symbol/xarray_walk.h"

namespace kcoredump {

namespace {

enum class ListKind : uint8_t { kList, kHlist, kLlist, kTree, kChain, kXArray, kMaple };

struct KindOfType {
  const char* type;
  ListKind kind;
};
/// What the member is that links entries.
constexpr std::array kLinks = {KindOfType{"struct list_head", ListKind::kList},
                               KindOfType{"struct hlist_node", ListKind::kHlist},
                               KindOfType{"struct hlist_nulls_node", ListKind::kHlist},
                               KindOfType{"struct llist_node", ListKind::kLlist},
                               KindOfType{"struct rb_node", ListKind::kTree}};
/// What a tree of pointers begins with; an IDR begins with its radix tree, which is an xarray.
constexpr std::array kRoots = {KindOfType{"struct xarray", ListKind::kXArray},
                               KindOfType{"struct idr", ListKind::kXArray},
                               KindOfType{"struct maple_tree", ListKind::kMaple}};
/// Of all entries together: forged ones may be a million.
constexpr size_t kMaxListValues = 2 << 20;
/// By ListKind.
constexpr std::array kKindNames = {"list_head", "hlist",  "llist",     "rb_tree",
                                   "chain",     "xarray", "maple_tree"};

/// What it takes of memory, in values of 64 bytes of text or less.
size_t ValuesOf(const TypedValue& value) {
  size_t values = 1 + value.text.size() / 64;
  for (const TypedValue& member : value.members) values += ValuesOf(member);
  return values;
}

class AnyList {
 public:
  AnyList(const PrintSources& sources, const ListPlace& place, const ListOptions& options)
      : sources_(sources), place_(place), options_(options) {
    out_.head = place.head;
    out_.member = place.member;
    out_.show = options.show;
    out_.type = sources.types.NameOf(place.type);
  }

  [[nodiscard]] Status Understand();
  [[nodiscard]] Status Walk();
  [[nodiscard]] ListAnswer Take() { return std::move(out_); }

 private:
  [[nodiscard]] Status UnderstandLink();
  [[nodiscard]] Status UnderstandRoot();
  [[nodiscard]] ListOutcome WalkLinks();
  [[nodiscard]] ListOutcome WalkFromPointer(uint64_t next_offset);
  bool Keep(ListEntry entry);

  const PrintSources& sources_;
  const ListPlace& place_;
  const ListOptions& options_;
  ListAnswer out_;
  ListKind kind_ = ListKind::kList;
  bool cut_ = false;  ///< there are more than max_entries
  size_t values_left_ = kMaxListValues;
  uint64_t link_offset_ = 0;
  std::vector<std::vector<PathStep>> columns_;
  std::optional<Error> failure_;
};

Status AnyList::UnderstandLink() {
  KCD_ASSIGN(const MemberRef member, sources_.types.MemberOf(place_.type, place_.member));
  link_offset_ = member.offset();
  const std::string link = sources_.types.NameOf(member.type);
  for (const KindOfType& each : kLinks) {
    if (link == each.type) {
      kind_ = each.kind;
      return {};
    }
  }
  if (sources_.types.KindOf(member.type) == TypeKind::kPointer) {
    kind_ = ListKind::kChain;
    return {};
  }
  return InvalidArgument("\"" + place_.member + "\" is a \"" + link +
                         "\", which links nothing; a list_head, hlist_node, llist_node, rb_node or "
                         "a pointer does");
}

Status AnyList::UnderstandRoot() {
  for (const KindOfType& each : kRoots) {
    if (place_.head_type == each.type) {
      kind_ = each.kind;
      return {};
    }
  }
  return InvalidArgument(
      place_.head_type.empty()
          ? "name the member that links the entries, 'TYPE.member@HEAD', or the type of HEAD, "
            "'TYPE@struct xarray@HEAD'"
          : "\"" + place_.head_type +
                "\" is no xarray, IDR or maple tree; name the member that "
                "links the entries, 'TYPE.member@HEAD'");
}

Status AnyList::Understand() {
  KCD_TRY(place_.member.empty() ? UnderstandRoot() : UnderstandLink());
  out_.kind = kKindNames[static_cast<size_t>(kind_)];
  if (options_.show.size() > kMaxListColumns) {
    return InvalidArgument("at most " + std::to_string(kMaxListColumns) + " members can be shown");
  }
  for (const std::string& path : options_.show) {
    const bool dotted = path.starts_with('.') || path.starts_with('[') || path.starts_with("->");
    KCD_ASSIGN(columns_.emplace_back(), ParsePath(dotted ? path : "." + path));
  }
  return {};
}

/// A pointer on the way that is NULL leaves its place empty; a path that the type does not have is
/// an error, which the first entry tells.
bool AnyList::Keep(ListEntry entry) {
  cut_ = out_.entries.size() >= options_.max_entries;
  if (cut_) return false;
  for (const auto& path : columns_) {
    auto read = ReadAlong(sources_, Spot{.type = place_.type, .address = entry.address}, path, {});
    if (!read.ok() && read.error().code != ErrorCode::kUnreadable) {
      failure_ = std::move(read.error());
      return false;
    }
    const bool whole = read.ok() && !read.value().missing;
    if (read.ok() && !whole) {
      out_.findings.Lost("of the entry at " + HexAddress(entry.address) + " memory is missing");
    }
    const size_t values = read.ok() ? ValuesOf(read.value().answer.value) : 1;
    if (values > values_left_) {
      out_.findings.Lost("only the first " + Grouped(out_.entries.size()) +
                         " entries are listed: more have more than " + Grouped(kMaxListValues) +
                         " values");
      return false;
    }
    values_left_ -= values;
    entry.values.push_back(whole ? std::optional(std::move(read.value().answer.value))
                                 : std::nullopt);
  }
  out_.entries.push_back(std::move(entry));
  return true;
}

/// Lists whose head is a pointer to the first.
ListOutcome AnyList::WalkFromPointer(uint64_t next_offset) {
  const auto first = sources_.memory.ReadValue<uint64_t>(place_.head);
  if (!first.ok()) return {"the head cannot be read: " + first.error().message, true};
  const uint64_t back = kind_ == ListKind::kChain ? 0 : link_offset_;
  return WalkChain(sources_.memory, first.value(), next_offset, kMaxListEntries, "the list",
                   [&](uint64_t object) { return Keep({.address = object - back}); });
}

ListOutcome AnyList::WalkLinks() {
  switch (kind_) {
    case ListKind::kList: {
      ListVisitor visitor;
      visitor.load = [&](uint64_t node) { return sources_.memory.ReadValue<ListLinks>(node); };
      visitor.keep = [&](uint64_t node, bool) { return Keep({.address = node - link_offset_}); };
      return WalkList(sources_.memory, place_.head, kMaxListEntries, "the list", visitor);
    }
    case ListKind::kTree:
      return WalkTree(sources_.memory, place_.head, kMaxListEntries, "the tree",
                      [&](uint64_t node) { return Keep({.address = node - link_offset_}); });
    case ListKind::kChain:
      return WalkFromPointer(link_offset_);
    default:
      return WalkFromPointer(0);
  }
}

Status AnyList::Walk() {
  ListOutcome walk;
  if (kind_ == ListKind::kXArray) {
    KCD_ASSIGN(const XArrayWalker walker, XArrayWalker::Create(sources_.types));
    walk = walker.Walk(
        sources_.memory, place_.head, kMaxListEntries, "the xarray",
        [&](uint64_t index, uint64_t entry) { return Keep({.address = entry, .index = index}); });
  } else if (kind_ == ListKind::kMaple) {
    KCD_ASSIGN(const MapleWalker walker, MapleWalker::Create(sources_.types));
    walk = walker.Walk(sources_.memory, place_.head, kMaxListEntries, "the maple tree",
                       [&](uint64_t first, uint64_t last, uint64_t entry) {
                         return Keep({.address = entry, .index = first, .last = last});
                       });
  } else {
    walk = WalkLinks();
  }
  if (failure_) return std::move(*failure_);
  if (!walk.note.empty()) out_.findings.Add(walk.note);
  out_.findings.incomplete = out_.findings.incomplete || walk.lost;
  if (cut_) {
    out_.findings.Add("only the first " + std::to_string(options_.max_entries) +
                      " entries are listed");
  }
  LimitNotes(out_.findings.notes);
  return {};
}

/// The address of HEAD, and its type where that is told.
Status FindHead(Kernel& kernel, std::string_view type, std::string_view head, ListPlace& place) {
  if (head.find('@') == std::string_view::npos) {
    const auto at = kernel.Resolve(head);
    if (at.ok() && at.value().space != Target::Space::kKernel) {
      return InvalidArgument("lists are in the kernel's own memory: give a kernel address");
    }
    if (at.ok()) {
      place.head = at.value().address;
      return {};
    }
    if (SplitPlace(head).front().second.empty() && head.find('.') == std::string_view::npos) {
      return at.error();
    }
  }
  const std::string expression = head.find('@') == std::string_view::npos
                                     ? std::string(type) + "@" + std::string(head)
                                     : std::string(head);
  KCD_ASSIGN(const ValueAnswer answer, ReadValue(kernel, expression, {}));
  if (answer.at.space != Target::Space::kKernel) {
    return InvalidArgument("lists are in the kernel's own memory: give a kernel address");
  }
  if (answer.value.kind == ValueKind::kPointer && answer.value.state != ValueState::kRead) {
    return MakeError(ErrorCode::kUnreadable,
                     "HEAD cannot be had: " + (answer.findings.notes.empty()
                                                   ? "a pointer on the way to it is missing"
                                                   : answer.findings.notes.front()));
  }
  place.head = answer.at.address;
  place.head_type = answer.value.type;
  return {};
}

}  // namespace

Result<ListAnswer> WalkListAt(const PrintSources& sources, const ListPlace& place,
                              const ListOptions& options) {
  AnyList list(sources, place, options);
  KCD_TRY(list.Understand());
  KCD_TRY(list.Walk());
  return list.Take();
}

Result<ListAnswer> WalkAnyList(Kernel& kernel, std::string_view expression,
                               const ListOptions& options) {
  const size_t sign = expression.find('@');
  if (sign == std::string_view::npos || sign == 0 || sign + 1 == expression.size()) {
    return InvalidArgument("\"" + std::string(expression) +
                           "\" has no head; write 'TYPE.member@HEAD'");
  }
  Session& session = kernel.session();
  KCD_ASSIGN(const TypeCatalog* types, session.NeedTypes());
  const auto [type, member] = SplitType(expression.substr(0, sign));
  KCD_ASSIGN(const Spot spot, FindTypeOf(*types, type));
  ListPlace place{.type = spot.type, .member = {}, .head_type = {}};
  if (!member.empty()) place.member = member.substr(1);
  KCD_TRY(FindHead(kernel, type, expression.substr(sign + 1), place));
  const PrintSources sources{.types = *types,
                             .memory = session.kernel(),
                             .pointers = session.kernel(),
                             .names = KernelWordNames(kernel)};
  return WalkListAt(sources, place, options);
}

}  // namespace kcoredump
