# SPDX-License-Identifier: MIT
"""What the kernel has to do and what its pages are for, against the guest's /proc: interrupts, timers, workqueues,
struct pages; and a process's core in gdb.

Part of the scenario `inspect`, as responder.py is.
"""

import re
import struct

from vmlab.debuggers import Gdb
from vmlab.elf import Core
from vmlab.errors import check

THREADS = "threads"  # whose core is carved
# A timer that rests: all of the kernel's own are soon others.
START = "sleep 86400 >/dev/null 2>&1 &"
GATHER = r"""
cat /proc/interrupts >%(folder)s/interrupts; cat /proc/timer_list >%(folder)s/timer_list
cat /proc/kpageflags >%(folder)s/kpageflags; cat /proc/kpagecount >%(folder)s/kpagecount
grep . /proc/%(pid)d/task/*/syscall >%(folder)s/syscalls
"""
# Of the names that BTF has for flags, those that /proc/kpageflags has too (kernel:
# include/uapi/linux/kernel-page-flags.h).
FLAGS = {"uptodate": 3, "dirty": 4, "lru": 5, "active": 6, "writeback": 8, "swapbacked": 14, "reserved": 32}
KIND_BITS = {"slab": 7, "free": 10}
ANONYMOUS, HEAD, TAIL = 12, 15, 16
# What the process `title` has written over its arguments; the executable's file has it, too.
TITLE = "tasks: a title of its own"
# Of files alone: the guest would take half a minute for all of its RAM.
FILE_QUESTIONS = {"strings": f"$K strings '^{TITLE}|^Linux version .* SMP' --json $F"}


def gather(stage, folder):
    """The guest's commands that add to `folder` what its /proc says."""
    return GATHER % {"pid": stage.tasks[THREADS], "folder": folder}


def asked_pages(stage):
    """Some pages of processes, by the task's name."""
    return {name: stage.asked_pages(name)[:count] for name, count in (("pattern", 2), ("huge", 2), ("resting", 2))}


def questions(stage):
    """Shell text by name, as stage.questions_about()'s."""
    asked = {f"pages_{name}": f"$K pages --pid {stage.tasks[name]} {' '.join(map(hex, pages))} --json $F"
             for name, pages in asked_pages(stage).items()}
    address = r"""sed -n 's/.*"address": "\(0x[0-9a-f]*\)".*/\1/p' | head -n 1"""
    task = f"$($K ps {stage.tasks[THREADS]} --json $F | {address})"
    return {"irqs": "$K irqs --json $F", "timers": "$K timers --json $F", "workqueues": "$K workqueues --json $F",
            **asked, "pages_kernel": f"$K pages linux_banner {task} --json $F",
            "carve": f"$K carve {stage.tasks[THREADS]} -o $IN/core --force --json $F"}


def checks(context, stage, answers, before, after):
    """What is to be checked of one source, as functions. `before` and `after` are folders that gather() filled."""
    yield lambda: check_irqs(answers, before, after)
    yield lambda: check_timers(answers, before, after)
    yield lambda: check_workqueues(answers)
    yield lambda: check_pages(stage, answers, before, after)
    yield lambda: check_carve(context, answers, before, after)
    if answers.name != "live":
        yield lambda: check_strings(context, stage, answers)


def document(answers, name):
    """The answer's JSON: what came and went while memory was captured may be missing (status 3)."""
    answer = answers.ask(name)
    return answer.json(answer.status if answer.status == 3 else 0)


