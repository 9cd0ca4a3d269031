# SPDX-License-Identifier: MIT
"""Answers held against the guest's own word, taken before and after: what either says is right.

What both say alike must be in an answer; what only one says may be.
"""

import collections
import re

from vmlab.errors import check
from vmlab.texts import UNPURGED

PSEUDO_MODULES = {"bpf", "__builtin__ftrace", "__builtin__kprobes"}
ARGUMENT_BYTES = 4096
NANOSECONDS_A_TICK = 10_000_000
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
FACILITIES = {0: "kern", 1: "user", 3: "daemon"}


def shown(entries, most=4):
    """Some entries of a set, for a message."""
    entries = sorted(entries, key=str)
    return f"{len(entries)}: {entries[:most]}"


def stable(before, after):
    """What two dictionaries say alike."""
    return {key: value for key, value in before.items() if after.get(key) == value}


# Symbols


def parse_symbol_table(text):
    """(address, type, name, module) of each row of `sym`'s table, and its sizes by address."""
    symbols, sizes = [], {}
    for line in text.splitlines()[1:]:
        words = line.split()
        module = words[4] if len(words) > 4 and not words[4].startswith("0x") else ""
        symbols.append((int(words[0], 16), words[1], words[3], module))
        if words[2] != "-":
            sizes[symbols[-1][0]] = int(words[2])
    return symbols, sizes


def check_symbols(answers, before, after):
    """Every line of kallsyms, by a glob, by its address and by its name; and nothing else."""
    right = sorted(before)
    for question in ("symbols", "by_address", "by_name"):
        symbols, sizes = parse_symbol_table(table_without_titles(answers.ask(question).text()))
        if sorted(symbols) != right:
            explain_difference(question, symbols, before, after)
        if question == "symbols":
            check_sizes(before, sizes)
    return f"{len(before)} symbols, {sum(symbol[3] in PSEUDO_MODULES for symbol in before)} of code made at run time"


def explain_difference(question, symbols, before, after):
    """Raise, unless it is only that the guest's kallsyms changed."""
    got, before, after = map(collections.Counter, (symbols, before, after))
    lost, invented = (before & after) - got, got - (before | after)
    check(not lost and not invented, f"sym, {question}: of {sum(before.values())} lines of kallsyms it lacks "
          f"{shown(lost)}; of its own it has {shown(invented)}")


def table_without_titles(text):
    """One table where xargs made several."""
    first, *lines = text.splitlines()
    return "\n".join([first, *(line for line in lines if not line.startswith("ADDRESS "))])


def check_sizes(symbols, sizes):
    """The kernel's own symbols reach to the next one."""
    addresses = sorted({address for address, *_ in symbols})
    following = dict(zip(addresses, addresses[1:]))
    modules = {address for address, _, _, module in symbols if module}
    wrong = {hex(address): (size, following[address] - address) for address, size in sizes.items()
             if address in following and address not in modules and following[address] not in modules
             and size != following[address] - address}
    check(not wrong, f"sym: sizes that do not reach to the next symbol (said, right): {shown(wrong.items())}")


def check_inner_addresses(answers, asked, symbols):
    """Addresses within symbols, each answered with the symbol before it."""
    by_address = collections.defaultdict(set)
    for address, _, name, _ in symbols:
        by_address[address].add(name)
    got = {int(each["address"], 16): each for each in answers.ask("inner").json()["symbols"]}
    for start, address in asked.items():
        answer = got.get(address)
        check(answer and answer["name"] in by_address[start] and answer["offset"] == address - start,
              f"sym {address:#x}: {answer}, it is {sorted(by_address[start])} + {address - start:#x}")
    return f"{len(asked)} addresses within symbols"


# Modules


def check_modules(answers, before, after):
    """Every line of /proc/modules, in its order."""
    got = {module["name"]: (module["size_bytes"], module["references"], module["users"], module["state"],
                            int(module["base"], 16), module["taints"])
           for module in answers.ask("mod").json()["modules"]}
    check(list(got) in (list(before), list(after)), f"mod lists {list(got)}, the guest {list(after)}")
    wrong = {name: (words, after.get(name)) for name, words in got.items()
             if words not in (before.get(name), after.get(name))}
    check(not wrong, f"mod: (said, right) {shown(wrong.items())}")
    return f"{len(got)} modules"


