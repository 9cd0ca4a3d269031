// SPDX-License-Identifier: MIT
#include "kcoredump/dis.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/try.h"
#include "base/zero.h"
#include "inspect/check/patch_sites.h"
#include "inspect/code/disassembler.h"
#include "inspect/session.h"
#include "kcoredump/text.h"
#include "kcoredump/words.h"

namespace kcoredump {

namespace {

/// What one read asks for, up to a multiple of it.
constexpr uint64_t kReadBytes = 4096;
/// The tracer is called by one of the first instructions of a function: after a landing pad, and on
/// some machines after one that saves a register.
constexpr uint64_t kFtraceSearchBytes = 32;

/// The last function of a module seems to reach to data on the next page: no code has so many
/// zeros.
constexpr size_t kZerosThatEndCode = 32;

/// Code from an address on, read no further than it is asked for.
class CodeReader {
 public:
  /// `end`: exclusive, 0: none.
  CodeReader(Kernel& kernel, const Target& at, uint64_t end)
      : kernel_(kernel), at_(at), end_(end) {}

  [[nodiscard]] uint64_t address() const { return at_.address; }
  /// The bytes from address() on: enough for any instruction, unless that is all there is.
  [[nodiscard]] Result<std::span<const std::byte>> Ahead() {
    while (bytes_.size() - used_ < kMaxInstructionBytes && !at_end_) KCD_TRY(ReadOn());
    return std::span<const std::byte>(bytes_).subspan(used_);
  }
  void Skip(size_t bytes) {
    used_ += bytes;
    at_.address += bytes;
  }
  /// Why there is no more than Ahead() gives; an empty failure: that is all that was wanted.
  [[nodiscard]] const Reading& reading() const { return reading_; }

 private:
  [[nodiscard]] Status ReadOn() {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(used_));
    used_ = 0;
    Target next = at_;
    next.address += bytes_.size();
    uint64_t wanted = kReadBytes - next.address % kReadBytes;
    if (end_ != 0) wanted = std::min(wanted, end_ - next.address);
    const bool wrapped = next.address < at_.address;
    if (wrapped || wanted == 0) {
      if (wrapped) reading_.failure = "the address space ends here";
      at_end_ = true;
      return {};
    }
    const size_t had = bytes_.size();
    bytes_.resize(had + wanted);
    KCD_ASSIGN(reading_, ReadMemory(kernel_, next, std::span(bytes_).subspan(had)));
    bytes_.resize(had + reading_.bytes);
    at_end_ = !reading_.failure.empty();
    return {};
  }

  Kernel& kernel_;
  Target at_;
  uint64_t end_;
  std::vector<std::byte> bytes_;
  size_t used_ = 0;
  bool at_end_ = false;
  Reading reading_;
};

/// Gives names to what was decoded.
class Annotator {
 public:
  Annotator(Session& session, Findings& findings) : session_(session), sites_(session) {
    auto table = session.Symbols();
    if (table.ok()) {
      table_ = table.value();
    } else {
      findings.Add("without symbols: " + table.error().message);
    }
  }

  void Annotate(const DecodedInstruction& decoded, Instruction& out) {
    if (table_ == nullptr) return;
    const auto symbol = table_->Containing(out.address);
    if (symbol) {
      out.symbol = symbol->name;
      out.module = symbol->module;
      out.symbol_start = symbol->address;
    }
    if (out.target) out.target_symbol = PlaceOf(*out.target);
    for (CodeReference& reference : out.references) {
      // Per-CPU symbols of kernels before 6.15 stand at 0 and up: small numbers are not those.
      if (reference.per_cpu || IsKernelAddress(reference.address)) {
        reference.symbol = PlaceOf(reference.address);
      }
    }
    if (decoded.is_nop || decoded.target) FindSite(decoded, symbol, out);
  }

  [[nodiscard]] const std::vector<std::string>& notes() const { return sites_.notes(); }

 private:
  [[nodiscard]] bool IsKernelAddress(uint64_t address) {
    const Architecture* arch = session_.facts().arch;
    return arch == nullptr ? address >> 63 != 0 : arch->IsKernelAddress(address);
  }

