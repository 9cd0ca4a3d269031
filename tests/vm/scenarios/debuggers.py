# SPDX-License-Identifier: MIT
"""`serve` under the real gdb of this machine, and lldb where it is installed, held against the guest's own word.

A snapshot is looked at over a pipe and over TCP; the live kernel from outside its guest, over a port.
"""

import json
import pathlib
import re
import subprocess
import threading
import time

from vmlab.debuggers import Gdb, ask_lldb, parse_lldb_threads, parse_threads, switch_to
from vmlab.elf import PAGE
from vmlab.errors import check
from vmlab.pattern import MAGIC, pattern_page
from vmlab.symbol_file import kaslr_offset, write_symbol_file

PATTERN_PAGES = 3
# What the guest's agent runs for a moment.
PASSING = ("kcoredump", "sh", "base64", "awk", "ls", "dd", "cat", "sleep")
MONITORS = ("ps 1", "log --tail 3", "sym linux_banner schedule")
READ_ONLY = "read-only"
BACKTRACES = pathlib.Path(__file__).parent.parent / "gdb_backtraces.py"
GUEST_PORT = "/dev/vport0p1"
CONNECT_SECONDS = 30


class LiveGdb:
    """gdb out here, and `serve` on the live kernel inside its guest: they speak over a port."""

    def __init__(self, context):
        self._context = context
        self._socket = context.folder / "port"
        self._said = self._seconds = None
        self.qemu_args = ("-device", "virtio-serial-pci", "-chardev",
                          f"socket,id=debugger,path={self._socket},server=on,wait=off",
                          "-device", "virtserialport,chardev=debugger,name=debugger,nr=1")

    def ask(self, guest, stage):
        """Attach, ask and detach; judge() comes when the guest's own words are there."""
        started = time.monotonic()
        by_name = {name: address for address, _, name, _ in stage.symbols}
        jiffies = f"x/gx {by_name['jiffies']:#x}"
        gdb = Gdb([f"target remote {self._socket}"], {
            "threads": "info threads",
            "banner": f"x/s {by_name['linux_banner']:#x}",
            "jiffies": [jiffies, "shell sleep 1", jiffies],
            "null": "output *(long*)0",
            "run": "continue",
            "monitor": "monitor sym linux_banner"})
        process = gdb.start(self._context.folder)
        try:
            wait_for_client(guest, "debugger")
            guest.must(f"(exec 3<>{GUEST_PORT}; kcoredump serve --stdio <&3 >&3 2>/tmp/served || cat /tmp/served)")
            self._said = gdb.answers(process)
        finally:
            process.kill()
        self._seconds = time.monotonic() - started

    def judge(self, stage, before, after):
        """Every check of what was said; `before` and `after` are the guest's Texts around it."""
        said = self._said
        threads = parse_threads(said["threads"])
        done = [judge_threads(threads, before.tasks, after.tasks),
                judge_counters(threads, before, after, stage.symbols)]
        check(f'"{before.version.strip()}\\n"' in said["banner"], f"gdb's banner: {said['banner']}")
        ticks = [int(word, 16) for word in re.findall(r"\t(0x[0-9a-f]+)", said["jiffies"])]
        check(len(ticks) == 2 and 0 < ticks[1] - ticks[0] < 60_000, f"gdb sees old memory: {said['jiffies']}")
        check_fault(said["null"], 0, 0)
        check(READ_ONLY in said["run"] and "linux_banner" in said["monitor"], f"gdb: {said['run']} {said['monitor']}")
        return f"{', '.join(done)}, {ticks[1] - ticks[0]} ticks later, {self._seconds:.1f} s"


