// SPDX-License-Identifier: MIT
#include "kcoredump/map.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "cmd/commands.h"

namespace kcoredump::cmd {

namespace {

constexpr uint32_t kAddressColumns = 20;  ///< "0x", 16 digits and two spaces before a line's cells
constexpr uint32_t kFileSide = 256;       ///< cells a side of a drawing in a file

struct MapArguments {
  LookOptions look;
  std::string by = "class";
  uint32_t width = 0;  ///< 0: what fits
  uint32_t height = 0;
  std::string png;
  std::string svg;
  bool force = false;

  [[nodiscard]] bool to_file() const { return !png.empty() || !svg.empty(); }
};

bool EnvironmentHas(const char* name, std::string_view part) {
  const char* value = std::getenv(name);
  return value != nullptr && std::string_view(value).find(part) != std::string_view::npos;
}

/// No colours: no terminal, NO_COLOR, or one that has none.
MapColours ColoursOf(const TextStyle& style) {
  if (!style.colour || EnvironmentHas("TERM", "dumb")) return MapColours::kNone;
  const bool rgb = EnvironmentHas("COLORTERM", "truecolor") ||
                   EnvironmentHas("COLORTERM", "24bit") || EnvironmentHas("TERM", "-direct");
  return rgb ? MapColours::kTrue : MapColours::k16;
}

Result<MapOptions> OptionsOf(const MapArguments& arguments, const TextStyle& style) {
  MapOptions options;
  auto by = ParseMapBy(arguments.by);
  if (!by.ok()) return std::move(by.error());
  options.by = by.value();
  if (arguments.to_file()) {
    options.width = options.height = kFileSide;
  } else if (!arguments.look.json && style.columns > kAddressColumns) {
    options.width = std::min(style.columns - kAddressColumns, kMaxMapSide);
  }
  if (!arguments.to_file() && !arguments.look.json && ColoursOf(style) == MapColours::kNone) {
    options.height /= 2;  // as many lines as with half blocks
  }
  if (arguments.width != 0) options.width = arguments.width;
  if (arguments.height != 0) options.height = arguments.height;
  return options;
}

Status WriteFiles(const MapArguments& arguments, const MemoryMapPicture& picture) {
  if (!arguments.svg.empty()) {
    auto done = WriteWhole(arguments.svg, ToSvg(picture), arguments.force);
    if (!done.ok()) return done;
  }
  if (arguments.png.empty()) return {};
  const auto png = ToPng(picture);
  return png.ok() ? WriteWhole(arguments.png, png.value(), arguments.force) : Status(png.error());
}

int ShowMap(Kernel& kernel, const MapArguments& arguments) {
  const TextStyle style = StdoutStyle();
  const auto options = OptionsOf(arguments, style);
  if (!options.ok()) return Fail(options.error());
  const auto drawn = DrawMemory(kernel, options.value());
  if (!drawn.ok()) return Fail(drawn.error());
  const MemoryMapPicture& picture = drawn.value();
  if (const Status written = WriteFiles(arguments, picture); !written.ok()) {
    return Fail(written.error());
  }
  std::string text;
  if (arguments.look.json) {
    text = AsJson(arguments.look, ToJson(picture));
  } else if (!arguments.to_file()) {
    text = ToText(picture, ColoursOf(style));
  }
  return PrintAnswer(text, picture.findings);
}

void AddMapOptions(CLI::App* command, MapArguments& arguments) {
  AddLookOptions(command, arguments.look, "cells");
  command->add_option("--by", arguments.by, "class, outcome, entropy or time; default: class")
      ->option_text("{class,outcome,entropy,time}")
      ->check(CLI::IsMember({"class", "outcome", "entropy", "time"}));
  const CLI::Range side(1U, kMaxMapSide);
  command->add_option("--columns", arguments.width, "Cells in a row; default: what fits")
      ->option_text("N")
      ->check(side);
  command
      ->add_option("--rows", arguments.height,
                   "Rows of cells at most; default: 48, or 24 of letters")
      ->option_text("N")
      ->check(side);
  command->add_option("--png", arguments.png, "Draw into this new file, of 256 by 256 cells")
      ->option_text("FILE")
      ->check(NotEmpty());
  command->add_option("--svg", arguments.svg, "The same as SVG")
      ->option_text("FILE")
      ->check(NotEmpty());
  command->add_flag("--force", arguments.force, "Replace existing files");
}

}  // namespace

void AddMap(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<MapArguments>();
  CLI::App* command =
      app.add_subcommand("map", "Draw physical memory: what each part of it is used for");
  command->footer(
      "class: what the kernel uses pages for. outcome: how the image came to hold them, or why it\n"
      "does not. entropy: of a few pages of each cell. time: when the capture read them. A cell\n"
      "shows what most of its pages are, or a hole where there is one. In 24-bit colours where\n"
      "COLORTERM says truecolor, else in 16; in letters with NO_COLOR or without a terminal.\n\n"
      "  kcoredump map -f web1.elf.zst\n"
      "  kcoredump map -f web1.elf.zst --by entropy --png web1.png\n\n" +
      std::string(kExitHelp));
  AddMapOptions(command, *arguments);
  command->callback([arguments, &context] {
    context.status =
        WithKernel(arguments->look, [&](Kernel& kernel) { return ShowMap(kernel, *arguments); });
  });
}

}  // namespace kcoredump::cmd