  [[nodiscard]] std::string PlaceOf(uint64_t address) const {
    const auto symbol = table_->Containing(address);
    if (!symbol) return {};
    std::string text(symbol->name);
    if (address != symbol->address) text += "+" + Hex(address - symbol->address);
    if (!symbol->module.empty()) text += " [" + std::string(symbol->module) + "]";
    return text;
  }

  void FindSite(const DecodedInstruction& decoded, const std::optional<Symbol>& symbol,
                Instruction& out) {
    if (!symbol) return;
    auto site = sites_.StaticKeyAt(out.address, symbol->module);
    if (site) {
      site->key_symbol = PlaceOf(site->key);
      site->jump_target_symbol = PlaceOf(site->jump_target);
    } else if (out.address - symbol->address < kFtraceSearchBytes &&
               sites_.IsFtraceSite(out.address)) {
      site.emplace();
    } else if (decoded.is_sealed_landing_pad && out.address == symbol->address) {
      site.emplace().kind = PatchSite::Kind::kLandingPad;
    }
    if (site) site->patched_in = !decoded.is_nop;
    out.site = std::move(site);
  }

  Session& session_;
  const SymbolTable* table_ = nullptr;
  PatchSites sites_;
};

Instruction Undecoded(uint64_t address, std::span<const std::byte> bytes, const char* why) {
  Instruction out;
  out.address = address;
  out.bytes.assign(bytes.begin(), bytes.end());
  out.mnemonic = why;
  return out;
}

Instruction Decoded(uint64_t address, std::span<const std::byte> bytes,
                    const DecodedInstruction& decoded) {
  Instruction out = Undecoded(address, bytes.first(decoded.bytes), "");
  out.mnemonic = decoded.mnemonic;
  out.operands = decoded.operands;
  out.target = decoded.target;
  out.target_at = decoded.target_at;
  out.references = decoded.references;
  return out;
}

/// Disassembles a count of instructions or a function.
class Sweep {
 public:
  Sweep(Disassembler& disassembler, CodeReader& code, Annotator* annotator, DisassembleAnswer& out)
      : disassembler_(disassembler), code_(code), annotator_(annotator), out_(out) {}

  Status Run(size_t max) {
    while (out_.instructions.size() < max) {
      KCD_ASSIGN(const auto bytes, code_.Ahead());
      if (bytes.empty()) break;
      Step(bytes);
    }
    return {};
  }

  /// The same up to an address, but no further than code can go, without the padding at the end:
  /// what compilers fill the space to the next function with. A function that is nothing else keeps
  /// its first instruction.
  Status RunFunction(uint64_t end) {
    while (code_.address() != end && out_.instructions.size() < kMaxInstructions) {
      KCD_ASSIGN(const auto bytes, code_.Ahead());
      if (bytes.empty()) return {};
      Step(bytes);
      if (zero_bytes_ >= kZerosThatEndCode) break;
    }
    if (code_.address() != end && zero_bytes_ < kZerosThatEndCode) return {};
    padding_ = std::min(padding_, out_.instructions.size() - 1);
    out_.instructions.resize(out_.instructions.size() - padding_);
    const Instruction& last = out_.instructions.back();
    out_.padding_bytes = end - last.address - last.bytes.size();
    whole_ = true;
    return {};
  }
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  void Step(std::span<const std::byte> bytes) {
    const uint64_t address = code_.address();
    const auto decoded = disassembler_.Decode(address, bytes);
    Instruction instruction;
    if (decoded) {
      instruction = Decoded(address, bytes, *decoded);
    } else if (!code_.reading().failure.empty() && GoesOn(address, bytes)) {
      instruction = Undecoded(address, bytes, "(truncated)");
    } else {
      const size_t step = std::min(disassembler_.step_bytes(), bytes.size());
      instruction = Undecoded(address, bytes.first(step), "(bad)");
    }
    if (annotator_ != nullptr) {
      annotator_->Annotate(decoded.value_or(DecodedInstruction{}), instruction);
    }
    // Pages end in zeros; a key's nop or the tracer's is code.
    const bool zeros = IsZero(instruction.bytes);
    zero_bytes_ = zeros ? zero_bytes_ + instruction.bytes.size() : 0;
    const bool filler = zeros || (decoded && decoded->is_padding);
    const bool padding = filler && !instruction.site;
    padding_ = padding ? padding_ + 1 : 0;
    code_.Skip(instruction.bytes.size());
    out_.instructions.push_back(std::move(instruction));
  }

