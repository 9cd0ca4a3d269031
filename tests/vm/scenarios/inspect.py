# SPDX-License-Identifier: MIT
"""Every command that looks inside, live and on files of the same guest, held against the guest's own word.

Four times the guest says what it has. Between the first two the live kernel is asked, before the third a
snapshot is taken, before the fourth the hypervisor dumps all memory. The snapshot is asked once more without
its own notes, and the dump without VMCOREINFO: there everything is decoded from memory. Debuggers attach to the
live kernel and to the snapshot.
"""

import dataclasses
import hashlib
import json
import time

from vmlab import disk, elf, kernels
from vmlab.elf import PAGE, Core
from vmlab.errors import CheckFailed, check
from vmlab.pattern import MAGIC, PAGES, pattern_page
from vmlab.texts import Texts, gather, parse_kallsyms, parse_pagemap

from . import debuggers, judge, judge_memory, judge_pictures, planted, responder, schemas, work
from .answers import FileAnswers, LiveAnswers, ask_live
from .context import capture
from .stage import LIVE_PATTERN_PAGES, file_questions, live_questions, prepare

MODULES = ("nft_ct",)  # it uses others, which use others
MOMENTS = 4
CAPTURES = 4
FOLLOWED = "lab: a line to be followed"


class Clock:
    """Says how long each part took."""

    def __init__(self):
        self._last = time.monotonic()

    def lap(self, what):
        """Print `what` with the seconds since the last call."""
        now = time.monotonic()
        print(f"{now - self._last:5.1f} s: {what}", flush=True)
        self._last = now


@dataclasses.dataclass(frozen=True)
class Moment:
    """All that the guest said at one time."""

    texts: Texts
    frames: dict  # of each page asked for, by the task's name
    kcore: list  # the pages of vmalloc space, as kcore gives them


def run(context):
    """One boot; everything asked in it, and of what it left."""
    files = [context.need("pattern"), context.need("tasks")]
    la57 = context.kernel.name == "sid" and kernels.has_five_levels(context.kernel)
    image = context.disk()
    clock = Clock()
    # Every packet costs some 30 ms there: one kernel is enough.
    live_gdb = debuggers.LiveGdb(context) if context.kernel.name == "6.1" else None
    with context.guest(files, disks=[image], cpus=2, la57=la57, cmdline="printk.devkmsg=on", modules=MODULES,
                       qemu_args=live_gdb.qemu_args if live_gdb else ()) as guest:
        stage = prepare(context, guest, image)
        live = live_questions(stage)
        clock.lap("the guest is ready")
        take_moment(guest, stage, 0)
        ask_live(guest, live, "/mnt/live", "/mnt/lists")
        if live_gdb:
            live_gdb.ask(guest, stage)
        take_moment(guest, stage, 1)
        clock.lap(f"the live kernel has answered {len(live)} questions")
        check_follow(guest)
        report = capture_whole_lists(guest)
        take_moment(guest, stage, 2)
        guest.freeze_and_dump(context.folder / "dump")
        guest.qmp.command("cont")
        take_moment(guest, stage, 3)
        guest.must("mkdir /mnt/end; cat /proc/kallsyms >/mnt/end/kallsyms; mv /mnt/end-events /mnt/end/events; sync", 120)
        clock.lap("snapshot and dump are taken")
    for name in ("end", "live", "lists", *(f"moment{number}" for number in range(MOMENTS))):
        disk.pull_folder(image, f"/{name}", context.folder)
    judge_all(context, stage, live, context.pull(image, "/x.elf.zst"), clock, live_gdb)
    check_capture(context, report)


def capture_whole_lists(guest):
    """The report of a capture during which no list changed, or of the last of a few: the program says itself, by
    status 3, that one did, and a guest cannot be kept from starting a thread meanwhile."""
    for _ in range(CAPTURES):
        report = capture(guest, "-o /mnt/x.elf.zst --events /mnt/end-events --force").expect(0).report
        torn, _ = guest.run("kcoredump ps -f /mnt/x.elf.zst >/tmp/torn && "
                            "kcoredump vmalloc --from-memory -f /mnt/x.elf.zst >/tmp/torn", 120)
        if torn != 3:
            break
        print("a list changed while memory was captured: once more", flush=True)
    return report


