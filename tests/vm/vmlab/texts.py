# SPDX-License-Identifier: MIT
"""The guest's own word: what its /proc says at one moment, gathered in a folder and parsed."""

import base64
import dataclasses
import pathlib
import re
import struct

COMM_CHARACTERS = 15
PAGEMAP_PRESENT = 1 << 63
PAGEMAP_FRAME = (1 << 55) - 1
KERNEL_THREAD = 0x00200000

# One process for all tasks: forks cost milliseconds here, and make tasks of their own.
LIST_TASKS = r"""BEGIN {
  while (("ls -d /proc/[0-9]*/task/[0-9]*" | getline path) > 0) {
    split(path, part, "/")
    print "task", part[3], part[5]
    file = path "/comm"; if ((getline line < file) > 0) print "comm", line; close(file)
    file = path "/stat"; if ((getline line < file) > 0) print "stat", line; close(file)
    file = path "/status"
    while ((getline line < file) > 0) if (line ~ /^(Uid|VmRSS|.*voluntary_ctxt_switches):/) print line
    close(file)
    file = path "/stack"; while ((getline line < file) > 0) print "frame", line; close(file)
    if (part[3] != part[5]) continue
    file = "/proc/" part[3] "/smaps_rollup"
    while ((getline line < file) > 0) if (line ~ /^Rss:/) print line
    close(file)
  }
}"""

# The marker tells where to stop reading /dev/kmsg, which has no end.
GATHER = r"""mkdir %(folder)s && cd %(folder)s || exit
cat /proc/vmallocinfo >vmallocinfo; cat /proc/modules >modules; cat /proc/version >version
echo '<7>%(marker)s' >/dev/kmsg; dmesg >dmesg; awk '{ print } /;%(marker)s$/ { exit }' /dev/kmsg >kmsg
awk '%(list_tasks)s' >tasks
for file in /proc/[0-9]*/task/[0-9]*/cmdline; do
  line=; read -r line <$file; [ -z "$line" ] || echo "$file $(base64 -w 0 <$file)"
done 2>/dev/null >cmdlines
cd /
"""


def gather(folder):
    """The guest's commands that fill `folder` there."""
    return GATHER % {"folder": folder, "marker": f"lab: gathered {pathlib.Path(folder).name}", "list_tasks": LIST_TASKS}


@dataclasses.dataclass
class TaskWords:
    """What /proc says of one task."""

    tgid: int
    pid: int
    comm: str = ""
    state: str = ""
    ppid: int = 0
    uid: int = -1
    cpu: int = 0
    start_ticks: int = 0
    threads: int = 0
    kernel_thread: bool = False
    resident: frozenset = frozenset()  # bytes; status and smaps_rollup count in ways of their own
    arguments: list = None
    switches: tuple = ()  # how often it has slept, and how often it had to make room
    stack: list = dataclasses.field(default_factory=list)  # (function, offset) of each frame, the innermost first


@dataclasses.dataclass(frozen=True)
class LogWords:
    """A line of /dev/kmsg: "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,caller=C];TEXT", then the device's lines."""

    sequence: int
    level: int
    facility: int
    microseconds: int
    continuation: bool
    caller: str
    text: str
    device: str


class Texts:
    """The texts that one GATHER left in `folder`, parsed at their first need."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.version = self._read("version")
        self.dmesg = self._read("dmesg").splitlines()
        self.modules = parse_modules(self._read("modules"))
        self.areas = parse_vmallocinfo(self._read("vmallocinfo"))
        self.log = parse_kmsg(self._read("kmsg"))
        self.tasks = parse_tasks(self._read("tasks"), self._read("cmdlines"))

    def _read(self, name):
        return (self.folder / name).read_bytes().decode(errors="surrogateescape")


def parse_kallsyms(text):
    """(address, type, name, module) of each line, in a list."""
    symbols = []
    for line in text.splitlines():
        words = line.split()
        symbols.append((int(words[0], 16), words[1], words[2], words[3][1:-1] if len(words) > 3 else ""))
    return symbols


def parse_modules(text):
    """{name: (size, references, users, state, base, taints)} of /proc/modules, in its order."""
    modules = {}
    for words in map(str.split, text.splitlines()):
        users = [user for user in words[3].split(",") if user not in ("", "-", "[permanent]")]
        taints = words[6].strip("()") if len(words) > 6 else ""
        modules[words[0]] = (int(words[1]), int(words[2]), users, words[4], int(words[5], 16), taints)
    return modules


# Of an area that was given back and waits to be purged: it goes at any moment, and others come in its place.
UNPURGED = ("", 0)


def parse_vmallocinfo(text):
    """{(start, end): (caller, pages)} of /proc/vmallocinfo; the caller without its symbol's size."""
    areas = {}
    for line in text.splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        caller = re.search(r" (\S+\+0x[0-9a-f]+)/0x[0-9a-f]+( \[\S+\])?", line)
        pages = re.search(r" pages=(\d+)", line)
        areas[start, end] = (caller[1] + (caller[2] or "") if caller else "", int(pages[1]) if pages else 0)
    return areas


