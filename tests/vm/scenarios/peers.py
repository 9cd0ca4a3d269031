# SPDX-License-Identifier: MIT
"""The unpacked snapshot in the tools that people open vmcores with: crash, drgn, makedumpfile, gdb. And the packed one
in this machine's gdb, by `serve`, with debuginfo.
"""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess

from vmlab import disk, kernels, peers
from vmlab.elf import PAGE, Core
from vmlab.errors import check
from vmlab.folder import mounted, need_fuse
from vmlab.pattern import PAGES, pattern_page
from vmlab.texts import Texts, gather, parse_kallsyms, task_comm

from . import debuggers
from .context import capture, prepare_pattern

HOLDER = "guest_pattern"
# Ours, by the options of `convert`.
OURS = {"ours.zstd": "--to kdump --codec zstd", "ours.zlib": "--to kdump --codec zlib",
        "ours.lzo": "--to kdump --codec lzo", "ours.snappy": "--to kdump --codec snappy",
        "ours.none": "--to kdump --codec none"}
SNAPSHOT = "core.elf.zst"
FOLDER = "folder"
LINKED_STEXT = 0xFFFFFFFF81000000
SNAPSHOT = "snapshot.elf.zst"  # never unpacked; drgn opens it by kcoredump.drgn
MODULE = pathlib.Path(__file__).parents[3] / "lib/python/kcoredump"
DRGN_SCRIPT = pathlib.Path(__file__).parent.parent / "peers_drgn.py"
LIST_TASKS = """cd /proc; for file in [0-9]*/task/[0-9]*/comm; do
  read -r name <$file && task=${file%/comm} && echo "${task##*/} $name"
done 2>/dev/null; cd /"""


@dataclasses.dataclass(frozen=True)
class Truth:
    """What the guest itself said."""

    release: str
    tasks: dict
    modules: dict
    messages: list
    stext: int
    banner: int


def run(context):
    """Capture with 5 and with 4 levels of page tables; every peer opens both."""
    context.need("pattern")
    need_fuse()
    tools = peers.fetch(context.kernel)
    print(", ".join(f"{name} {version}" for name, version in tools.versions.items()), flush=True)
    for la57 in (True, False):
        if la57 and not kernels.has_five_levels(context.kernel):
            print(f"{context.kernel.release} is built without 5-level page tables")
            continue
        work = context.folder / ("5-level" if la57 else "4-level")
        work.mkdir()
        truth = take(context, work, la57, tools.vmlinux)
        print(f"{work.name}: {len(truth.tasks)} lasting tasks, {len(truth.modules)} modules, "
              f"KASLR offset {truth.stext - LINKED_STEXT:#x}", flush=True)
        open_everywhere(tools, work, truth)
        open_mounted(context, tools, work, truth)
        for path in work.iterdir():
            if path.stat().st_size > 1 << 25:
                path.unlink()


def take(context, work, la57, vmlinux):
    """Capture a guest to work/core, unpacked; return what the guest said. gdb attaches to the snapshot before that."""
    image = context.disk(name=f"{work.name}.disk")
    with context.guest([context.pattern], disks=[image], cpus=2, la57=la57) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        prepare_pattern(guest)
        before = parse_tasks(guest.must(LIST_TASKS))
        said = {name: guest.must(command) for name, command in (
            ("modules", "cat /proc/modules"), ("messages", "dmesg"), ("release", "uname -r"),
            ("symbols", "grep -E ' (_stext|linux_banner)$' /proc/kallsyms"))}
        guest.must(f"cat /proc/kallsyms >/mnt/kallsyms\n{gather('/mnt/before')}")
        capture(guest, f"-o /mnt/{work.name}.elf.zst").expect(0)
        guest.must(gather("/mnt/after"))
        after = parse_tasks(guest.must(LIST_TASKS))
        guest.must("sync")
        snapshot = context.pull(image, f"/{work.name}.elf.zst")
    for name in ("before", "after"):
        disk.pull_folder(image, f"/{name}", work)
    symbols = parse_kallsyms(context.pull(image, "/kallsyms").read_text())
    pathlib.Path(image).unlink()
    print("gdb, attached to the snapshot: " + debuggers.judge_backtraces(
        context, snapshot, vmlinux, Texts(work / "before"), Texts(work / "after"), symbols), flush=True)
    context.unpack(snapshot).rename(work / "core")
    snapshot = snapshot.rename(work / SNAPSHOT)
    for name, options in OURS.items():
        context.host("convert", snapshot, work / name, *options.split(), "--progress", "none")
    snapshot.rename(work / SNAPSHOT)
    put_module(context, work)
    addresses = {words[2]: int(words[0], 16) for words in map(str.split, said["symbols"].splitlines())}
    return Truth(said["release"].strip(), dict(before.items() & after.items()), parse_modules(said["modules"]),
                 message_texts(said["messages"]), addresses["_stext"], addresses["linux_banner"])


