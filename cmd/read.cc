// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <variant>

#include "cmd/commands.h"
#include "kcoredump/inspect.h"
#include "kcoredump/text.h"
#include "kcoredump/words.h"

namespace kcoredump::cmd {

namespace {

/// What one step of a long read holds in memory.
constexpr uint64_t kStepBytes = 1 << 20;

struct ReadArguments {
  LookOptions look;
  std::string where;
  std::string length = "256";
  bool physical = false;
  bool raw = false;
  bool symbols = false;
  unsigned width = 0;
};

/// What memory is shown as.
class Printer {
 public:
  Printer(Kernel& kernel, const ReadArguments& arguments, uint64_t address) : raw_(arguments.raw) {
    if (arguments.width != 0) {
      dump_ =
          WordDump(address, arguments.width, arguments.symbols ? KernelWordNames(kernel) : nullptr);
    } else {
      dump_ = HexDump(address);
    }
  }
  [[nodiscard]] std::string Add(std::span<const std::byte> bytes) {
    if (raw_) return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    return std::visit([&](auto& dump) { return dump.Add(bytes); }, dump_);
  }
  [[nodiscard]] std::string Finish() {
    return raw_ ? "" : std::visit([](auto& dump) { return dump.Finish(); }, dump_);
  }

 private:
  bool raw_;
  std::variant<HexDump, WordDump> dump_{HexDump(0)};
};

int StatusOf(const Reading& reading) {
  if (reading.failure.empty()) return kExitComplete;
  return reading.not_reached ? kExitPartial : kExitHoles;
}

/// Prints what is readable, up to the first hole, which is an error.
int ShowRange(Kernel& kernel, const ReadArguments& arguments, Target at, uint64_t length) {
  Printer printer(kernel, arguments, at.address);
  std::vector<std::byte> buffer;
  Reading reading;
  while (length != 0 && reading.failure.empty()) {
    buffer.resize(std::min(length, kStepBytes));
    const auto step = ReadMemory(kernel, at, buffer);
    if (!step.ok()) return FailWhere(step.error());
    reading = step.value();
    const std::string text = printer.Add(std::span(buffer).first(reading.bytes));
    if (PrintOut(text, kExitComplete) != kExitComplete) return kExitIo;
    at.address += reading.bytes;
    length -= reading.bytes;
  }
  if (PrintOut(printer.Finish(), kExitComplete) != kExitComplete) return kExitIo;
  if (!reading.failure.empty()) PrintError(reading.failure);
  return StatusOf(reading);
}

int ShowJson(Kernel& kernel, const ReadArguments& arguments, const Target& at, uint64_t length) {
  if (length > kMaxJsonReadBytes) {
    PrintError("--json holds at most 16 MiB; use --raw for more");
    return kExitUsage;
  }
  WordsAnswer answer{.at = at,
                     .bytes = std::vector<std::byte>(length),
                     .width = arguments.width,
                     .names = arguments.symbols ? KernelWordNames(kernel) : nullptr,
                     .findings = {}};
  const auto reading = ReadMemory(kernel, at, answer.bytes);
  if (!reading.ok()) return FailWhere(reading.error());
  answer.bytes.resize(reading.value().bytes);
  if (!reading.value().failure.empty()) answer.findings.Lost(reading.value().failure);
  const int status = PrintAnswer(ToJson(answer), answer.findings);
  return status == kExitIo ? status : StatusOf(reading.value());
}

int RunRead(ReadArguments arguments) {
  const auto length = ParseNumber(arguments.length);
  if (!length) {
    PrintError("\"" + arguments.length + "\" is not a number of bytes; write 4096 or 0x1000");
    return kExitUsage;
  }
  if (arguments.raw && isatty(STDOUT_FILENO) == 1) {
    PrintError("raw bytes are not for a terminal; redirect them");
    return kExitUsage;
  }
  if (arguments.symbols) arguments.width = 8;
  auto opened = Kernel::Open(arguments.look.file);
  if (!opened.ok()) return Fail(opened.error());
  Kernel& kernel = opened.value();
  // A torn image that cannot tell its holes: what is shown may be one.
  const bool doubtful = kernel.torn() && !kernel.Caveats().empty();
  const auto at = kernel.Resolve((arguments.physical ? "phys:" : "") + arguments.where);
  if (!at.ok()) return FailWhere(at.error());
  if (*length != 0 && at.value().address + (*length - 1) < at.value().address) {
    PrintError("the range wraps around the address space");
    return kExitUsage;
  }
  const int status = arguments.look.json ? ShowJson(kernel, arguments, at.value(), *length)
                                         : ShowRange(kernel, arguments, at.value(), *length);
  for (const std::string& caveat : kernel.Caveats()) PrintNote("note: " + caveat);
  return status == kExitComplete && doubtful ? kExitPartial : status;
}

}  // namespace

void AddRead(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<ReadArguments>();
  CLI::App* command =
      app.add_subcommand("read", "Show memory as hexdump -C does, as words, or its bytes");
  command->footer(
      "WHERE is an address, symbol, symbol+offset, phys:ADDRESS or pid:N:ADDRESS. An unreadable\n"
      "page is an error that says why, never zeros.\n\n"
      "  kcoredump read linux_banner -f web1.elf.zst\n"
      "  kcoredump read sys_call_table 0x80 --symbols\n"
      "  kcoredump read phys:0x1000 4096 --raw >page\n\n" +
      std::string(kExitHelp));
  command->add_option("WHERE", arguments->where, "Where to begin")->option_text(" ")->required();
  command->add_option("LENGTH", arguments->length, "How many bytes; default 256")->option_text(" ");
  command->add_flag("--phys", arguments->physical, "WHERE is a physical address, as with phys:");
  CLI::Option* raw = command->add_flag("--raw", arguments->raw, "Bytes instead of a dump");
  CLI::Option* width =
      command->add_option("--width", arguments->width, "Little-endian words of so many bytes")
          ->option_text("{1,2,4,8}")
          ->check(CLI::IsMember({1, 2, 4, 8}))
          ->excludes(raw);
  command
      ->add_flag("--symbols", arguments->symbols,
                 "Words of 8 bytes, and what they point to in the kernel and its modules")
      ->excludes(raw)
      ->excludes(width);
  AddLookOptions(command, arguments->look);
  command->get_option("--json")->excludes(raw);
  command->callback([arguments, &context] { context.status = RunRead(*arguments); });
}

}  // namespace kcoredump::cmd
