# SPDX-License-Identifier: MIT
"""What a live capture says of itself, held against the hypervisor's dump and the guest's own word: how much of it had
changed, what it read first, what it took of the machine."""

import collections
import concurrent.futures
import dataclasses
import json
import re
import struct
import time

from vmlab.elf import PAGE
from vmlab.errors import check
from vmlab.pattern import WRITTEN_PAGES

from .context import CAPTURE_SECONDS, capture

OPTIONS = "--order volatile --smear 10000"
LOOK_SECONDS = 0.005
LEAST_SAMPLED = 100  # pages of a class that say something
# Until the guest is stopped a little more changes than the capture has seen.
DRIFT = 0.006
MOST_CACHED_KIB = 4 << 10
TRAILER_MAGIC, SEEK_MAGIC = 0x184D2A5D, 0x8F92EAB1


@dataclasses.dataclass
class Witness:
    """What the guest said: /proc/meminfo before and after the capture, and what processes there were before."""

    before: dict
    after: dict
    pids: set


def capture_and_dump(guest, arguments, prefix, events, truth):
    """A capture, and the hypervisor's dump of the moment when all was read: its events (to `events`, the guest's port)
    say when. Returns the outcome and a Witness; /mnt/flags and flags_after are /proc/kpageflags before and after."""
    guest.must("cat /proc/kpageflags >/mnt/flags; sync")
    pids = {int(pid) for pid in guest.must("ls /proc | grep '^[0-9]'").split()}
    before = read_meminfo(guest)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        dumped = pool.submit(dump_when_read, guest, events, truth)
        outcome = capture(guest, f"{arguments} --events {guest.port_node}", prefix=prefix).expect(0)
        check(dumped.result(), f"no event says that all was read: {events.read_text()[-500:]}")
    after = read_meminfo(guest)
    guest.must("cat /proc/kpageflags >/mnt/flags_after")
    return outcome, Witness(before, after, pids)


def dump_when_read(guest, events, truth):
    """The guest's memory at that moment; then it goes on. Whether there was one."""
    deadline = time.monotonic() + CAPTURE_SECONDS
    while '"finishing"' not in events.read_text():
        if time.monotonic() > deadline or '"finish"' in events.read_text():
            return False
        time.sleep(LOOK_SECONDS)
    guest.freeze_and_dump(truth)
    guest.qmp.command("cont")
    return True


def read_meminfo(guest):
    """{name: KiB} of /proc/meminfo."""
    return {name: int(value) for name, value in re.findall(r"^(\w+): +(\d+) kB", guest.must("cat /proc/meminfo"), re.M)}


def check_page_cache(witness, report, snapshot):
    """As it was found, though the snapshot is many times larger than what may remain."""
    grown = {name: witness.after[name] - witness.before[name] for name in ("Cached", "Buffers", "Dirty", "Writeback")}
    check(snapshot.stat().st_size > 8 * MOST_CACHED_KIB << 10, f"a snapshot of {snapshot.stat().st_size} bytes proves nothing")
    check(all(kib < MOST_CACHED_KIB for kib in grown.values()), f"the page cache has grown by {grown} KiB")
    check(report["footprint"]["page_cache_bytes"] == 0, f"the report's footprint: {report['footprint']}")
    print(f"page cache: {snapshot.stat().st_size >> 10} KiB written, {grown} KiB more; {report['footprint']}")


def check_peak(peak_kib, report):
    """VmHWM as somebody else saw it, ten times a second."""
    said = report["footprint"]["peak_rss_bytes"] >> 10
    check(peak_kib <= said < peak_kib + (8 << 10), f"the report says {said} KiB resident, /proc/PID/status {peak_kib}")
    taken = report["footprint"]["dirtied_pages"] * PAGE >> 10
    check(said * 0.3 < taken < said * 4, f"the report says {taken} KiB of pages taken, the peak was {said}")


def kinds_of_pages(path):
    """{physical address: kind} from a copy of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h)."""
    raw = path.read_bytes()
    kinds, head = {}, 0
    for pfn, flags in enumerate(struct.unpack(f"<{len(raw) // 8}Q", raw)):
        # Up to 6.1 only the head of a compound page carries the flags.
        head = head if flags >> 16 & 1 else flags
        kinds[pfn * PAGE] = kind_of(head)
    return kinds


def kind_of(flags):
    """Of one entry, in the report's words."""
    for bits, kind in (((19, 20, 23), "unknown"), ((10,), "free"), ((7,), "slab"), ((26,), "page-tables"),
                       ((12, 17), "user"), ((5, 13), "cache"), ((32,), "reserved")):
        if any(flags >> bit & 1 for bit in bits):
            return kind
    return "kernel"


