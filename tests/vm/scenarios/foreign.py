# SPDX-License-Identifier: MIT
"""Our dumps in other tools' hands: makedumpfile, libkdumpfile, drgn and gdb read them, page by page."""

import itertools
import json
import pathlib
import re
import shutil
import subprocess

from vmlab.elf import PAGE, Core, differing_pages
from vmlab.errors import check
from vmlab.isf import Found, Isf

from .context import capture, fill_with_noise, prepare_pattern

LINKED_STEXT = 0xFFFFFFFF81000000
DEBIAN_PYTHON = "/usr/bin/python3"  # the one that Debian's modules are made for
PAGES_SCRIPT = pathlib.Path(__file__).parent.parent / "foreign_pages.py"
SUFFIXES = {"snapshot": ".elf.zst", "elf": ".elf", "kdump": ".kdump", "flattened": ".flat", "lime": ".lime",
            "avml": ".avml", "raw": ".raw"}
CODECS = ("zlib", "lzo", "snappy", "zstd", "none")
LIBRARIES = {"kdumpfile": "python3-libkdumpfile", "drgn": "python3-drgn"}
CANNOT_OPEN = 3
TOOL_SECONDS = 120


def run(context):
    """One guest; its snapshot in every form, in everybody's hands."""
    snapshot, words = take(context)
    core = Core(context.unpack(snapshot))
    check_isf(context, snapshot, core, words)
    dumps = write_all(context, snapshot)
    for path in dumps.values():
        check_page_by_page(context, core, path)
    check_makedumpfile(context, core, dumps)
    check_gdb(context, core, dumps["elf"])
    for path in dumps.values():
        path.unlink()
    walk_every_pair(context, core, snapshot)


def take(context):
    """A capture, and what the guest says of its kernel."""
    image = context.disk()
    with context.guest([context.need("pattern")], disks=[image], memory=256, la57=False) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        prepare_pattern(guest)
        fill_with_noise(guest, 8)
        words = {name: guest.must(command) for name, command in (
            ("symbols", "grep -E ' (_stext|init_task)$' /proc/kallsyms"), ("modules", "cat /proc/modules"),
            ("tasks", "cat /proc/[0-9]*/stat 2>/dev/null"), ("version", "cat /proc/version"))}
        capture(guest, "-o /mnt/x.elf.zst").expect(0)
        guest.must("sync")
        return context.pull(image, "/x.elf.zst"), words


def check_isf(context, snapshot, core, words):
    """`export isf` of the snapshot: well-formed, and Volatility's steps lead with it to the guest's own words."""
    isf = Isf(context.host("export", "isf", "-f", snapshot)).check()
    found = Found(isf, core)
    symbols = {words[2]: int(words[0], 16) for words in map(str.split, words["symbols"].splitlines())}
    offset = symbols["_stext"] - LINKED_STEXT
    check(found.shift == offset, f"isf: the kernel is found {found.shift:#x} from where it was linked, not {offset:#x}")
    check(isf.address("init_task") == symbols["init_task"] - offset, f"isf: init_task at {isf.address('init_task'):#x}")
    check(isf.banner == words["version"].encode() + b"\0", f"isf: the banner is {isf.banner}")
    check(isf.size_of(isf.member("task_struct", "comm")[1]) == 16, "isf: task_struct.comm has not 16 bytes")
    modules = sorted(line.split()[0] for line in words["modules"].splitlines())
    check(found.modules() == modules, f"isf: modules {found.modules()}, the guest has {modules}")
    tasks = set(found.tasks())
    # Kernel threads come and go, and /proc shows some of them under longer names.
    lasting = {(int(pid), name) for pid, name in re.findall(r"^(\d+) \((sh|guest_pattern|kthreadd|kswapd0)\) ",
                                                            words["tasks"], re.M)}
    check(len(lasting) >= 4 and lasting <= tasks, f"isf: {lasting - tasks} are not among the tasks {sorted(tasks)}")
    print(f"isf: {len(isf.types)} types and {len(isf.parts['symbols'])} symbols lead to {len(tasks)} tasks and "
          f"{len(modules)} modules", flush=True)


def convert(context, source, target, *options):
    """`kcoredump convert`, which must be complete."""
    report = json.loads(context.host("convert", source, target, *options, "--force", "--json", "--progress", "none"))
    check(report["status"] == "complete" and report["holes"] == [], f"{target.name}: {report['status']}")
    return target


def write_all(context, snapshot):
    """Paths by name: every codec of kdump, and every other format."""
    dumps = {f"kdump-{codec}": convert(context, snapshot, context.folder / f"{codec}.kdump", "--codec", codec)
             for codec in CODECS}
    # makedumpfile of Debian 12 knows zlib and LZO only.
    dumps["flattened"] = convert(context, snapshot, context.folder / "x.flat", "--codec", "zlib")
    for name in ("elf", "lime", "avml", "raw"):
        dumps[name] = convert(context, snapshot, context.folder / f"x{SUFFIXES[name]}")
    return dumps


def check_page_by_page(context, core, path):
    """Both libraries, where they are installed and open such a file: every byte of RAM."""
    for library, package in LIBRARIES.items():
        if not have_library(library):
            print(f"{library}, {path.name}: not installed (Debian package {package})", flush=True)
            continue
        pages = context.folder / "pages"
        ranges = [f"{segment.paddr:#x}-{segment.paddr + segment.filesz:#x}" for segment in core.ram]
        done = tool([DEBIAN_PYTHON, "-B", PAGES_SCRIPT, library, path, pages, *ranges])
        said = done.stdout.decode().strip()
        if done.returncode == CANNOT_OPEN and path.suffix not in (".kdump", ".elf"):
            print(f"{library}, {path.name}: cannot open it: {said}", flush=True)
            continue
        check(done.returncode == 0, f"{library}, {path.name}: exits {done.returncode}: {said}{done.stderr.decode()}")
        compare_pages(core, pages, f"{library}, {path.name}")
        print(f"{library}, {path.name}: {core.page_count()} pages identical ({said})", flush=True)