  /// Whether more bytes could have made an instruction of these.
  bool GoesOn(uint64_t address, std::span<const std::byte> bytes) {
    std::array<std::byte, 2 * kMaxInstructionBytes> more{};
    if (bytes.size() >= kMaxInstructionBytes) return false;
    std::copy(bytes.begin(), bytes.end(), more.begin());
    const auto decoded = disassembler_.Decode(address, more);
    return decoded && decoded->bytes > bytes.size();
  }

  Disassembler& disassembler_;
  CodeReader& code_;
  Annotator* annotator_;
  DisassembleAnswer& out_;
  size_t padding_ = 0;     ///< how many instructions of it came last
  size_t zero_bytes_ = 0;  ///< likewise, zeros alone
  bool whole_ = false;
};

/// The symbol that contains the address, as a range.
Result<Range> FunctionAt(Session& session, const Target& at) {
  if (at.space != Target::Space::kKernel) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "only the kernel's functions are known; give a count of instructions");
  }
  KCD_ASSIGN(const SymbolTable* table, session.Symbols());
  const auto symbol = table->Containing(at.address);
  if (!symbol || symbol->size == 0) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        HexAddress(at.address) +
            (symbol ? " is in " + std::string(symbol->name) + ", whose end is not known"
                    : " is in no symbol") +
            "; give a count of instructions");
  }
  return Range{symbol->address, symbol->address + symbol->size};
}

Status CheckArguments(const Disassembler& disassembler, const Target& at,
                      const DisassembleOptions& options) {
  if (at.address % disassembler.step_bytes() != 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "instructions of " + std::string(disassembler.machine_name()) +
                         " stand at multiples of " + std::to_string(disassembler.step_bytes()));
  }
  if (!options.function && (options.count == 0 || options.count > kMaxInstructions)) {
    return MakeError(ErrorCode::kInvalidArgument, "the count of instructions must be from 1 to " +
                                                      std::to_string(kMaxInstructions));
  }
  return {};
}

}  // namespace

Result<DisassembleAnswer> Disassemble(Kernel& kernel, const Target& at,
                                      const DisassembleOptions& options) {
  Session& session = kernel.session();
  KCD_ASSIGN(const auto disassembler,
             Disassembler::Create(session.source().machine(), options.syntax));
  KCD_TRY(CheckArguments(*disassembler, at, options));
  DisassembleAnswer answer;
  answer.machine = disassembler->machine_name();
  answer.start = at;
  uint64_t end = 0;
  if (options.function) {
    KCD_ASSIGN(const Range function, FunctionAt(session, at));
    answer.start.address = function.begin;
    end = function.end;
  }
  std::optional<Annotator> annotator;
  if (at.space == Target::Space::kKernel) annotator.emplace(session, answer.findings);
  CodeReader code(kernel, answer.start, end);
  Sweep sweep(*disassembler, code, annotator ? &*annotator : nullptr, answer);
  KCD_TRY(options.function ? sweep.RunFunction(end) : sweep.Run(options.count));
  const bool all = options.function ? sweep.whole() : answer.instructions.size() == options.count;
  if (!all && code.reading().failure.empty()) {
    answer.findings.Add("only the first " + Grouped(kMaxInstructions) + " instructions");
  } else if (!all) {
    answer.failure = code.reading().failure;
    answer.not_reached = code.reading().not_reached;
  }
  if (annotator) {
    for (const std::string& note : annotator->notes()) answer.findings.Add(note);
  }
  return answer;
}

}  // namespace kcoredump