def take_moment(guest, stage, number):
    """Leave in the guest's /mnt what it says now."""
    folder = f"/mnt/moment{number}"
    guest.must(gather(folder))
    lines = []
    for name, stretches in stage.process_pages.items():
        lines += [f"dd if=/proc/{stage.tasks[name]}/pagemap bs=8 skip={first // PAGE} count={count} "
                  f"2>/dev/null >>{folder}/pagemap_{name}" for first, count, _ in stretches]
    lines += [f"dd if=/proc/kcore bs={PAGE} skip={offset // PAGE} count=1 2>/dev/null >>{folder}/kcore"
              for offset in stage.vmalloc_pages.values()]
    guest.must("\n".join([*lines, responder.gather(stage, folder), work.gather(stage, folder)]))


def read_moment(stage, folder):
    """What take_moment() left."""
    frames = {}
    for name, stretches in stage.process_pages.items():
        all_frames = parse_pagemap((folder / f"pagemap_{name}").read_bytes())
        pages = [page for first, count, _ in stretches for page in range(first, first + count * PAGE, PAGE)]
        by_page = dict(zip(pages, all_frames))
        frames[name] = {page: by_page[page] for page in stage.asked_pages(name)}
    data = (folder / "kcore").read_bytes()
    return Moment(Texts(folder), frames, [data[at:at + PAGE] for at in range(0, len(data), PAGE)])


def check_follow(guest):
    """A line that is written while `log --follow` runs is shown, once, and so is what was there before."""
    guest.must("kcoredump log --follow >/tmp/followed 2>&1 & follower=$!\n"
               "for i in $(seq 100); do [ -s /tmp/followed ] && break; sleep 0.1; done\n"
               f"echo '<5>{FOLLOWED}' >/dev/kmsg\n"
               f"for i in $(seq 100); do grep -q '{FOLLOWED}' /tmp/followed && break; sleep 0.1; done\n"
               "kill $follower; wait $follower")  # a job of a shell like this ignores SIGINT
    text = guest.must("dmesg >/tmp/said; tail -n 3 /tmp/followed; grep -c . /tmp/followed")
    lines = text.splitlines()
    check(sum(FOLLOWED in line for line in lines) == 1 and lines[-2].endswith(FOLLOWED),
          f"log --follow does not end with the line that was written: {text}")
    check(int(lines[-1]) > 500, f"log --follow shows only {lines[-1]} lines")


def make_files(context, snapshot):
    """The snapshot, the same without its own notes, and the hypervisor's dump without VMCOREINFO."""
    stripped = context.unpack(snapshot)
    elf.drop_vendor_segments(stripped)
    bare = context.folder / "bare"
    (context.folder / "dump").rename(bare)
    elf.hide_notes(bare, "VMCOREINFO")
    return {"snapshot": snapshot, "snapshot without its notes": stripped, "dump without VMCOREINFO": bare}