def check_smear(report, kinds, core, different, written):
    """Each class's interval, twice as wide (all of them right in all but one run in ten thousand), holds the truth."""
    changed_pages = [page for page in written if page in different]
    check(changed_pages == written[::2], f"of {WRITTEN_PAGES} pages, half of them written to all the time, "
          f"{len(changed_pages)} differ from the hypervisor's dump: the test proves nothing")
    total, changed = collections.Counter(), collections.Counter()
    for segment in core.ram:
        for page in range(segment.paddr, segment.paddr + segment.filesz, PAGE):
            total[kinds.get(page, "unknown")] += 1
            changed[kinds.get(page, "unknown")] += page in different
    smear = report["smear"]
    check(sum(each["sampled_pages"] for each in smear["classes"]) == smear["sampled_pages"], f"smear: {smear}")
    judged = [hold(each["class"], each, changed[each["class"]] / max(1, total[each["class"]]))
              for each in smear["classes"] if each["sampled_pages"] >= LEAST_SAMPLED]
    check({"user", "free", "slab"} <= set(judged), f"only the classes {judged} have enough pages")
    hold("all", smear, changed.total() / total.total())


def hold(name, said, truth):
    """Check one class, or all of them together."""
    low, high, share = (said["changed"][key] for key in ("low", "high", "share"))
    print(f"smear of {name}: {said['sampled_pages']} sampled, {share:.4f} ({low:.4f} to {high:.4f}); truth {truth:.4f}")
    check(2 * low - share - DRIFT <= truth <= 2 * high - share + DRIFT,
          f"smear of {name}: {share:.4f} ({low:.4f} to {high:.4f}), the truth is {truth:.4f}")
    return name


def frame_times(snapshot, core):
    """(physical address, bytes, ms) of each frame of RAM, from seek table and trailer (FORMAT.md)."""
    data = snapshot.read_bytes()
    count, _, magic = struct.unpack_from("<IBI", data, len(data) - 9)
    check(magic == SEEK_MAGIC, "no seek table")
    table = len(data) - 9 - 12 * count
    times = struct.unpack_from(f"<{count}I", data, table - 8 - 16 - 4 * count)
    frames, offset = [], 0
    for index, milliseconds in enumerate(times):
        content = struct.unpack_from("<I", data, table + 12 * index + 4)[0]
        for segment in core.ram:
            if segment.offset <= offset < segment.offset + segment.filesz:
                frames.append((segment.paddr + offset - segment.offset, content, milliseconds))
        offset += content
    return frames


def check_order(context, snapshot, core, symbols, pids, before, after):
    """Page tables, the kernel's data and tasks, and slab were read before anything else."""
    data = range(core.physical_of_image(symbols["_sdata"]), core.physical_of_image(symbols["_end"] - 1))
    # Tasks come and go while their list is read, so that it may be broken: exit status 3.
    done = context.host_any("ps", "--threads", "--json", "-f", snapshot)
    check(done.returncode in (0, 3), f"ps exits {done.returncode}: {done.stderr.decode()}")
    listed = json.loads(done.stdout)["tasks"]
    tasks = set()
    for address in (int(task["address"], 16) for task in listed if task["tgid"] in pids):
        segment = next(segment for segment in core.ram if segment.vaddr <= address < segment.vaddr + segment.memsz)
        tasks.add((segment.paddr + address - segment.vaddr) & -PAGE)
    times = collections.defaultdict(list)
    for first, size, milliseconds in frame_times(snapshot, core):
        pages = range(first, first + size, PAGE)
        kinds = {before.get(page) for page in pages if before.get(page) == after.get(page)}
        ever = {one.get(page) for one in (before, after) for page in pages}
        if "page-tables" in kinds:
            times["page tables"].append(milliseconds)
        elif any(page in tasks for page in pages) and "page-tables" not in ever:
            times["tasks"].append(milliseconds)
        elif "slab" in kinds and "page-tables" not in ever:
            times["slab"].append(milliseconds)
        elif not ever & {"page-tables", "slab"} and (first >= data.stop or first + size <= data.start):
            times["rest"].append(milliseconds)
    spans = {name: (min(all_of), max(all_of), len(all_of)) for name, all_of in times.items()}
    print(f"order: {spans} (first ms, last ms, frames)")
    check(list(sorted(times)) == ["page tables", "rest", "slab", "tasks"], f"no frames of some kind: {spans}")
    for early, late in (("page tables", "slab"), ("page tables", "rest"), ("tasks", "rest"), ("slab", "rest")):
        check(spans[early][1] <= spans[late][0 if late == "rest" else 1], f"{early} after {late}: {spans}")
    middle = {name: sorted(all_of)[len(all_of) // 2] for name, all_of in times.items()}
    check(middle["page tables"] <= middle["tasks"] <= middle["slab"] <= middle["rest"], f"order: {middle}")
