#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keeps the house as it is planned: who includes whom, what CMake declares, licences, top level.

check_includes.py REPOSITORY

A room includes its own files, lower rooms and include/kcoredump. capture and inspect never meet.
Before it looks at the repository, it proves on forged trees that it can fail.
"""

import fnmatch
import re
import sys
import tempfile
from pathlib import Path

LAYERS = [["base"], ["elf"], ["source"], ["format"], ["kernel"], ["space"], ["symbol"],
          ["capture", "inspect"], ["serve", "abi", "schema"], ["cmd"]]
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}
PUBLIC = "include"

# System headers that only some may see: a pattern of the header, a pattern of the files.
RESERVED = [
    ("libelf.h", "lib/elf/*"), ("gelf.h", "lib/elf/*"), ("elfutils/*", "lib/elf/*"),
    ("zstd*.h", "lib/format/codec*"), ("xxhash.h", "lib/format/codec*"),
    ("openssl/*", "lib/base/hash256*"),
    ("zlib.h", "lib/format/codec*"), ("lzma.h", "lib/format/codec*"),
    ("lzo/*", "lib/format/codec*"), ("snappy*.h", "lib/format/codec*"),
    ("bpf/*", "lib/symbol/*"), ("capstone/*", "lib/inspect/code/disassembler*"), ("CLI/*", "cmd/*"),
    ("fuse*", "lib/serve/mount_fuse*"), ("png.h", "lib/inspect/picture/map_png*"),
]
CMD_SYSTEM_FOLDERS = {"sys", "linux", "asm", "CLI"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|include_next|import)[ \t]*(.*)$', re.MULTILINE)
TOP_LEVEL = {"cmd", "lib", "include", "tests", "completions", "CMakeLists.txt",
             "CMakePresets.json", "README.md", "LICENSE"}
LICENCE = "SPDX-License-Identifier: MIT"
WITHOUT_LICENCE = ("*.md", "*.json", "LICENSE")  # neither code nor, in JSON, a place for a comment


def room_of(path):
    """The room of a file, by its path within the repository."""
    parts = Path(path).parts
    if parts[0] == "lib":
        return parts[1] if len(parts) > 2 else None
    return parts[0] if parts[0] in ("cmd", PUBLIC) else None


def cpp_files(root):
    for folder in ("lib", "cmd", "include"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".hpp", ".cc", ".cpp", ".c", ".inc"):
                yield path.relative_to(root).as_posix()


def includes_of(text):
    """(header, written with <>) of each include; None for what cannot be understood."""
    for operand in INCLUDE.findall(text):
        found = re.match(r'"([^"]+)"|<([^>]+)>', operand)
        yield (found.group(1) or found.group(2), bool(found.group(2))) if found else (None, False)


def target_room(header):
    """The room that a header names; None: a system header, or a quoted one of no room."""
    first = header.split("/")[0]
    if first == "kcoredump":
        return PUBLIC
    if first in HEIGHT and "/" in header:
        return first
    return None


def may_include(room, target):
    if target == PUBLIC or room == target:
        return True
    if room in (PUBLIC, "cmd"):
        return False
    return HEIGHT[target] < HEIGHT[room]


def check_include(path, header, angled):
    """What is wrong with an include; None: nothing."""
    room = room_of(path)
    if header is None:
        return "an include that is not a plain name"
    if ".." in header.split("/") or header.startswith("/"):
        return f"{header}: a path that leaves its root"
    target = target_room(header)
    if target is not None:
        return None if may_include(room, target) else f"{room} must not include {header}"
    if not angled:
        return f'"{header}" is in no room (write ROOM/FILE)'
    return check_system_header(path, room, header)


def check_system_header(path, room, header):
    for pattern, files in RESERVED:
        if fnmatch.fnmatch(header, pattern) and not fnmatch.fnmatch(path, files):
            return f"<{header}> is for {files} alone"
    if room == PUBLIC and not re.fullmatch(r"[a-z_]+|std(int|def|bool)\.h", header):
        return f"a public header must not include <{header}>"
    folder = header.split("/")[0]
    if room == "cmd" and "/" in header and folder not in CMD_SYSTEM_FOLDERS:
        return f"cmd must not include <{header}>"
    return None


def check_files(root):
    problems = []
    for path in cpp_files(root):
        room = room_of(path)
        if room is None or (room != PUBLIC and room not in HEIGHT):
            problems.append(f"{path}: in no room of the house")
            continue
        for header, angled in includes_of((root / path).read_text(encoding="utf-8")):
            problem = check_include(path, header, angled)
            if problem:
                problems.append(f"{path}: {problem}")
    return problems


def rooms_of_cmake(text):
    """{room: (sources, needs)} of the add_room calls."""
    rooms = {}
    text = re.sub(r"#.*", "", text)
    for body in re.findall(r"^\s*add_room\(([^)]*)\)", text, re.MULTILINE):
        words = body.split()
        lists, current = {"SOURCES": [], "NEEDS": []}, None
        for word in words[1:]:
            if word in lists:
                current = word
            else:
                lists[current].append(word)
        rooms[words[0]] = (lists["SOURCES"], lists["NEEDS"])
    return rooms


def needed_rooms(rooms, room):
    """What a room declares to need, and what those need."""
    reached, open_ends = set(), [room]
    while open_ends:
        for need in rooms.get(open_ends.pop(), ([], []))[1]:
            name = need.removeprefix("room_")
            if need.startswith("room_") and name not in reached:
                reached.add(name)
                open_ends.append(name)
    return reached


def check_cmake(root):
    text = (root / "CMakeLists.txt").read_text(encoding="utf-8")
    rooms = rooms_of_cmake(text)
    problems = []
    for room, (sources, needs) in rooms.items():
        problems += check_room_call(root, rooms, room, sources, needs)
    for path in cpp_files(root):
        room = room_of(path)
        if path.startswith("lib/") and path.endswith((".cc", ".cpp", ".c")):
            if path not in rooms.get(room, ([], []))[0]:
                problems.append(f"CMakeLists.txt: {path} is not among the sources of its room")
    return problems


def check_room_call(root, rooms, room, sources, needs):
    where = f"CMakeLists.txt, add_room({room}"
    if room not in HEIGHT or room == "cmd":
        return [f"{where}): no such room"]
    problems = []
    for source in sources:
        if room_of(source) != room or not (root / source).is_file():
            problems.append(f"{where}): {source} is not a file of this room")
    for need in needs:
        name = need.removeprefix("room_")
        if need.startswith("room_") and (name not in HEIGHT or not may_include(room, name)
                                         or name == room):
            problems.append(f"{where}): must not need {need}")
    declared = needed_rooms(rooms, room) | {room, PUBLIC}
    for used in sorted(rooms_used(root, room) - declared):
        problems.append(f"{where}): its files include {used}, which its NEEDS do not name")
    return problems


def rooms_used(root, room):
    used = set()
    for path in cpp_files(root):
        if room_of(path) == room:
            headers = includes_of((root / path).read_text(encoding="utf-8"))
            used |= {target_room(header) for header, _ in headers if header}
    return used - {None}


def ignored_names(root):
    path = root / ".gitignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line.strip().strip("/") for line in lines if line.strip() and line[0] not in "#!"]


def is_ignored(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def check_top_level(root):
    ignored = ignored_names(root)
    return [f"{path.name}: the top level is not the place for it" for path in sorted(root.iterdir())
            if path.name not in TOP_LEVEL and not path.name.startswith(".")
            and not is_ignored(path.name, ignored)]


def our_files(root):
    """Every file that is ours: the places of the top level, without what git ignores."""
    ignored = ignored_names(root)
    open_folders = [root / name for name in sorted(TOP_LEVEL) + [".ci"]]
    while open_folders:
        path = open_folders.pop()
        if is_ignored(path.name, ignored) or path.is_symlink():
            continue
        if path.is_dir():
            open_folders += sorted(path.iterdir())
        elif path.is_file():
            yield path


def check_licences(root):
    problems = []
    for path in our_files(root):
        name = path.relative_to(root).as_posix()
        is_data = name.startswith("tests/data/") or any(
            fnmatch.fnmatch(path.name, pattern) for pattern in WITHOUT_LICENCE)
        if is_data:
            continue
        head = path.read_bytes()[:1024].decode(errors="replace").splitlines()[:5]
        if not any(LICENCE in line for line in head):
            problems.append(f"{name}: no line \"{LICENCE}\" at its top")
    return problems


def check(root):
    return check_files(root) + check_cmake(root) + check_top_level(root) + check_licences(root)


# The self-test: a small house that is in order, and what is wrong when one file changes.

SPDX = f"// {LICENCE}\n"
SOUND = {
    "LICENSE": "MIT\n",
    "README.md": "x\n",
    ".gitignore": "build/\n*.partial\n",
    "build/anything": "x",
    "CMakeLists.txt": f"# {LICENCE}\nadd_room(base SOURCES lib/base/a.cc)\n"
                      "add_room(elf SOURCES lib/elf/e.cc NEEDS room_base)\n"
                      "add_room(format SOURCES lib/format/codec.cc NEEDS room_elf)\n"
                      "add_room(capture SOURCES lib/capture/c.cc NEEDS room_format x::y)\n"
                      "add_room(inspect SOURCES lib/inspect/i.cc NEEDS room_format)\n",
    "include/kcoredump/a.h": SPDX + '#include <cstdint>\n#include "kcoredump/b.h"\n',
    "lib/base/a.cc": SPDX + '#include "base/a.h"\n#include <unistd.h>\n#include <elf.h>\n',
    "lib/elf/e.cc": SPDX + '#include <libelf.h>\n#include "base/a.h"\n',
    "lib/format/codec.cc": SPDX + "#include <zstd.h>\n#include <xxhash.h>\n",
    "lib/capture/c.cc": SPDX + '#include "base/a.h"\n#include "kcoredump/a.h"\n',
    "lib/inspect/i.cc": SPDX + '#include "elf/e.h"\n#include "format/x/y.h"\n',
    "cmd/main.cc": SPDX + '#include <CLI/CLI.hpp>\n#include <sys/ioctl.h>\n#include "cmd/m.h"\n',
    "tests/cli/t.py": f"#!/usr/bin/env python3\n# {LICENCE}\n",
}
FORGERIES = [
    # (file, text added to it, what must be said)
    ("lib/base/a.cc", '#include "elf/e.h"\n', "base must not include elf/e.h"),
    ("lib/elf/e.cc", "#  include <format/x.h>\n", "elf must not include format/x.h"),
    ("lib/capture/c.cc", '#include "inspect/i.h"\n', "capture must not include inspect/i.h"),
    ("lib/inspect/i.cc", '#include "capture/c.h"\n', "inspect must not include capture/c.h"),
    ("lib/inspect/i.cc", '#include "cmd/m.h"\n', "inspect must not include cmd/m.h"),
    ("lib/inspect/i.cc", '#include "i.h"\n', "is in no room"),
    ("lib/inspect/i.cc", '#include "../capture/c.h"\n', "leaves its root"),
    ("lib/inspect/i.cc", "#include HEADER\n", "not a plain name"),
    ("lib/inspect/i.cc", "#include <gelf.h>\n", "<gelf.h> is for lib/elf/* alone"),
    ("lib/format/reader.cc", SPDX + "#include <zstd.h>\n", "<zstd.h> is for lib/format/codec*"),
    ("lib/capture/c.cc", "#include <xxhash.h>\n", "<xxhash.h> is for lib/format/codec*"),
    ("lib/base/a.cc", "#include <CLI/CLI.hpp>\n", "<CLI/CLI.hpp> is for cmd/* alone"),
    ("lib/inspect/i.cc", "#include <capstone/capstone.h>\n", "is for lib/inspect/code/disassembler*"),
    ("cmd/main.cc", '#include "base/a.h"\n', "cmd must not include base/a.h"),
    ("cmd/main.cc", "#include <nlohmann/json.hpp>\n", "cmd must not include <nlohmann/json.hpp>"),
    ("include/kcoredump/a.h", "#include <unistd.h>\n", "public header must not include <unistd.h>"),
    ("include/kcoredump/a.h", '#include "base/a.h"\n', "include must not include base/a.h"),
    ("lib/attic/a.cc", SPDX, "in no room of the house"),
    ("lib/a.cc", SPDX, "in no room of the house"),
    ("lib/base/b.cc", SPDX, "lib/base/b.cc is not among the sources"),
    ("lib/base/b.h", "// no licence\n", "lib/base/b.h: no line"),
    ("tests/cli/u.py", "#!/usr/bin/env python3\n", "tests/cli/u.py: no line"),
    ("notes.txt", "x", "notes.txt: the top level is not the place"),
    ("CMakeLists.txt", "add_room(source NEEDS room_capture)\n", "must not need room_capture"),
    ("CMakeLists.txt", "add_room(attic)\n", "no such room"),
    ("CMakeLists.txt", "add_room(space SOURCES lib/base/a.cc)\n", "not a file of this room"),
    ("lib/capture/c.cc", '#include "kernel/k.h"\n', "include kernel, which its NEEDS do not name"),
]


def write_house(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def problems_of_house(files):
    with tempfile.TemporaryDirectory(prefix="kcoredump-house-") as folder:
        write_house(Path(folder), files)
        return check(Path(folder))


def self_test():
    failures = [f"self-test: a sound house is blamed: {p}" for p in problems_of_house(SOUND)]
    for name, added, wanted in FORGERIES:
        problems = problems_of_house({**SOUND, name: SOUND.get(name, "") + added})
        if not any(wanted in problem for problem in problems):
            failures.append(f"self-test: {added!r} in {name} gave {problems}, not \"{wanted}\"")
    return failures


def main():
    problems = self_test() or check(Path(sys.argv[1]).resolve())
    print("\n".join(problems) or "the house is in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
