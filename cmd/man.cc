// SPDX-License-Identifier: MIT
//
// Manual pages out of the tree that --help is made of, so that the two say the same.
#include <algorithm>
#include <fstream>

#include "cmd/commands.h"
#include "kcoredump/version.h"

namespace kcoredump::cmd {

namespace {

/// Text for roff (groff_char(7)): backslashes, and hyphens that must stay hyphens; a line must not
/// begin like a request.
std::string Roff(const std::string& text) {
  std::string out;
  bool at_line_start = true;
  for (const char character : text) {
    if (at_line_start && (character == '.' || character == '\'')) out += "\\&";
    if (character == '\\') {
      out += "\\e";
    } else if (character == '-') {
      out += "\\-";
    } else {
      out += character;
    }
    at_line_start = character == '\n';
  }
  return out;
}

std::string OptionText(const CLI::Option& option) {
  std::string text = option.nonpositional() ? option.get_name(false, true) : option.get_name(true);
  const std::string& value = option.get_option_text();
  if (option.nonpositional() && !value.empty() && value != " ") text += " " + value;
  return text;
}

std::string Options(const CLI::App& app, bool positional) {
  std::string text;
  const auto wanted = [&](const CLI::Option* option) {
    return option->nonpositional() != positional && !option->get_group().empty();
  };
  for (const CLI::Option* option : app.get_options(wanted)) {
    text += ".TP\n.B " + Roff(OptionText(*option)) + "\n" + Roff(option->get_description()) + "\n";
  }
  return text.empty() ? text
                      : std::string(".SH ") + (positional ? "ARGUMENTS\n" : "OPTIONS\n") + text;
}

std::string Usage(const CLI::App& app, const std::string& name) {
  std::string text = ".SH SYNOPSIS\n.B " + Roff(name) + "\n[\\fIOPTIONS\\fR]";
  for (const CLI::Option* option : app.get_options([](const CLI::Option* each) {
         return !each->nonpositional() && !each->get_group().empty();
       })) {
    const bool optional = !option->get_required();
    text += std::string(optional ? " [" : " ") + "\\fI" + Roff(option->get_name(true)) + "\\fR";
    if (option->get_items_expected_max() > 1) text += "...";
    if (optional) text += "]";
  }
  return text + (app.get_require_subcommand_min() != 0 ? " \\fICOMMAND\\fR\n" : "\n");
}

std::string Commands(const CLI::App& app) {
  std::string text;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    text += ".TP\n.BR kcoredump\\-" + Roff(command->get_name()) + " (1)\n" +
            Roff(command->get_description()) + "\n";
  }
  return text.empty() ? text : ".SH COMMANDS\n" + text;
}

std::string Page(const CLI::App& app, const std::string& name, const std::string& usage) {
  std::string title = name;
  std::transform(title.begin(), title.end(), title.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return ".TH " + Roff(title) + " 1 \"\" \"kcoredump " + kVersion + "\" \"User Commands\"\n" +
         ".SH NAME\n" + Roff(name) + " \\- " + Roff(app.get_description()) + "\n" +
         Usage(app, usage) + Options(app, true) + Options(app, false) + Commands(app) +
         ".SH NOTES\n.nf\n" + Roff(app.get_footer()) + "\n.fi\n" +
         (name == "kcoredump" ? "" : ".SH SEE ALSO\n.BR kcoredump (1)\n");
}

void WritePage(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (file.flush()) return;
  PrintError("cannot write " + path);
  throw CLI::RuntimeError(kExitIo);
}

}  // namespace

void WriteManPages(const CLI::App& app, const std::string& folder) {
  WritePage(folder + "/kcoredump.1", Page(app, "kcoredump", "kcoredump"));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    WritePage(
        folder + "/kcoredump-" + command->get_name() + ".1",
        Page(*command, "kcoredump-" + command->get_name(), "kcoredump " + command->get_name()));
  }
}

}  // namespace kcoredump::cmd