def put_module(context, work):
    """Our Python module, and the library with all that it needs besides glibc, which the chroot's is newer than."""
    shutil.copytree(MODULE, work / "kcoredump")
    (work / "lib").mkdir()
    library = context.kcoredump.parent / "libkcoredump.so.0"
    said = subprocess.run(["ldd", library], check=True, capture_output=True, text=True, timeout=60).stdout
    for path in [library, *re.findall(r"=> (/\S+)", said)]:
        if not re.match(r"(libc|libm|libdl|libpthread|libresolv|ld-linux.*)\.so", pathlib.Path(path).name):
            shutil.copy(path, work / "lib")


def parse_tasks(text):
    """Names by task number, from LIST_TASKS, as task->comm has them."""
    return {int(number): task_comm(name) for number, name in (line.split(" ", 1) for line in text.splitlines())}


def parse_modules(text):
    """Sizes by name, from /proc/modules."""
    return {words[0]: int(words[1]) for words in map(str.split, text.splitlines())}


def message_texts(text):
    """The kernel's messages without times, callers and indentation."""
    return [re.sub(r"^\[[ .\d]+\] (\[ *[TC]\d+\] )?", "", line).strip() for line in text.splitlines()]


def open_everywhere(tools, work, truth):
    """All four peers, then two of them on our kdumps and on what makedumpfile made."""
    core = Core(work / "core")
    shutil.copy(DRGN_SCRIPT, work)
    check_crash(tools, work, truth, "core", core)
    check_drgn(tools, work, truth, "core", HOLDER)
    check_drgn(tools, work, truth, SNAPSHOT, HOLDER)
    check_gdb(tools, work, truth, core)
    for name in OURS:
        check_crash(tools, work, truth, name)
        check_drgn(tools, work, truth, name, HOLDER)
    # makedumpfile's own compressors; -d 31 leaves out users' pages, so no look into the pattern there.
    for options, result in (("-z -d 31", "small.zstd"), ("-l -d 1", "small.lzo"), ("-c -d 1", "small.zlib")):
        filter_core(tools, work, options, result)
    check_drgn(tools, work, truth, "small.zstd")
    check_crash(tools, work, truth, "small.zstd")
    check_drgn(tools, work, truth, "small.lzo", HOLDER)


def open_mounted(context, tools, work, truth):
    """All four on the compressed snapshot, which `mount` shows as vmcore and as a kdump."""
    with mounted(context.kcoredump, work / SNAPSHOT, work / FOLDER) as folder:
        core = Core(folder / "vmcore")
        check_crash(tools, work, truth, f"{FOLDER}/vmcore", core)
        check_drgn(tools, work, truth, f"{FOLDER}/vmcore", HOLDER)
        check_gdb(tools, work, truth, core, f"{FOLDER}/vmcore")
        check_crash(tools, work, truth, f"{FOLDER}/vmcore.kdump")
        check_drgn(tools, work, truth, f"{FOLDER}/vmcore.kdump", HOLDER)
        for name in ("vmcore", "vmcore.kdump"):
            filter_core(tools, work, "-z -d 31", "mounted.zstd", f"{FOLDER}/{name}")
            check_crash(tools, work, truth, "mounted.zstd")
            (work / "mounted.zstd").unlink()
        core.data.close()  # or the folder stays in use


def ask(tools, work, command):
    """Run a peer that has to succeed; return all it said."""
    done = tools.run(work, command)
    check(done.status == 0, f"`{command}` exits {done.status}:\n{done.output[-3000:]}")
    return done


def check_crash(tools, work, truth, name, core=None):
    """crash: sys, ps, mod, log, symbols; and of `core`, physical addresses that it does not hold."""
    holder = next(number for number, comm in truth.tasks.items() if comm == HOLDER)
    commands = ["sys >sys.txt", "ps >ps.txt", "mod >mod.txt", "log >log.txt", "sym _stext >sym.txt",
                f"bt {holder} >bt.txt"]
    holes = missing_pages(core) if core else []
    commands += [f"rd -p {address:#x} 1" for address in holes]
    (work / "commands").write_text("\n".join([*commands, "exit", ""]))
    done = ask(tools, work, f"crash -s --no_scroll -i commands /vmlinux {name}")
    said = {word: (work / f"{word}.txt").read_text() for word in ("sys", "ps", "mod", "log", "sym", "bt")}
    check(re.search(rf"RELEASE: {re.escape(truth.release)}$", said["sys"], re.M), f"crash's sys:\n{said['sys']}")
    check(int(said["sym"].split()[0], 16) == truth.stext, f"crash has _stext elsewhere, KASLR ignored? {said['sym']}")
    tasks = crash_tasks(said["ps"])
    check_tasks("crash", tasks, truth)
    modules = crash_modules(said["mod"])
    check(modules == truth.modules, f"crash lists modules {modules}, the guest {truth.modules}")
    lost = set(truth.messages) - set(message_texts(said["log"]))
    check(not lost, f"crash's log lacks {sorted(lost)[:3]}")
    check("schedule" in said["bt"], f"crash's bt of {HOLDER}:\n{said['bt']}")
    check_holes(done.output, holes)
    print(f"crash, {name}: {len(tasks)} tasks, {len(modules)} modules, {len(said['log'].splitlines())} lines of log, "
          f"{len(holes)} absent pages refused, {done.seconds:.1f} s", flush=True)