# Tasks


def check_tasks(answers, before, after):
    """Every task that lived before and after, with all that /proc says of it."""
    got = {task["pid"]: task for task in answers.ask("ps").json()["tasks"]}
    lasting = before.keys() & after.keys()
    lost = lasting - got.keys()
    check(not lost, f"ps --threads lacks {[before[pid] for pid in lost]}")
    # Commands of the guest's agent come and go, and kernel threads do.
    strangers = [task for pid, task in got.items() if pid not in before and pid not in after and
                 not task["kernel_thread"] and task["comm"] not in ("kcoredump", "sh", "base64", "awk", "ls")]
    check(not strangers, f"ps lists tasks that the guest does not: {strangers}")
    for pid in sorted(lasting):
        check_task(got[pid], before[pid], after[pid])
    processes = [task["pid"] for task in answers.ask("processes").json()["tasks"]]
    leaders = {pid for pid in lasting if before[pid].tgid == pid}
    check(leaders <= set(processes) and not (lasting - leaders) & set(processes),
          f"ps without --threads lists {processes}, the guest has {sorted(leaders)}")
    return f"{len(lasting)} tasks, {sum(before[pid].arguments is not None for pid in lasting)} with arguments"


def check_task(task, before, after):
    """One task, field by field."""
    def hold(field, *right):
        check(task[field] in right, f"ps: {field} of {before.pid} ({before.comm}) is {task[field]!r}, "
              f"/proc says {' or '.join(map(repr, right))}")

    hold("tgid", before.tgid)
    hold("ppid", before.ppid, after.ppid)
    hold("uid", before.uid, after.uid)
    hold("comm", before.comm, after.comm)
    hold("kernel_thread", before.kernel_thread)
    hold("threads", before.threads, after.threads)
    check(task["start_ns"] // NANOSECONDS_A_TICK == before.start_ticks,
          f"ps: {before.pid} started at {task['start_ns']} ns, /proc says {before.start_ticks} ticks")
    # Whoever runs between two looks was seen doing so by neither; the stopped and dead do not.
    resting = before.state == after.state and before.state in "TtZX"
    hold("state", before.state, after.state, *(() if resting else "RSDI"))
    if resting:
        hold("cpu", before.cpu, after.cpu)
    arguments = cut(before.arguments), cut(after.arguments)
    hold("arguments", *arguments)
    check(task["arguments_cut"] == (arguments[0] != before.arguments), f"ps: arguments_cut of {before.pid}: {task}")
    check_resident(task, before, after)


def cut(arguments):
    """As much of them as ps reads."""
    if arguments is None:
        return None
    data = "\0".join([*arguments, ""]).encode()
    if len(data) <= ARGUMENT_BYTES:
        return arguments
    return data[:ARGUMENT_BYTES].decode().removesuffix("\0").split("\0")


def check_resident(task, before, after):
    """Resident memory, where it stood still. Zombies and kernel threads have none."""
    if not before.resident or not after.resident:
        check(not task["rss_bytes"], f"ps: {before.pid} has {task['rss_bytes']} bytes, /proc says none")
    elif before.resident == after.resident:
        check(min(before.resident) <= task["rss_bytes"] <= max(before.resident),
              f"ps: {before.pid} ({before.comm}) has {task['rss_bytes']} bytes, /proc says {sorted(before.resident)}")


# The log