def wait_for_client(guest, name):
    """Return once somebody has connected to a character device of QEMU's."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        devices = {device["label"]: device["filename"] for device in guest.qmp.command("query-chardev")}
        if not devices[name].startswith("disconnected"):
            return
        check(time.monotonic() < deadline, f"gdb does not connect to {devices[name]}")
        time.sleep(0.05)


def judge_snapshot(context, stage, snapshot, before, after):
    """Every check of a snapshot; `before` and `after` are the guest's Texts around it."""
    serve = [context.need("kcoredump"), "serve", "-f", snapshot]
    symbol_file = context.folder / "symbols"
    write_symbol_file(symbol_file, stage.symbols)
    offset = printed_offset(serve)
    check(offset == kaslr_offset(stage.symbols), f"serve says that KASLR moved the kernel by {offset:#x}, it is "
          f"{kaslr_offset(stage.symbols):#x}")
    guard = guard_page(before.areas, after.areas)
    dumped = context.folder / "pattern-of-gdb"
    gdb = Gdb([f"file {symbol_file}", f"target remote | {' '.join(map(str, serve))} --stdio"], {
        "threads": "info threads",
        "banner": "x/s linux_banner",
        "banner by the printed offset": ["file", f"add-symbol-file {symbol_file} -o {offset:#x}", "x/s linux_banner"],
        "fault": f"x/4gx {guard - 16:#x}",
        "null": "output *(long*)0",
        "memory": [switch_to(stage.tasks["pattern"]),
                   f"dump binary memory {dumped} {stage.area:#x} {stage.area + PATTERN_PAGES * PAGE:#x}"],
        "memory of another": [switch_to(2), f"x/gx {stage.area:#x}"],
        **refusals(stage),
        **{f"monitor {command}": f"monitor {command}" for command in MONITORS},
        "monitor of another file": "monitor log -f /etc/passwd",
        "threads at the end": "info threads"})
    said = gdb.run(context.folder)
    threads = parse_threads(said["threads"])
    check(parse_threads(said["threads at the end"]) == threads, "gdb lists other threads after all that")
    done = [judge_threads(threads, before.tasks, after.tasks), judge_counters(threads, before, after, stage.symbols)]
    for name in ("banner", "banner by the printed offset"):
        check(f'"{before.version.strip()}\\n"' in said[name], f"gdb's {name}: {said[name]}")
    check_fault(said["fault"], guard, 2)
    check_fault(said["null"], 0, 0)
    check_fault(said["memory of another"], stage.area, 0)
    check(dumped.read_bytes() == b"".join(map(pattern_page, range(PATTERN_PAGES))),
          "gdb's `dump memory` of the pattern's holder gives other bytes")
    judge_refusals(said)
    for command in MONITORS:
        check(context.host(*command.split(), "-f", snapshot).decode() in said[f"monitor {command}"],
              f"gdb's `monitor {command}`:\n{said[f'monitor {command}']}")
    check("leave -f out" in said["monitor of another file"], f"monitor with -f: {said['monitor of another file']}")
    return ", ".join([*done, judge_lldb(serve, stage, threads, guard)])


