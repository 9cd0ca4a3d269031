# SPDX-License-Identifier: MIT
"""What `check` and `diff` find: nothing in a clean kernel, the hooks that the guest set itself, and what is planted
in a copy of its memory.

Part of the scenario `inspect`: check_clean() before the guest's hooks are set, checks() of each source, judge() of
the planted copy.
"""

import json
import shutil
import struct
import subprocess

from vmlab.elf import Core
from vmlab.errors import check

SYSCALL = 39  # getpid
OPERATIONS, OPERATION = "kmsg_fops", "llseek"
PATCHED = ("vfs_read", 0x30)
HIDDEN_TASK = "stopped"
HOLES, FINDINGS = 3, 10


def check_clean(guest):
    """A live kernel in which nothing was set."""
    report = json.loads(guest.must("kcoredump check --json 2>/tmp/check.err; echo $? >/tmp/check.status"))
    status = guest.must("cat /tmp/check.status").strip()
    check(status == "0" and not report["findings"], f"check of a clean live kernel exits {status}: "
          f"{report['findings'][:3]} {report['notes']}")
    return looked_at(report)


def looked_at(report):
    """How much was looked at; nothing may be left out in silence."""
    examined = {one["name"]: one["examined"] for one in report["checks"]}
    least = {"syscalls": 400, "idt": 200, "ftrace": 20000, "notifiers": 20, "operations": 300, "modules": 2,
             "processes": 40, "sockets": 3}
    check(all(examined[name] >= count for name, count in least.items()), f"check looked at {examined}")
    return f"{sum(examined.values())} things checked"


def checks(answers):
    """The guest's own tracer and kprobe are found, and nothing else."""
    yield lambda: check_hooks(answers)


def check_hooks(answers):
    """Exactly two findings."""
    answer = answers.ask("check")
    report = answer.json(FINDINGS)
    got = {(found["check"], found["kind"], found["object"].partition("+")[0], found["value_symbol"])
           for found in report["findings"]}
    right = {("ftrace", "hook", "do_sys_openat2", "function_trace_call"),
             ("kprobes", "hook", "kernel_clone", "kprobe_dispatcher")}
    check(got == right and len(report["findings"]) == 2, f"check finds {report['findings']}")
    return looked_at(report)


class Planter:
    """Changes a copy of a guest's memory, at the places that the product says."""

    def __init__(self, kcoredump, image, target):
        self.kcoredump, self.image, self.path = kcoredump, image, target
        shutil.copyfile(image, target)
        self._core = Core(image)

    def ask(self, *words):
        """JSON of a command about the image as it was."""
        done = subprocess.run([self.kcoredump, *map(str, words), "--json", "-f", self.image], capture_output=True,
                              text=True, check=False, timeout=120)
        check(done.returncode == 0, f"{words}: {done.stderr}")
        return json.loads(done.stdout)

    def symbol(self, name):
        """A symbol's address."""
        return int(self.ask("sym", name)["symbols"][0]["address"], 16)

    def offset(self, kind, member):
        """Where a member stands."""
        return self.ask("print", "--layout", f"{kind}.{member}")["at_offset"]

    def put(self, address, data):
        """Write to a virtual address."""
        translated = self.ask("vtop", f"{address:#x}")
        with open(self.path, "r+b") as file:
            file.seek(self._core.offset_of(int(translated["physical"], 16)))
            file.write(data)

    def put_word(self, address, value):
        """Write a pointer."""
        self.put(address, struct.pack("<Q", value))

    def unlink(self, listed, links, head, wanted):
        """Take the entry that `wanted` accepts out of a list; its own links stay."""
        entries = self.ask("list", listed, "--show", "comm" if "task" in listed else "name")["entries"]
        nodes = [head, *(int(entry["address"], 16) + links for entry in entries), head]
        at = next(index for index, entry in enumerate(entries, 1) if wanted(entry))
        self.put_word(nodes[at - 1], nodes[at + 1])
        self.put_word(nodes[at + 1] + 8, nodes[at - 1])
        return nodes[at] - links


def judge(context, stage, image, sibling):
    """Plant in a copy of `image`, an unpacked snapshot of the same moment as `sibling`; all of it must be found."""
    plant = Planter(context.kcoredump, image, context.folder / "planted")
    stranger = plant.ask("ps", 1)["tasks"][0]["address"]  # memory that is no code
    table = plant.symbol("sys_call_table") + 8 * SYSCALL
    plant.put_word(table, int(stranger, 16))
    operation = plant.symbol(OPERATIONS) + plant.offset("struct file_operations", OPERATION)
    plant.put_word(operation, int(stranger, 16))
    patched = plant.symbol(PATCHED[0]) + PATCHED[1]
    plant.put(patched, b"\xcc")
    names = [module["name"] for module in plant.ask("mod")["modules"]]
    module = names[len(names) // 2]
    plant.unlink("struct module.list@modules", plant.offset("struct module", "list"), plant.symbol("modules"),
                 lambda entry: entry["values"]["name"]["value"] == module)
    tasks = plant.offset("struct task_struct", "tasks")
    hidden = next(task for task in plant.ask("ps")["tasks"] if task["pid"] == stage.tasks[HIDDEN_TASK])
    plant.unlink("struct task_struct.tasks@init_task.tasks", tasks, plant.symbol("init_task") + tasks,
                 lambda entry: entry["address"] == hidden["address"])
    found = run(context, "check", "-f", plant.path, "--against", sibling)["findings"]
    said = {(one["check"], one["kind"], one["object"], one["address"]) for one in found}
    right = {("syscalls", "pointer", f"sys_call_table[{SYSCALL}]", f"{table:#018x}"),
             ("operations", "pointer", f"{OPERATIONS}.{OPERATION}", f"{operation:#018x}"),
             ("text", "changed", f"{PATCHED[0]}+{PATCHED[1]:#x}", f"{patched:#018x}"),
             ("processes", "hidden", f"PID {hidden['pid']} {hidden['comm']}", hidden["address"])}
    check(right <= said, f"check does not find {right - said}, but {sorted(said)}")
    lists = [one["compared"] for one in found if one["object"] == f"module {module}"]
    check(len(lists) >= 2, f"module {module} is hidden from {lists} alone")
    return f"{len(found)} findings in planted memory, {check_diff(context, sibling, plant.path, hidden, module)}"


def check_diff(context, before, after, hidden, module):
    """The same by `diff`, and nothing between an image and itself."""
    changes = run(context, "diff", before, after)["changes"]
    got = {(change["what"], change["change"], change["object"].split(" ")[-1]) for change in changes}
    right = {("process", "removed", hidden["comm"]), ("module", "removed", module)}
    text = [change["symbol"] for change in changes if change["what"] == "text"]
    rodata = [change for change in changes if change["what"] == "rodata"]
    check(right <= got and text == [f"{PATCHED[0]}+{PATCHED[1]:#x}"] and rodata, f"diff says {changes}")
    # A capture of a live kernel may have a list torn by a process that came or went.
    same = run(context, "diff", before, before, statuses=(0, HOLES))
    check(same["changes"] == [], f"diff of an image with itself: {same}")
    return f"{len(changes)} changes by diff"


def run(context, *words, statuses=(FINDINGS,)):
    """A command's JSON."""
    done = subprocess.run([context.kcoredump, *map(str, words), "--json"], capture_output=True, text=True, check=False,
                          timeout=120)
    check(done.returncode in statuses, f"{words} exits {done.returncode}: {done.stdout[-600:]} {done.stderr[-600:]}")
    return json.loads(done.stdout)
