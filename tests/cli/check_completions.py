#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds completions/ against the command tree that the program itself shows in --help.

check_completions.py PROGRAM COMPLETIONS_DIRECTORY

Each file is read as text, and each shell that is installed is asked what it would really offer.
"""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAIN = "main"  # the program without a subcommand
FILES = "<files>"  # what the helpers for bash and zsh say for any file names

# A tree maps each command to its options, and each option to its fixed values (often none).


def help_text(program, *words):
    command = [program, *words, "--help"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def help_section(text, title):
    """The lines of a section, up to the empty line that ends it."""
    found = re.search(rf"^{title}:\n((?:  .*\n)+)", text, re.MULTILINE)
    return found.group(1).splitlines() if found else []


def options_of_help(text):
    options = {}
    for line in help_section(text, "Options"):
        if not re.match(r"  -", line):
            continue  # a description on a line of its own
        names, _, rest = line.strip().partition(" ")
        values = re.match(r"\s*\{([^}]*)\}", rest)
        for name in names.split(","):
            options[name] = set(values.group(1).split(",")) if values else set()
    return options


def tree_of_program(program):
    text = help_text(program)
    tree = {MAIN: options_of_help(text)}
    for line in help_section(text, "Subcommands"):
        name = re.match(r"  ([a-z][\w-]*)", line)
        if name:
            tree[name.group(1)] = options_of_help(help_text(program, name.group(1)))
    return tree


def tree_of_bash(text):
    """Reads the tables at the top of the bash file."""

    def table(name):
        body = re.search(rf"{name}=\((.*?)\n\)", text, re.DOTALL).group(1)
        body = re.sub(r"^\s*#.*$", "", body, flags=re.MULTILINE)
        return {key: value.split() for key, value in re.findall(r'\[(\S+?)\]="([^"]*)"', body)}

    values = table("_kcoredump_values")
    tree = {}
    for command, options in table("_kcoredump_options").items():
        tree[command] = {
            option: set(values.get(option, [])) - {"files", "-"} for option in options
        }
    commands = re.search(r'^_kcoredump_commands="([^"]*)"', text, re.MULTILINE).group(1).split()
    if set(commands) != set(tree) - {MAIN}:
        raise ValueError("its list of commands and its table of options differ")
    return tree


def tree_of_zsh(text):
    """Reads the _arguments specifications of each _kcoredump_COMMAND function."""
    tree = {}
    for command, body in re.findall(r"^_kcoredump_(\w+)\(\) \{\n(.*?)^\}", text, re.S | re.M):
        options = tree.setdefault(command, {})
        for spec in re.findall(r"^    ('.*?')(?: \\)?$", body, re.MULTILINE):
            add_zsh_spec(spec, options)
    listed = re.findall(r"^    '([a-z]\w*):", text, re.MULTILINE)
    if set(listed) != set(tree) - {MAIN}:
        raise ValueError("its list of commands and its functions differ")
    return tree


def add_zsh_spec(spec, options):
    names = re.sub(r"\[.*", "", re.sub(r"^'\([^)]*\)'?", "'", spec))
    values = re.search(r":\(([^)]*)\)'$", spec)
    for name in re.findall(r"(?<![\w-])--?[a-z][\w-]*", names):
        options[name] = set(values.group(1).split()) if values else set()


def tree_of_fish(text):
    tree = {MAIN: {}}
    everywhere = {}
    for line in text.splitlines():
        if not line.startswith("complete -c kcoredump "):
            continue
        flags = fish_flags(shlex.split(line)[3:])
        condition = flags.get("-n", "")
        seen = re.fullmatch(r"__fish_seen_subcommand_from (\w+)", condition)
        target = tree.setdefault(seen.group(1), {}) if seen else tree[MAIN]
        if not condition:
            target = everywhere
        add_fish_line(flags, target, tree, condition == "__fish_use_subcommand")
    for options in tree.values():
        options.update(everywhere)
    return tree


def fish_flags(words):
    """{"-s": "f", "-F": ""} of "-s f -F"."""
    flags = {}
    while words:
        flag = words.pop(0)
        flags[flag] = words.pop(0) if flag in ("-n", "-s", "-l", "-a", "-d") else ""
    return flags


def add_fish_line(flags, target, tree, at_first_word):
    values = set(flags.get("-a", "").split())
    names = ["-" + flags["-s"]] if "-s" in flags else []
    names += ["--" + flags["-l"]] if "-l" in flags else []
    for name in names:
        target[name] = values
    if not names and at_first_word:
        for command in values:
            tree.setdefault(command, {})


def differences(wanted, found, where):
    """A line for all that `found` lacks or has in excess."""
    lines = []
    for command in sorted(set(wanted) | set(found)):
        if command not in found or command not in wanted:
            what = "lacks" if command in wanted else "has in excess"
            lines.append(f"{where} {what} the command {command}")
            continue
        lines += option_differences(wanted[command], found[command], f"{where}, {command}:")
    return lines


def option_differences(wanted, found, where):
    lines = [f"{where} lacks {name}" for name in sorted(set(wanted) - set(found))]
    lines += [f"{where} has {name} in excess" for name in sorted(set(found) - set(wanted))]
    for name in sorted(set(wanted) & set(found)):
        if wanted[name] != found[name]:
            lines.append(
                f"{where} offers {sorted(found[name])} for {name}, not {sorted(wanted[name])}"
            )
    return lines


def ask_bash(directory, words):
    script = HERE / "bash_complete.bash"
    command = ["bash", "--norc", script, directory / "kcoredump.bash", *words]
    return set(subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
               .stdout.split())


def ask_fish(directory, words):
    script = f'source {shlex.quote(str(directory / "kcoredump.fish"))}; complete -C $argv[1]'
    command = ["fish", "--no-config", "-c", script, " ".join(words)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    return {line.split("\t")[0] for line in out.splitlines()}


def read_until(terminal, mark):
    out = b""
    end = time.monotonic() + 30
    while mark not in out:
        if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError(f"zsh did not say {mark!r} but {out!r}")
        chunk = os.read(terminal, 65536)
        if not chunk:
            break
        out += chunk
    return out.decode(errors="replace")


def ask_zsh(directory, words):
    """zsh completes only within its line editor, which wants a terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(COMPLETION_DIRECTORY=str(directory), TERM="dumb")
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        script = shlex.quote(str(HERE / "zsh_complete.zsh"))
        os.write(terminal, f"stty -echo; source {script}\n".encode())
        read_until(terminal, b"READY")
        os.write(terminal, " ".join(words).encode() + b"\x18\x01")
        out = read_until(terminal, b"\nEND").replace("\r", "")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return set(re.findall(r"^MATCH (\S+)$", out.split("START", 1)[1], re.MULTILINE))