def have_library(library):
    """Can Debian's Python import it?"""
    return tool([DEBIAN_PYTHON, "-c", f"import {library}"]).returncode == 0


def compare_pages(core, path, name):
    """The file has the bytes of RAM, segment after segment."""
    with open(path, "rb") as handle:
        for segment in core.ram:
            for at in range(0, segment.filesz, 1 << 22):
                size = min(1 << 22, segment.filesz - at)
                mine = core.data[segment.offset + at:segment.offset + at + size]
                theirs = handle.read(size)
                if mine == theirs:
                    continue
                first = next(page for page in range(0, size, PAGE) if mine[page:page + PAGE] != theirs[page:page + PAGE])
                check(False, f"{name}: other bytes at physical {segment.paddr + at + first:#x}")
        check(not handle.read(1), f"{name}: more bytes than RAM has")
    path.unlink()


def tool(words, **options):
    """Another tool, with its output kept."""
    return subprocess.run(list(map(str, words)), stdin=options.pop("stdin", subprocess.DEVNULL), capture_output=True,
                          check=False, timeout=TOOL_SECONDS, **options)


def check_makedumpfile(context, core, dumps):
    """makedumpfile opens ours and writes them anew; what it wrote has every page."""
    if not shutil.which("makedumpfile"):
        print("makedumpfile: not installed", flush=True)
        return
    known = set(re.findall(r"^(\w+)\s+enabled", tool(["makedumpfile", "-v"]).stdout.decode(), re.M)) | {"zlib", "none"}
    target = context.folder / "theirs"
    for name, path in dumps.items():
        if name.startswith("kdump-") and name.removeprefix("kdump-") not in known:
            print(f"makedumpfile, {path.name}: this build was made without {name.removeprefix('kdump-')}", flush=True)
            continue
        if name == "flattened":
            with open(path, "rb") as handle:
                done = tool(["makedumpfile", "-R", target], stdin=handle)
        elif name == "elf" or name.startswith("kdump-"):
            done = tool(["makedumpfile", *(("-E",) if name == "elf" else ("-l",)), "-d", "0", path, target])
        else:
            continue
        check(done.returncode == 0, f"makedumpfile, {path.name}: {(done.stdout + done.stderr).decode()[-600:]}")
        check_same(context, core, target, f"makedumpfile, {path.name}")
        target.unlink()


def check_same(context, core, path, name):
    """A file that another tool made of ours: libkdumpfile, if there is one, and we find every page in it."""
    plain = convert(context, path, context.folder / "plain.elf")
    different = differing_pages(core, Core(plain))
    check(not different, f"{name}: {len(different)} pages differ, first {min(different, default=0):#x}")
    plain.unlink()
    if have_library("kdumpfile"):
        pages = context.folder / "pages"
        ranges = [f"{segment.paddr:#x}-{segment.paddr + segment.filesz:#x}" for segment in core.ram]
        done = tool([DEBIAN_PYTHON, "-B", PAGES_SCRIPT, "kdumpfile", path, pages, *ranges])
        check(done.returncode == 0, f"{name}, then libkdumpfile: {done.stdout.decode()}{done.stderr.decode()}")
        compare_pages(core, pages, f"{name}, then libkdumpfile")
    print(f"{name}: {core.page_count()} pages identical in what it writes", flush=True)


def check_gdb(context, core, path):
    """gdb's memory, by virtual addresses of the direct map and of the image."""
    if not shutil.which("gdb"):
        print("gdb: not installed", flush=True)
        return
    files, steps = [], [f"core-file {path}"]
    for number, segment in enumerate(core.loads):
        files.append(context.folder / f"gdb-{number}")
        steps.append(f"dump binary memory {files[-1]} {segment.vaddr:#x} {segment.vaddr + segment.memsz:#x}")
    done = tool(["gdb", "-nx", "-batch", *(word for step in steps for word in ("-ex", step))])
    for segment, file in zip(core.loads, files):
        check(file.exists(), f"gdb: {(done.stdout + done.stderr).decode()[-600:]}")
        check(file.read_bytes() == core.data[segment.offset:segment.offset + segment.filesz],
              f"gdb: other bytes in the segment at {segment.vaddr:#x}")
        file.unlink()
    print(f"gdb, {path.name}: {len(files)} segments identical", flush=True)


def walk_every_pair(context, core, snapshot):
    """One walk from format to format that takes every ordered pair once: nothing is lost on the way."""
    at, count = snapshot, 0
    for name in closed_walk(list(SUFFIXES))[1:]:
        target = convert(context, at, context.folder / f"walk-{count}{SUFFIXES[name]}")
        count += 1
        if at != snapshot:
            for path in context.folder.glob(f"{at.name}*"):
                path.unlink()
        at = target
    end = convert(context, at, context.folder / "end.elf")
    different = differing_pages(core, Core(end))
    check(not different and Core(end).page_count() == core.page_count(), f"after the walk {len(different)} pages differ")
    print(f"{count} conversions, every format into every other: {core.page_count()} pages identical", flush=True)


def closed_walk(names):
    """Hierholzer's walk over all ordered pairs, from the first name back to it."""
    left = {name: [other for other in names if other != name] for name in names}
    stack, walk = [names[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            walk.append(stack.pop())
    pairs = list(itertools.pairwise(walk))
    check(len(set(pairs)) == len(pairs) == len(names) * (len(names) - 1), f"the walk {walk} misses a pair")
    return walk[::-1]