def printed_offset(serve):
    """The offset for add-symbol-file that `serve --stdio` tells the one who started it."""
    done = subprocess.run([*serve, "--stdio"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    said = done.stderr.decode(errors="replace")
    match = re.search(r"add-symbol-file VMLINUX -o (0x[0-9a-f]+)", said)
    check(done.returncode == 0 and not done.stdout and match, f"serve --stdio exits {done.returncode}: {said}")
    return int(match[1], 16)


def guard_page(before, after):
    """The address behind the last page of an area of vmalloc space, where nothing is."""
    return next(end - PAGE for (start, end), (_, pages) in before.items()
                if pages and (start, end) in after and end - start == (pages + 1) * PAGE)


def refusals(stage):
    """Commands that would change something."""
    banner = next(address for address, _, name, _ in stage.symbols if name == "linux_banner")
    return {"write": f"set var *(char*){banner:#x} = 0", "write a register": "set $rax = 1",
            "run": "continue", "step": "stepi", "break": ["break *$pc", "continue", "delete"]}


def judge_refusals(said):
    """None of them did anything, and most say why not."""
    check("Cannot access memory" in said["write"], f"gdb's write to memory: {said['write']}")
    for name in ("write a register", "run", "step", "break"):
        check(READ_ONLY in said[name], f"gdb's attempt to {name}: {said[name]}")


def check_fault(text, address, words):
    """An error that names the address, behind `words` that could be read; no zeros in its place."""
    shown = re.findall(r"\t(0x[0-9a-f]+)", text)
    check(f"Cannot access memory at address {address:#x}" in text and len(shown) == words,
          f"gdb reads at {address:#x}, where nothing is, and says: {text}")


def judge_threads(threads, before, after):
    """The tasks that the guest has, by pid and name, and none that it has not."""
    lasting = {pid: task.comm for pid, task in before.items() if pid in after and after[pid].comm == task.comm}
    wrong = {pid: (comm, threads.get(pid)) for pid, comm in lasting.items() if threads.get(pid, ("",))[0] != comm}
    check(len(lasting) > 40 and not wrong, f"info threads (the guest's task, gdb's): {wrong}")
    strangers = {pid: words for pid, words in threads.items() if pid not in before and pid not in after and
                 words[0] not in PASSING and "kernel thread" not in words[1]}
    check(not strangers, f"info threads has tasks that the guest has not: {strangers}")
    return f"{len(lasting)} threads"


def judge_counters(threads, before, after, symbols):
    """Whoever has not run all the while has its program counter where /proc/PID/stack begins."""
    addresses = addresses_by_name(symbols)
    asleep = {pid: stack[0] for pid, stack in stacks_of_sleepers(before, after).items()}
    wrong = {}
    for pid, (function, offset) in asleep.items():
        counter = threads[pid][2]
        if counter is None or counter - offset not in addresses[function]:
            wrong[pid] = (before.tasks[pid].comm, f"{function}+{offset:#x}", counter and hex(counter))
    check(len(asleep) > 40 and not wrong, f"of {len(asleep)} program counters of sleeping tasks (guest's, gdb's): {wrong}")
    functions = {function for function, _ in asleep.values()}
    return f"{len(asleep)} sleep in {len(functions)} functions"


def addresses_by_name(symbols):
    """Several functions may have one name."""
    addresses = {}
    for address, _, name, _ in symbols:
        addresses.setdefault(name, set()).add(address)
    return addresses


def stacks_of_sleepers(before, after):
    """What /proc/PID/stack said of tasks that have not run between two looks."""
    return {pid: task.stack for pid, task in before.tasks.items() if task.stack and task.state in "SDITt"
            and pid in after.tasks and after.tasks[pid].switches == task.switches}


def judge_backtraces(context, snapshot, vmlinux, before, after, symbols):
    """With the kernel's debuginfo gdb finds all that /proc/PID/stack lists of sleeping tasks, frame by frame."""
    gdb = Gdb([f"file {vmlinux}", f"target remote | {context.need('kcoredump')} serve --stdio -f {snapshot}"],
              {"stacks": f"source {BACKTRACES}", "banner": "x/s linux_banner", "bt": "bt"})
    said = gdb.run(context.folder)
    check(f'"{before.version.strip()}\\n"' in said["banner"], f"gdb's banner: {said['banner']}")
    found = json.loads(said["stacks"].partition("BACKTRACES ")[2].splitlines()[0])
    addresses = addresses_by_name(symbols)
    asleep = stacks_of_sleepers(before, after)
    wrong = {}
    for pid, stack in asleep.items():
        counters = found[str(pid)][:len(stack)]
        right = [counter - offset in addresses[function] for counter, (function, offset) in zip(counters, stack)]
        if len(counters) < len(stack) or not all(right):
            wrong[before.tasks[pid].comm] = stack, [hex(counter) for counter in counters]
    check(len(asleep) > 30 and not wrong, f"bt of {len(wrong)} of {len(asleep)} sleeping tasks (guest's, gdb's): {wrong}")
    return f"bt of {len(asleep)} sleeping tasks, {sum(map(len, asleep.values()))} frames"


def judge_lldb(serve, stage, threads, guard):
    """lldb, over TCP, lists the same threads and reads the same memory."""
    with subprocess.Popen([*serve, "--listen", "127.0.0.1:0", "--json"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            address = json.loads(server.stdout.readline())["text"]
            # Nobody reads these, and the pipe must not fill.
            threading.Thread(target=server.stdout.read, daemon=True).start()
            # A batch ends at its first error.
            said = ask_lldb(address, "thread list", "register read rip rax",
                            f"memory read --format x --size 8 --count 2 {guard - 16:#x}",
                            f"memory read --format x --size 8 --count 2 {guard:#x}")
        finally:
            server.terminate()
            status = server.wait(30)
    check(status == 0, f"serve --listen exits {status} after SIGTERM")
    if said is None:
        return "lldb is not here"
    listed = parse_lldb_threads(said)
    right = {pid: (name, counter) for pid, (name, _, counter) in threads.items()}
    check(listed == right, f"lldb lists {set(listed.items()) ^ set(right.items())} otherwise than gdb")
    check(re.search(rf"{guard - 16:#x}: 0x[0-9a-f]{{16}} 0x[0-9a-f]{{16}}", said) and "rax" not in
          said.partition("general:")[2] and "Assertion" not in said, f"lldb says: {said[-1000:]}")
    check(f"memory read failed for {guard:#x}" in said, f"lldb reads at {guard:#x}, where nothing is: {said[-1000:]}")
    return f"{len(listed)} threads in lldb"


def judge_dead(context, snapshot, cpus):
    """A kernel that died: whoever was on a CPU has the registers of its note; `cpus` are those of `info --json`."""
    gdb = Gdb([f"target remote | {context.need('kcoredump')} serve --stdio -f {snapshot}"],
              {"threads": "info threads", "registers": "thread apply all -q -s info registers rip rsp cs"})
    said = gdb.run(context.folder)
    threads = parse_threads(said["threads"]).values()
    counters = {counter for _, words, counter in threads if "on a CPU" in words}
    check(re.search(r"^\* .*on a CPU", said["threads"], re.M), f"gdb does not begin with who died: {said['threads']}")
    idle = [name for name, *_ in threads if name.startswith("swapper/")]
    check(set(idle) <= {"swapper/0", "swapper/2"}, f"CPU 1 was offline, and gdb has {idle}")
    right = {int(cpu["instruction_pointer"], 16) for cpu in cpus}
    check(counters == right, f"program counters of tasks on CPUs: {counters}, the notes have {right}")
    pointers = set(re.findall(r"^rsp +(0x[0-9a-f]+).*\ncs +0x10 ", said["registers"], re.M))
    check(len(pointers) >= len(right), f"gdb has stack pointers and cs of {pointers} only")
    return f"{len(counters)} CPUs in gdb, idle: {idle}"