def check_irqs(answers, before, after):
    """Every numbered line of /proc/interrupts, its counts between those of the two moments."""
    right, later = (parse_interrupts((folder / "interrupts").read_text()) for folder in (before, after))
    irqs = {irq["number"]: irq for irq in document(answers, "irqs")["irqs"]}
    check(irqs.keys() == right.keys(), f"irqs: {sorted(irqs)}, the guest has {sorted(right)}")
    for number, (words, counts) in right.items():
        irq = irqs[number]
        said = (irq["chip"], f"{irq['hardware']}-{irq['flow']}", ", ".join(action["name"] for action in irq["actions"]))
        check(said == words, f"irqs: {number} is {said}, the guest says {words}")
        check(all(low <= count <= high for low, count, high in zip(counts, irq["counts"], later[number][1])),
              f"irqs: {number} came {irq['counts']} times, the guest says {counts}, then {later[number][1]}")
        check(all(action["handler"]["symbol"] for action in irq["actions"]), f"irqs: a handler has no name: {irq}")
    return f"{len(irqs)} interrupts"


def parse_interrupts(text):
    """By number: (chip, its own number and flow, names), counts."""
    lines = text.splitlines()
    cpus = len(lines[0].split())
    irqs = {}
    for line in lines[1:]:
        label, _, rest = line.strip().partition(":")
        words = rest.split(None, cpus + 2)
        if label.isdigit():
            names = words[cpus + 2].strip() if len(words) > cpus + 2 else ""
            irqs[int(label)] = (words[cpus], words[cpus + 1], names), [int(word) for word in words[:cpus]]
    return irqs


def check_timers(answers, before, after):
    """Every hrtimer that /proc/timer_list has both times."""
    moments = [parse_timer_list((folder / "timer_list").read_text()) for folder in (before, after)]
    (first, right), (last, later) = moments
    said = document(answers, "timers")
    # One that is being set while a live kernel is read may have no function yet.
    called = [(timer, timer["function"]["symbol"]) for timer in said["timers"]
              if timer["function"] and timer["function"]["symbol"]]
    check(len(said["timers"]) - len(called) <= 3, f"timers without a function: {said}")
    got = {(timer["cpu"], timer["base_index"], function.split(" ")[0], timer["soft_expires"], timer["expires"])
           for timer, function in called if timer["kind"] == "hrtimer"}
    lost = (right & later) - got
    torn = answers.ask("timers").status == 3  # trees that changed while memory was captured
    check(right & later and got and (torn or not lost), f"timers: it lacks {lost}; it has {got}")
    asleep = [timer for timer in said["timers"] if timer["task"] and timer["task"]["comm"] == "sleep"]
    check(torn or any(timer["in_ns"] > 80000e9 for timer in asleep), f"timers: who sleeps for a day? {asleep}")
    functions = {function for _, function in called}
    works = [timer["work"]["symbol"] for timer, _ in called if timer["work"]]
    check("delayed_work_timer_fn" in functions and works and all(works), f"timers: functions {functions}, work {works}")
    # A tick comes every 4 ms, but on a CPU that sleeps.
    check(first - 5e9 < said["now_ns"] < last + 5e9, f"timers: now is {said['now_ns']}, the guest says {first}, {last}")
    return f"{len(right & later)} hrtimers that rest of {len(said['timers'])} timers"


def parse_timer_list(text):
    """Now, and (CPU, clock, function, expiry, expiry) of each hrtimer."""
    timers, cpu, clock, function = set(), 0, 0, ""
    for line in text.splitlines():
        words = line.split()
        if line.startswith("cpu:"):
            cpu = int(words[1])
        elif re.fullmatch(r" clock \d+:", line):
            clock = int(words[1][:-1])
        elif re.match(r" #\d+: ", line):
            function = words[2].rstrip(",").strip("<>")
        elif line.startswith(" # expires at"):
            soft, hard = words[3].split("-", 1)
            timers.add((cpu, clock, function, int(soft), int(hard)))
    return int(re.search(r"^now at (\d+)", text, re.M)[1]), timers