def check_log(answers, before, after):
    """Every record of /dev/kmsg, and every line of dmesg."""
    records = {record["sequence"]: record for record in answers.ask("log").json()["records"]}
    lasting = before.log.keys() & after.log.keys()
    lost = lasting - records.keys()
    check(lasting and not lost, f"log lacks records {shown(lost)} of {len(lasting)}")
    for sequence in lasting:
        check_record(records[sequence], before.log[sequence])
    invented = records.keys() - before.log.keys() - after.log.keys() - set(range(max(before.log), max(after.log) + 100))
    check(not invented, f"log has records that the guest has not: {shown(invented)}")
    lines = answers.ask("log_text").text().splitlines()
    check_lines(lines, [without_caller(line) for line in before.dmesg])
    return f"{len(lasting)} records from {min(lasting)} on, {len(before.dmesg)} lines"


def check_record(record, words):
    """One record, field by field."""
    text = record["text"]
    got = (record["level"], record["time_ns"] // 1000, text, record["continuation"])
    right = (LEVELS[words.level], words.microseconds, words.text, words.continuation)
    check(got == right, f"log: record {words.sequence} is {got}, /dev/kmsg says {right}")
    check(record["facility"] == FACILITIES.get(words.facility, record["facility"]),
          f"log: record {words.sequence} has facility {record['facility']}, /dev/kmsg says {words.facility}")
    check(not words.caller or record["caller"] == words.caller,
          f"log: record {words.sequence} has caller {record['caller']}, /dev/kmsg says {words.caller}")
    device = f"+{record['subsystem']}:{record['device']}" if record["device"] else ""
    check(not words.device or words.device in (device, record["device"]),
          f"log: record {words.sequence} is of device {record['device']}, /dev/kmsg says {words.device}")


def without_caller(line):
    """A line of dmesg as kernels without PRINTK_CALLER have it."""
    return re.sub(r"^(\[[ .\d]+\])\[ *[TC]\d+\]", r"\1", line)


def check_lines(lines, dmesg):
    """dmesg's lines, the first of which may have been cut, stand together in ours."""
    wanted = [escaped(line) for line in dmesg[1:]]
    check(wanted[0] in lines, f"log lacks the line {wanted[0]!r}")
    start = lines.index(wanted[0])
    got = lines[start:start + len(wanted)]
    wrong = next(((ours, theirs) for ours, theirs in zip(got, wanted) if ours != theirs), None)
    check(got == wanted, f"log: its lines differ from dmesg's, the first (ours, dmesg's): {wrong}")


def escaped(line):
    """Control characters as the product shows them."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", line)


# vmalloc space


def parse_areas(document):
    """{(start, end): (caller, pages)}; callers without their symbols' sizes."""
    return {(int(area["start"], 16), int(area["end"], 16)):
            (re.sub(r"/0x[0-9a-f]+", "", area["caller"] or ""), area["pages"]) for area in document["areas"]}


def check_areas(answers, question, before, after):
    """Every line of /proc/vmallocinfo."""
    got = parse_areas(answers.ask(question).json())
    must = {area: words for area, words in stable(before, after).items() if words != UNPURGED}
    wrong = {hex(area[0]): (got.get(area), words) for area, words in must.items() if got.get(area) != words}
    check(must and not wrong, f"{question}: of {len(must)} areas these differ (said, right): {shown(wrong.items())}")
    # Stacks of tasks that came and went in between; how many of all areas is a matter of luck, but few.
    invented = {area: words for area, words in got.items()
                if area not in before and area not in after and words != UNPURGED}
    check(len(invented) <= 16, f"{question}: areas that the guest has not: {shown(invented.items())}")
    return f"{len(must)} areas"


def check_area_answers(answers, asked, before, after):
    """An address in vmalloc space answers with its area."""
    must = stable(before, after)
    got = {int(each["address"], 16): each["area"] for each in answers.ask("areas").json()["symbols"]}
    for (start, end), address in asked.items():
        if (start, end) not in must:
            continue
        area = got.get(address)
        said = area and (int(area["start"], 16), int(area["end"], 16),
                         re.sub(r"/0x[0-9a-f]+", "", area["caller"] or ""), area["pages"])
        check(said == (start, end, *must[start, end]),
              f"sym {address:#x}: its area is {said}, the guest says {(hex(start), hex(end), must[start, end])}")
    return f"{len(asked)} areas by address"
