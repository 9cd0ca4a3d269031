// SPDX-License-Identifier: MIT
#include <memory>

#include "cmd/commands.h"
#include "kcoredump/inspect.h"

namespace kcoredump::cmd {

void AddInfo(CLI::App& app, Context& context) {
  struct Arguments {
    std::string file = DefaultSource();
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "info", "Kernel, memory ranges and page accounting of an image or the live kernel");
  command->footer(kExitHelp);
  command
      ->add_option("-f,--file", arguments->file, "An image of any format; default: the live kernel")
      ->option_text("FILE")
      ->check(NotEmpty());
  command->add_flag("--json", arguments->json, "One JSON object on standard output");
  command->callback([arguments, &context] {
    const auto info = Describe(arguments->file);
    if (!info.ok()) {
      context.status = Fail(info.error());
      return;
    }
    const ImageInfo& image = info.value();
    int status = kExitComplete;
    if (image.is_file && image.pages.holes() != 0) status = kExitHoles;
    if (image.is_file && !image.complete) status = kExitPartial;
    if (!image.damage.empty()) status = kExitCorrupt;
    context.status = PrintOut(arguments->json ? ToJson(image) + "\n" : ToText(image), status);
  });
}

}  // namespace kcoredump::cmd