def check_workqueues(answers):
    """Workers are the threads of that name; queues that reclaim memory have a rescuer; work has functions."""
    said = document(answers, "workqueues")
    tasks = {task["pid"]: task["comm"] for task in answers.ask("processes").json()["tasks"]}
    right = {pid for pid, comm in tasks.items() if re.match(r"kworker/(u|\d)", comm)}
    got = {worker["task"]["pid"] for pool in said["pools"] for worker in pool["workers"] if worker["task"]}
    check(len(right & got) > 5 and len(right ^ got) <= 3, f"workqueues: workers {sorted(got)}, ps says {sorted(right)}")
    names = {queue["name"]: queue for queue in said["workqueues"]}
    check({"events", "events_unbound", "writeback"} <= names.keys(), f"workqueues: {sorted(names)}")
    for queue in said["workqueues"]:
        check(not queue["rescuer"] or queue["rescuer"]["pid"] in tasks, f"workqueues: no such rescuer: {queue}")
        check(queue["rescuer"] or "mem_reclaim" not in queue["flags"], f"workqueues: no rescuer: {queue}")
        check(queue["pools"], f"workqueues: no pool: {queue}")
    delayed = [work for work in said["works"] if work["state"] == "delayed" and work["function"]]
    check(len(delayed) > 3 and all(work["function"]["symbol"] and work["workqueue"] in names for work in delayed),
          f"workqueues: delayed work {delayed}")
    return f"{len(said['workqueues'])} workqueues, {len(got)} workers, {len(said['works'])} works"


def check_pages(stage, answers, before, after):
    """Pages of processes, where their page tables say, with flags and counts as /proc/kpage… has them."""
    truths = [(words((folder / "kpageflags").read_bytes()), words((folder / "kpagecount").read_bytes()))
              for folder in (before, after)]
    count = 0
    for name, pages in asked_pages(stage).items():
        frames = {int(answer["address"], 16) & -4096: answer["physical"]
                  for answer in answers.ask(f"vtop_{name}").documents()}
        for page, said in zip(pages, answers.ask(f"pages_{name}").documents()):
            check(int(said["physical"], 16) == int(frames[page], 16) & -4096,
                  f"pages: {said}, vtop says {frames[page]}")
            mappers = {(mapper["pid"], int(mapper["address"], 16)) for mapper in said["mapped_by"]}
            check((stage.tasks[name], page) in mappers, f"pages: who has {page:#x} of {name} mapped? {said}")
            check(said["anonymous"] or (said["file"] and said["file"]["path"].endswith("guest_tasks")),
                  f"pages: {name} maps {said}")
            count += check_page(said, truths)
    banner, task = answers.ask("pages_kernel").documents()
    check("reserved" in banner["flag_names"], f"pages linux_banner: {banner}")
    check(task["kind"] == "slab" and task["slab"]["cache"] == "task_struct", f"pages of a task_struct: {task}")
    count += check_page(banner, truths) + check_page(task, truths)
    check(count > 4, f"pages: only {count} stood still")
    return f"{count} struct pages"


def words(data):
    """64-bit words."""
    return struct.unpack(f"<{len(data) // 8}Q", data)


def check_page(said, truths):
    """Flags and mapcount of one page; 0 where the guest's own word changed meanwhile."""
    frame = int(said["physical"], 16) >> 12
    flags, counts = ([truth[kind][frame] for truth in truths] for kind in (0, 1))
    mask = sum(1 << bit for bit in (*FLAGS.values(), *KIND_BITS.values(), ANONYMOUS, HEAD, TAIL))
    if flags[0] & mask != flags[1] & mask or counts[0] != counts[1]:
        return 0
    # Up to 6.1 a compound page's flags stand on its head alone.
    if not flags[0] >> TAIL & 1:
        got = {name: name in said["flag_names"] for name in FLAGS}
        right = {name: bool(flags[0] >> bit & 1) for name, bit in FLAGS.items()}
        check(got == right, f"pages: flags (said, right) {got} {right}: {said}")
        check(said["anonymous"] == bool(flags[0] >> ANONYMOUS & 1), f"pages: {flags[0]:#x} {said}")
        for kind, bit in KIND_BITS.items():
            check((said["kind"] == kind) == bool(flags[0] >> bit & 1), f"pages: {flags[0]:#x} {said}")
    check((said["head"] != said["address"]) == bool(flags[0] >> TAIL & 1), f"pages: {flags[0]:#x} {said}")
    check(said["kind"] == "slab" or (said["order"] > 0) == bool(flags[0] >> HEAD & 3), f"pages: {flags[0]:#x} {said}")
    check(said["mapcount"] == counts[0], f"pages: mapcount {counts[0]}, {said}")
    return 1


