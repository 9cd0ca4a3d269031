// SPDX-License-Identifier: MIT
//
// The public Kernel over a Session, and the grammar of WHERE.
#include "kcoredump/kernel.h"

#include <algorithm>
#include <charconv>

#include "base/checked.h"
#include "base/error.h"
#include "base/try.h"
#include "inspect/session.h"
#include "inspect/task/tasks.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

/// What one step of a read asks for: errors then tell how far it came.
constexpr uint64_t kStepBytes = 64 << 10;
constexpr size_t kMaxCandidatesShown = 8;

std::optional<uint64_t> ParseDigits(std::string_view digits, int base) {
  uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
  if (digits.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// 0x…, decimal, or the 16 hexadecimal digits that kernels print.
std::optional<uint64_t> ParseAddress(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) return ParseDigits(text.substr(2), 16);
  if (text.size() == 16) return ParseDigits(text, 16);
  return ParseDigits(text, 10);
}

Error BadWhere(std::string_view where, const std::string& why) {
  return MakeError(ErrorCode::kInvalidArgument, "\"" + std::string(where) + "\": " + why);
}

Result<Target> ParsePhysical(std::string_view where, std::string_view rest) {
  const auto address = ParseAddress(rest);
  if (!address) return BadWhere(where, "write phys:0x1000");
  return Target{.space = Target::Space::kPhysical, .address = *address};
}

Result<Target> ParseProcess(std::string_view where, std::string_view rest) {
  const size_t colon = rest.find(':');
  const auto pid = ParseDigits(rest.substr(0, colon), 10);
  const auto address =
      colon == std::string_view::npos ? std::nullopt : ParseAddress(rest.substr(colon + 1));
  if (!pid || *pid > UINT32_MAX || !address) return BadWhere(where, "write pid:1:0x7ffc12345678");
  return Target{
      .space = Target::Space::kProcess, .address = *address, .pid = static_cast<uint32_t>(*pid)};
}

/// The address of a name that stands once. Of a name that stands several times, which one is meant
/// is the caller's to say.
Result<uint64_t> AddressOf(const SymbolTable& table, std::string_view name) {
  const std::vector<Symbol> found = table.Named(name);
  if (found.empty()) {
    return MakeError(ErrorCode::kNotFound, "this kernel has no symbol \"" + std::string(name) +
                                               "\" (kcoredump sym 'part*' looks for names)");
  }
  const bool same = std::all_of(found.begin(), found.end(), [&](const Symbol& symbol) {
    return symbol.address == found.front().address;
  });
  if (same) return found.front().address;
  std::string text = "\"" + std::string(name) + "\" stands " + std::to_string(found.size()) +
                     " times, give an address:";
  for (size_t i = 0; i < std::min(found.size(), kMaxCandidatesShown); ++i) {
    text += (i == 0 ? " " : ", ") + HexAddress(found[i].address);
    if (!found[i].module.empty()) text += " [" + std::string(found[i].module) + "]";
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   text + (found.size() > kMaxCandidatesShown ? ", …" : ""));
}

/// symbol, symbol+offset, symbol-offset.
Result<Target> ResolveSymbol(Session& session, std::string_view where) {
  const size_t sign = where.find_last_of("+-");
  std::string_view name = where;
  uint64_t offset = 0;
  if (sign != std::string_view::npos && sign != 0) {
    if (const auto parsed = ParseAddress(where.substr(sign + 1))) {
      name = where.substr(0, sign);
      offset = where[sign] == '-' ? -*parsed : *parsed;
    }
  }
  Target target;
  if (const auto known = ParseAddress(name)) {
    target.address = *known + offset;
    return target;
  }
  const auto table = session.Symbols();
  if (!table.ok()) {
    return Error(table.error()).WithContext("\"" + std::string(name) + "\" cannot be looked up");
  }
  KCD_ASSIGN(const uint64_t address, AddressOf(*table.value(), name));
  target.address = address + offset;
  return target;
}

Result<std::unique_ptr<MemoryView>> ProcessView(Session& session, uint32_t pid) {
  return OpenProcess(session, pid);
}

}  // namespace

Kernel::Kernel(std::unique_ptr<Session> session) : session_(std::move(session)) {}
Kernel::Kernel(Kernel&&) noexcept = default;
Kernel& Kernel::operator=(Kernel&&) noexcept = default;
Kernel::~Kernel() = default;

Result<Kernel> Kernel::Open(const std::string& path, const KernelOptions& options) {
  KCD_ASSIGN(auto session, Session::Open(path, options));
  return Kernel(std::move(session));
}

std::vector<std::string> Kernel::Caveats() const { return session_->caveats(); }

bool Kernel::torn() const { return !session_->source().IncompleteReason().empty(); }

Result<Target> Kernel::Resolve(std::string_view where) {
  if (where.starts_with("phys:")) return ParsePhysical(where, where.substr(5));
  if (where.starts_with("pid:")) return ParseProcess(where, where.substr(4));
  if (const auto address = ParseAddress(where)) {
    Target target;
    target.address = *address;
    return target;
  }
  if (where.empty()) return BadWhere(where, "give an address or a symbol");
  return ResolveSymbol(*session_, where);
}

Result<size_t> Kernel::Read(const Target& at, std::span<std::byte> out, std::string* failure) {
  if (!out.empty() && !CheckedAdd(at.address, out.size() - 1)) {
    return MakeError(ErrorCode::kInvalidArgument, "the range wraps around the address space");
  }
  std::unique_ptr<MemoryView> process;
  MemoryView* view = &session_->physical();
  if (at.space == Target::Space::kKernel) view = &session_->kernel();
  if (at.space == Target::Space::kProcess) {
    KCD_ASSIGN(process, ProcessView(*session_, at.pid));
    view = process.get();
  }
  const uint64_t page = session_->source().page_bytes();
  uint64_t step_bytes = kStepBytes;
  size_t done = 0;
  while (done < out.size()) {
    const uint64_t address = at.address + done;
    const size_t step = std::min<uint64_t>(out.size() - done, step_bytes - address % step_bytes);
    const Status status = view->Read(address, out.subspan(done, step));
    if (status.ok()) {
      done += step;
    } else if (step_bytes > page) {
      step_bytes = page;  // again, to find the page that is missing
    } else {
      if (failure != nullptr) *failure = status.error().message;
      break;
    }
  }
  return done;
}

std::string Kernel::Symbolize(uint64_t address) { return session_->Symbolize(address); }

}  // namespace kcoredump
