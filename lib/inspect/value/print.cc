// SPDX-License-Identifier: MIT
//
// print's expressions against a Kernel: which type, which address, which address space.
#include "kcoredump/print.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/try.h"
#include "inspect/session.h"
#include "inspect/task/tasks.h"
#include "inspect/value/print_value.h"
#include "kcoredump/words.h"

namespace kcoredump {

namespace {

/// TYPE@WHERE and a path, understood.
struct Question {
  Spot spot;  ///< without its address
  Target at;
  std::vector<PathStep> path;
};

PrintOptions Limited(PrintOptions options) {
  options.depth = std::clamp(options.depth, 1U, kMaxPrintDepth);
  return options;
}

/// WHERE and the path are told apart by what this kernel has a symbol for.
Result<Question> ResolvePlace(Kernel& kernel, std::string_view place) {
  Question question;
  std::optional<Error> failure;
  for (const auto& [where, path] : SplitPlace(place)) {
    auto at = kernel.Resolve(where);
    if (at.ok()) {
      question.at = at.value();
      KCD_ASSIGN(question.path, ParsePath(path));
      return question;
    }
    failure = std::move(at.error());
    if (failure->code == ErrorCode::kInvalidArgument) break;
  }
  return std::move(*failure);
}

/// Without a TYPE.
Result<Question> UnderstandVariable(Kernel& kernel, const TypeCatalog& types,
                                    std::string_view place) {
  for (const auto& [name, path] : SplitPlace(place)) {
    const auto variable = types.Variable(name);
    if (!variable.ok()) continue;
    if (variable.value().per_cpu) {
      return InvalidArgument("\"" + std::string(name) +
                             "\" is a per-CPU variable: give the address of one " + "CPU's, '" +
                             types.NameOf(variable.value().type) + "@ADDRESS'");
    }
    KCD_ASSIGN(Question question, ResolvePlace(kernel, place));
    question.spot.type = variable.value().type;
    return question;
  }
  const std::string text(place);
  if (types.Find(SplitType(place).first).ok()) {
    return InvalidArgument("\"" + text +
                           "\" is a type without an address; write 'TYPE@WHERE', or --layout");
  }
  return InvalidArgument("give the type, 'TYPE@" + text +
                         "': this kernel's BTF does not tell those of its variables");
}

Result<Question> Understand(Kernel& kernel, const TypeCatalog& types, std::string_view text) {
  const size_t sign = text.find('@');
  if (sign != std::string_view::npos && sign != 0) {
    KCD_ASSIGN(const Spot spot, FindTypeOf(types, text.substr(0, sign)));
    KCD_ASSIGN(Question question, ResolvePlace(kernel, text.substr(sign + 1)));
    question.spot = spot;
    return question;
  }
  return UnderstandVariable(kernel, types, text.substr(sign == 0 ? 1 : 0));
}

}  // namespace

Result<ValueAnswer> ReadValue(Kernel& kernel, std::string_view expression,
                              const PrintOptions& options) {
  Session& session = kernel.session();
  KCD_ASSIGN(const TypeCatalog* types, session.NeedTypes());
  KCD_ASSIGN(Question question, Understand(kernel, *types, expression));
  question.spot.address = question.at.address;
  std::unique_ptr<MemoryView> process;
  if (question.at.space == Target::Space::kProcess) {
    KCD_ASSIGN(process, OpenProcess(session, question.at.pid));
  }
  const bool physical = question.at.space == Target::Space::kPhysical;
  MemoryView& pointers = process != nullptr ? *process : session.kernel();
  const PrintSources sources{.types = *types,
                             .memory = physical ? session.physical() : pointers,
                             .pointers = pointers,
                             .names = KernelWordNames(kernel)};
  KCD_ASSIGN(PathAnswer read, ReadAlong(sources, question.spot, question.path, Limited(options)));
  ValueAnswer& answer = read.answer;
  answer.at.space = physical && read.followed ? Target::Space::kKernel : question.at.space;
  answer.at.pid = question.at.pid;
  if (answer.at.space == Target::Space::kKernel) answer.symbol = sources.names(answer.at.address);
  if (!answer.findings.incomplete || !read.missing) return std::move(answer);
  std::byte byte{};
  Target missing = answer.at;
  missing.address = *read.missing;
  KCD_ASSIGN(const Reading reading, ReadMemory(kernel, missing, {&byte, 1}));
  answer.not_reached = reading.not_reached;
  return std::move(answer);
}

Result<LayoutAnswer> ReadLayout(Kernel& kernel, std::string_view expression,
                                const PrintOptions& options) {
  if (expression.find('@') != std::string_view::npos) {
    return InvalidArgument(
        "a layout has no address: write 'struct task_struct.comm', without the @");
  }
  KCD_ASSIGN(const TypeCatalog* types, kernel.session().NeedTypes());
  const auto [type, path] = SplitType(expression);
  KCD_ASSIGN(const Spot spot, FindTypeOf(*types, type));
  KCD_ASSIGN(const auto steps, ParsePath(path));
  return LayoutAlong(*types, spot, steps, Limited(options));
}

}  // namespace kcoredump