def missing_pages(core):
    """One page of each gap below the end of RAM: the core has no bytes for these addresses."""
    ends = [0, *(segment.paddr + segment.filesz for segment in core.ram)]
    return [end for end in ends[:-1] if core.offset_of(end) is None]


def check_holes(output, holes):
    """crash takes every segment but the first for RAM, whatever its type: a vendor segment must not look like it."""
    for address in holes:
        check(re.search(rf"rd: read error: physical address: {address:x} ", output),
              f"crash reads something at physical {address:#x}, where the core has no memory:\n{output[-1000:]}")


def crash_tasks(text):
    """Names by task number, from crash's ps; it sets kernel threads in brackets."""
    line = re.compile(r"^>?\s*(\d+)\s+\d+\s+\d+\s+[0-9a-f]{16}\s+\S+\s+[\d.]+\s+\d+\s+\d+\s+(.*)$", re.M)
    return {int(match[1]): match[2].removeprefix("[").removesuffix("]") for match in line.finditer(text)}


def crash_modules(text):
    """Sizes by name, from crash's mod."""
    line = re.compile(r"^[0-9a-f]{16}\s+(\S+)\s+[0-9a-f]{16}\s+(\d+)", re.M)
    return {match[1]: int(match[2]) for match in line.finditer(text)}


def check_tasks(peer, tasks, truth):
    """Every task that lived before and after the capture is there under its name."""
    wrong = {number: (name, tasks.get(number)) for number, name in truth.tasks.items() if tasks.get(number) != name}
    check(not wrong, f"{peer} lists other tasks than the guest (guest's name, {peer}'s): {wrong}")


def check_drgn(tools, work, truth, name, *holder):
    """drgn: tasks, modules, KASLR, and the pattern through the holder's own page tables."""
    done = ask(tools, work, f"LD_LIBRARY_PATH=$PWD/lib python3 {DRGN_SCRIPT.name} {name} /vmlinux {' '.join(holder)}")
    said = json.loads(done.output.splitlines()[-1])
    check(said["release"] == truth.release and said["stext"] == truth.stext,
          f"drgn: release {said['release']}, _stext {said['stext']:#x}; the guest {truth.release}, {truth.stext:#x}")
    tasks = {number: comm for number, comm in said["tasks"]}
    check_tasks("drgn", tasks, truth)
    check(said["modules"] == sorted(truth.modules), f"drgn lists modules {said['modules']}")
    if holder:
        check(said["mapping"] == [PAGES, pattern_page(0).hex(), pattern_page(PAGES - 1).hex()],
              f"drgn reads other bytes in {HOLDER}'s memory")
    print(f"drgn, {name}: {len(tasks)} tasks, {len(said['modules'])} modules"
          f"{', the pattern through page tables' if holder else ''}, {done.seconds:.1f} s", flush=True)


def filter_core(tools, work, options, result, name="core"):
    """makedumpfile: a filtered, compressed copy of the file `name`."""
    done = ask(tools, work, f"makedumpfile --message-level 6 {options} {name} {result}")
    check("makedumpfile Completed" in done.output, f"makedumpfile {options}:\n{done.output[-1000:]}")
    print(f"makedumpfile {options}, {name}: {(work / result).stat().st_size / 1e6:.1f} MB, {done.seconds:.1f} s",
          flush=True)


def check_gdb(tools, work, truth, core, name="core"):
    """gdb: the segments, and linux_banner in the kernel image's segment, by address and by symbol."""
    offset = truth.stext - LINKED_STEXT
    steps = ["set print elements 0", f"core-file {name}", "info files", "maintenance info sections",
             f"x/s {truth.banner:#x}", f"symbol-file -o {offset:#x} /vmlinux", "x/s linux_banner",
             "output (char*)init_uts_ns.name.release"]
    (work / "steps").write_text("\n".join(steps) + "\n")
    done = ask(tools, work, "gdb -nx -batch -x steps")
    spans = {(int(match[1], 16), int(match[2], 16))
             for match in re.finditer(r"(0x[0-9a-f]+) - (0x[0-9a-f]+) is load", done.output)}
    want = {(segment.vaddr, segment.vaddr + segment.memsz) for segment in core.loads}
    check(spans == want, f"gdb lists segments {spans}, the file has {want}")
    banner = f'"Linux version {truth.release} '
    check(f"{truth.banner:#x}:\t{banner}" in done.output, f"gdb reads no banner by address:\n{done.output[-2000:]}")
    check(f"{truth.banner:#x} <linux_banner>:\t{banner}" in done.output,
          f"gdb reads no banner by symbol:\n{done.output[-2000:]}")
    check(f'"{truth.release}"' in done.output, f"gdb reads no release:\n{done.output[-500:]}")
    vendor = re.search(r"^.*: proc\d+ .*$", done.output, re.M)
    print(f"gdb, {name}: {len(spans)} segments, linux_banner at {truth.banner:#x}, "
          f"the vendor segment as {vendor and vendor[0].strip()!r}, {done.seconds:.1f} s", flush=True)