def judge_all(context, stage, live, snapshot, clock, live_gdb):
    """Every check of every source; all that went wrong in one error."""
    moments = [read_moment(stage, context.folder / f"moment{number}") for number in range(MOMENTS)]
    late_symbols = parse_kallsyms((context.folder / "end/kallsyms").read_text())
    files = make_files(context, snapshot)
    stripped, bare = Core(files["snapshot without its notes"]), Core(files["dump without VMCOREINFO"])
    on_host = {**file_questions(stage), **schemas.MORE, **work.FILE_QUESTIONS, "report": "$K report $IMAGE"}
    sources = [(LiveAnswers(context.folder / "live", live), *moments[0:2], stripped)]
    for (name, path), last, truth in zip(files.items(), (2, 2, 3), (stripped, stripped, bare)):
        answers = FileAnswers(name, context.kcoredump, path, context.folder / "lists", on_host)
        sources.append((answers, *moments[last - 1:last + 1], truth))
    wrong = []
    for answers, before, after, truth in sources:
        done = []
        asked = live if answers.name == "live" else on_host
        reports = () if answers.name == "live" else (lambda one=answers: judge_pictures.check_report(one),)
        for check_one in (*checks(context, stage, answers, before, after, late_symbols, truth), *reports,
                          lambda one=answers, of=asked: schemas.check_schemas(one, context.kcoredump, of)):
            try:
                done.append(check_one())
            except CheckFailed as error:
                wrong.append(f"{answers.name}: {error}")
        clock.lap(f"{answers.name}: {', '.join(done)}")
    texts = [moment.texts for moment in moments]
    attached = {"snapshot": lambda: debuggers.judge_snapshot(context, stage, snapshot, *texts[1:3])}
    if live_gdb:
        attached["live"] = lambda: live_gdb.judge(stage, *texts[0:2])
    for name, check_one in attached.items():
        try:
            clock.lap(f"{name} in debuggers: {check_one()}")
        except CheckFailed as error:
            wrong.append(f"{name} in debuggers: {error}")
    try:
        clock.lap(planted.judge(context, stage, files["snapshot without its notes"], snapshot))
    except CheckFailed as error:
        wrong.append(f"planted: {error}")
    wrong += check_messages(sources) + judge_pictures.check_maps(sources)
    check(not wrong, "\n".join(wrong))


def checks(context, stage, answers, before, after, late_symbols, truth):
    """What is to be checked of one source, as functions; `truth` has its memory, or memory that is much the same."""
    one, other = before.texts, after.texts
    live = answers.name == "live"
    pages = range(LIVE_PATTERN_PAGES if live else PAGES)
    digest = hashlib.md5(b"".join(map(pattern_page, pages))).hexdigest()
    yield lambda: judge.check_symbols(answers, stage.symbols, late_symbols)
    yield lambda: judge.check_inner_addresses(answers, stage.inner, stage.symbols)
    yield lambda: judge.check_modules(answers, one.modules, other.modules)
    yield lambda: judge.check_tasks(answers, one.tasks, other.tasks)
    yield lambda: judge.check_log(answers, one, other)
    yield lambda: judge.check_areas(answers, "vmalloc", one.areas, other.areas)
    yield lambda: judge.check_areas(answers, "vmalloc_memory", one.areas, other.areas)
    yield lambda: judge.check_area_answers(answers, stage.areas, one.areas, other.areas)
    yield lambda: judge_memory.check_banner(answers, stage.version)
    yield lambda: judge_memory.check_process_pages(answers, stage, before.frames, after.frames)
    yield lambda: judge_memory.check_kernel_pages(answers, stage.kernel_addresses)
    yield lambda: judge_memory.check_vmalloc_pages(answers, stage.vmalloc_pages, before, after, truth)
    yield lambda: judge_memory.check_process_memory(answers, digest)
    yield from responder.checks(answers, one.folder, other.folder)
    yield from planted.checks(answers)
    yield from work.checks(context, stage, answers, one.folder, other.folder)
    yield lambda: judge_memory.check_search(answers, {stage.pages[5]} if live else truth.pages_that_begin(MAGIC))


def check_capture(context, report):
    """The capture's report and events are as their schemas say, and the events begin and end as they should."""
    text = (context.folder / "end/events").read_text()
    print(schemas.validate(context.kcoredump, [["capture", "document", json.dumps(report), "report"],
                                               ["events", "document", text, "events"]]))
    events = [json.loads(line) for line in text.splitlines()]
    check([events[0]["event"], events[-1]["event"], events[-1]["pages"]["read"]] ==
          ["start", "finish", report["pages"]["read"]], f"the capture's events are {events[0]} … {events[-1]}")


def check_messages(sources):
    """What is decoded from memory is said to be."""
    said = {answers.name: answers.ask("mod").messages for answers, *_ in sources}
    words = "no VMCOREINFO note; its page was found in memory"
    wrong = [name for name, text in said.items() if (words in text) != (name == "dump without VMCOREINFO")]
    return [f"{name}: says {said[name]!r}" for name in wrong]