def parse_kmsg(text):
    """LogWords by sequence."""
    records = {}
    for line in text.split("\n"):
        if line.startswith(" "):
            key, _, value = line[1:].partition("=")
            if key == "DEVICE":
                records[last] = dataclasses.replace(records[last], device=unescape(value))
        elif line:
            head, _, message = line.partition(";")
            priority, last, microseconds, flags, *more = head.split(",")
            last = int(last)
            caller = next((word[7:] for word in more if word.startswith("caller=")), "")
            records[last] = LogWords(last, int(priority) & 7, int(priority) >> 3, int(microseconds),
                                     flags == "c", caller, unescape(message), "")
    return records


def unescape(text):
    r"""What /dev/kmsg writes as \x0a and the like, as text."""
    data = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())
    return data.decode(errors="replace")


def task_comm(name):
    """task->comm, for /proc shows a kernel thread's full name, and a kworker's with its present work appended.

    A rescuer's name, kworker/R-QUEUE, is its own.
    """
    worker = name.startswith("kworker/") and not name.startswith("kworker/R-")
    return (re.split(r"[-+]", name)[0] if worker else name)[:COMM_CHARACTERS]


def parse_tasks(text, cmdlines):
    """TaskWords by number of the thread, of the tasks that lived long enough to be read."""
    tasks, task = {}, None
    for line in text.splitlines():
        key, _, rest = line.partition(" ")
        if key == "task":
            task = TaskWords(*map(int, rest.split()))
            tasks[task.pid] = task
        elif key == "comm":
            task.comm = task_comm(rest)
        elif key == "stat":
            _fill_from_stat(task, rest)
        elif key == "frame":
            task.stack.append(parse_frame(rest))
        elif line.startswith("Uid:"):
            task.uid = int(line.split()[1])
        elif "voluntary_ctxt_switches:" in line:
            task.switches += (int(line.split()[1]),)
        else:
            task.resident |= {int(line.split()[1]) << 10}
    arguments = dict(line.split() for line in cmdlines.splitlines())
    for task in tasks.values():
        encoded = arguments.get(f"/proc/{task.tgid}/task/{task.pid}/cmdline")
        if encoded:
            data = base64.b64decode(encoded)
            task.arguments = data.removesuffix(b"\0").decode(errors="replace").split("\0")
    return {pid: task for pid, task in tasks.items() if task.comm and task.state and task.uid >= 0}


def parse_frame(line):
    """(function, offset) of a line of /proc/PID/stack: "[<0>] do_wait+0x1d0/0x2b0 [module]"."""
    name, _, offset = line.split()[1].partition("/")[0].rpartition("+")
    return name, int(offset, 16)


def _fill_from_stat(task, line):
    """The fields of /proc/PID/stat (proc(5)), counted from the third on: names may have spaces and brackets."""
    words = line.rpartition(")")[2].split()
    task.state, task.ppid, task.cpu = words[0], int(words[1]), int(words[36])
    task.kernel_thread = int(words[6]) & KERNEL_THREAD != 0
    task.threads, task.start_ticks = int(words[17]), int(words[19])


def parse_pagemap(data):
    """The frame of each page, None where none is present."""
    entries = struct.unpack(f"<{len(data) // 8}Q", data)
    return [entry & PAGEMAP_FRAME if entry & PAGEMAP_PRESENT else None for entry in entries]