def check_carve(context, answers, before, after):
    """gdb opens the core with the executable: its threads, where each entered the kernel, and text on its stack."""
    report = document(answers, "carve")
    path = context.folder / "lists/core"
    core = Core(path)
    bytes_in = sum(segment.filesz for segment in core.loads)
    check(bytes_in == report["pages"]["read"] * 4096 and report["pages"]["read"] > 20 and
          report["pages"]["unreadable"] == report["pages"]["swapped"] == 0, f"carve: {report}, {bytes_in} bytes")
    check(sum(segment.memsz - segment.filesz for segment in core.loads) == report["pages"]["untouched"] * 4096,
          f"carve: {report}")
    check(path.stat().st_mode & 0o777 == 0o600 or answers.name == "live", f"carve: mode {path.stat().st_mode:o}")
    right, later = (parse_syscalls((folder / "syscalls").read_text()) for folder in (before, after))
    check(right == later and len(right) == 4, f"carve: threads of {THREADS} moved: {right}, {later}")
    said = ask_gdb(context, path)
    threads = {int(thread): (int(sp, 16), int(pc, 16)) for thread, sp, pc in
               re.findall(r"LWP (\d+).*?\nsp (0x[0-9a-f]+) pc (0x[0-9a-f]+)", said["threads"], re.S)}
    check(threads == right, f"carve: gdb says {said['threads']}, the guest {right}")
    # The name that it was run by stands on its stack.
    check('guest_tasks"' in said["auxiliary"] and "pause" in said["stack"], f"carve: gdb says {said}")
    return f"a core of {report['pages']['read']} pages and {len(threads)} threads"


def check_strings(context, stage, answers):
    """Text that is planted in a process and in a file, and the kernel's banner, are theirs."""
    said = document(answers, "strings")
    check(said["complete"] and said["count"] == len(said["strings"]), f"strings: {said['count']} {said['complete']}")
    program = context.tasks.read_bytes()
    owners = set()
    for string in said["strings"]:
        if string["file"] and (string["file"]["path"] or "").endswith("/guest_tasks"):
            text, at = string["text"].encode(), string["file"]["offset"]
            check(program[at:at + len(text)] == text, f"strings: the file has other text there: {string}")
            owners.add("file")
        if string["kind"] == "user" and [mapper["pid"] for mapper in string["mapped_by"]] == [stage.tasks["title"]]:
            owners.add("process")
        if (string["symbol"] or "").startswith("linux_banner"):
            owners.add("kernel")
    check(owners == {"file", "process", "kernel"}, f"strings: owners {owners} of {said['strings']}")
    return f"{said['count']} strings with their owners"


def parse_syscalls(text):
    """(stack pointer, instruction pointer) by thread, of lines as "/proc/1/task/2/syscall:34 … SP PC"."""
    lines = (line.partition("/syscall:") for line in text.splitlines())
    return {int(path.split("/")[-1]): tuple(int(word, 16) for word in rest.split()[-2:]) for path, _, rest in lines}


def ask_gdb(context, core):
    """What the real gdb says of a core, by the question."""
    return Gdb([f"file {context.tasks}", f"core-file {core}"], {
        "threads": r'thread apply all printf "sp %#lx pc %#lx\n", $sp, $pc',
        "stack": ["thread 1", "bt"], "auxiliary": "info auxv"}).run(context.folder)