def shell_differences(ask, tree, where):
    """Holds what a shell offers at each place of the tree against the tree."""
    lines = []

    def expect(words, wanted):
        offered = ask(words) - {FILES}
        if offered != wanted:
            lines.append(
                f"{where}: for \"{' '.join(words)}\" it offers {sorted(offered)}, "
                f"not {sorted(wanted)}"
            )

    expect(["kcoredump", ""], set(tree) - {MAIN})
    for command, options in tree.items():
        line = ["kcoredump"] + ([command] if command != MAIN else [])
        expect([*line, "-"], set(options))
        for option, values in options.items():
            if values:
                expect([*line, option, ""], values)
    return lines


def check_files(ask, places, where):
    """File names where files belong, and nowhere else. `places` maps words to file, or not."""
    lines = []
    for words, wanted in places:
        offered = ask(words)
        if (FILES in offered or "/etc/passwd" in offered) != wanted:
            lines.append(f"{where}: \"{' '.join(words)}\" {'lacks' if wanted else 'offers'} files")
    return lines


def file_places(stem):
    return [
        (["kcoredump", "capture", "-f", stem], True),
        (["kcoredump", "capture", "--output", stem], True),
        (["kcoredump", "verify", stem], True),
        (["kcoredump", "info", "--file", stem], True),
        (["kcoredump", "read", "-f", stem], True),
        (["kcoredump", "capture", stem], False),
        (["kcoredump", "capture", "--level", stem], False),
    ]


def self_test(tree):
    """The comparison must see what is lacking, in excess or different."""
    for forge in (
        lambda t: t.pop("read"),
        lambda t: t.update(extra={}),
        lambda t: t["capture"].pop("--force"),
        lambda t: t["capture"].update({"--no-such": set()}),
        lambda t: t["capture"].update({"--progress": {"auto"}}),
    ):
        forged = {command: dict(options) for command, options in tree.items()}
        forge(forged)
        if not differences(tree, forged, "forged"):
            return ["self-test: a forged tree was not noticed"]
    return []


def main():
    program, directory = sys.argv[1], Path(sys.argv[2]).resolve()
    tree = tree_of_program(program)
    understood = {"capture", "info", "verify", "read"} <= set(tree)
    lines = self_test(tree) if understood else ["--help was not understood"]
    shells = {
        "bash": ("kcoredump.bash", tree_of_bash, ask_bash, ""),
        "zsh": ("_kcoredump", tree_of_zsh, ask_zsh, ""),
        "fish": ("kcoredump.fish", tree_of_fish, ask_fish, "/etc/pass"),
    }
    for shell, (name, parse, ask, stem) in shells.items():
        try:
            text = (directory / name).read_text(encoding="utf-8")
            lines += differences(tree, parse(text), name)
        except (OSError, ValueError, AttributeError) as problem:
            lines.append(f"{name} cannot be read: {problem}")
            continue
        if shutil.which(shell) is None:
            print(f"{shell} is not installed; {name} was read as text only")
            continue
        lines += shell_differences(lambda words, ask=ask: ask(directory, words), tree, shell)
        places = file_places(stem)
        lines += check_files(lambda words, ask=ask: ask(directory, words), places, shell)
    print("\n".join(lines) or "completions and command tree agree")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
