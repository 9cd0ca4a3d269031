# SPDX-License-Identifier: MIT
"""Captures that end early: interrupted, or out of room. What is left must be a valid, partial snapshot."""

import json

from vmlab.elf import PAGE, Core
from vmlab.errors import check

from .context import CAPTURE_SECONDS, capture, check_accounts, fill_with_noise, zstd_test

NOISE_MIB = 48
# The notes alone make 3 to 4 MB; beyond them the capture is among the pages.
HALF_WAY_BYTES = 12 << 20
# Slow enough under emulation to be caught half-way, and not slower.
SLOW = "--level 9 --threads 1"


def check_partial(context, snapshot):
    """A valid stream that says of itself that it is not complete."""
    check(snapshot.stat().st_size > 0, "the partial file is empty")
    zstd_test(snapshot)
    done = context.host_any("verify", snapshot)
    check(done.returncode == 5, f"verify of a partial snapshot exits {done.returncode}, expected 5: "
          f"{(done.stdout + done.stderr).decode(errors='replace')}")
    done = context.host_any("info", "-f", snapshot, "--json")
    check(done.returncode in (0, 5), f"info exits {done.returncode}: {done.stderr.decode(errors='replace')}")
    info = json.loads(done.stdout)
    check(info["complete"] is False, "info calls a partial snapshot complete")
    check(missing(info["pages"]) > 0, f"info counts no page as not reached: {info['pages']}")
    return info


def missing(pages):
    """Pages that the capture did not get to; before some that it read early they count as unreadable."""
    return pages["not_reached"] + pages["unreadable"]


def check_partial_report(outcome, name):
    """The report and the messages of a capture that ended early."""
    outcome.expect(5)
    check(outcome.report, "no JSON report")
    report = outcome.report
    check(report["status"] == "partial" and report["reason"], f"status {report['status']}, reason {report['reason']}")
    check(missing(report["pages"]) > 0, f"nothing is left out: {report['pages']}")
    check(report["output"].endswith(f"{name}.partial"), f"the report's output is {report['output']}")
    check_accounts(report)
    outcome.expect_words(f"{name}.partial")


def check_folder(guest, folder, name):
    """NAME.partial is there, NAME is not, nor any temporary file."""
    there = [entry for entry in guest.must(f"ls -A {folder}").split() if entry != "lost+found"]
    check(there == [f"{name}.partial"], f"{folder} holds {there}, expected only {name}.partial")


def compare_read_part(context, snapshot, truth):
    """The pages with content in a partial snapshot are what the hypervisor saw."""
    core = Core(context.unpack(snapshot), torn=True)
    same = seen = 0
    for segment in core.ram:
        for inside in range(0, segment.filesz, PAGE):
            offset = segment.offset + inside
            page = core.data[offset:offset + PAGE]
            if len(page) == PAGE and any(page):
                seen += 1
                at = truth.offset_of(segment.paddr + inside)
                same += at is not None and page == truth.data[at:at + PAGE]
    check(seen > 1000, f"only {seen} pages have content")
    print(f"partial: {same} of {seen} pages with content are as the hypervisor has them")
    check(same >= 0.9 * seen, "too many pages of the partial snapshot are wrong")


def interrupted(context, signal, volatile_first):
    """A signal half-way leaves FILE.partial and exit status 5; with what is volatile first, it has all tasks."""
    image = context.disk()
    with context.guest(disks=[image]) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        fill_with_noise(guest, NOISE_MIB)
        # The product runs in the foreground: a shell starts background commands with SIGINT ignored.
        watcher = ("(while [ $(ls -lA /mnt | awk '{ sum += $5 } END { print sum + 0 }') -lt %d ]; do sleep 0.1; done; "
                   "kill -%s $(pidof kcoredump)) &\n" % (HALF_WAY_BYTES, signal))
        order = "--order volatile" if volatile_first else ""
        outcome = capture(guest, f"-o /mnt/x.elf.zst {SLOW} {order}", prefix=watcher)
        check_partial_report(outcome, "x.elf.zst")
        outcome.expect_words("interrupted")
        tasks = {int(pid) for pid in guest.must("ls /proc | grep '^[0-9]'").split()}
        check_folder(guest, "/mnt", "x.elf.zst")
        guest.must("sync")
        guest.freeze_and_dump(context.folder / "truth")
        snapshot = context.pull(image, "/x.elf.zst.partial")
    info = check_partial(context, snapshot)
    check(info["pages"]["read"] == outcome.report["pages"]["read"], "info and report count different pages")
    if volatile_first:
        check_early_part(context, snapshot, tasks, outcome.report)
    compare_read_part(context, snapshot, Core(context.folder / "truth"))


def check_early_part(context, snapshot, tasks, report):
    """What was read before its turn is there, though memory before it was not read."""
    check(report["pages"]["unreadable"] > 1000 and report["early_bytes"] > 0, f"{report['pages']}, {report['early_bytes']}")
    check({hole["errno"] for hole in report["holes"]} == {"ECANCELED"}, f"holes: {report['holes'][:3]}")
    done = context.host_any("ps", "-f", snapshot, "--json")
    listed = {task["pid"] for task in json.loads(done.stdout)["tasks"]}
    lost = {pid for pid in tasks - listed if pid < min(max(tasks), 200)}
    check(not lost, f"ps of the partial snapshot (exit status {done.returncode}) lacks {sorted(lost)}")
    print(f"partial: {len(listed & tasks)} of {len(tasks)} tasks, though {report['pages']['unreadable']} pages are blank")


def disk_full(context):
    """No room on a small tmpfs, then on a small disk."""
    keep, small = context.disk(256, "keep"), context.disk(16, "small")
    with context.guest(disks=[keep, small]) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt; mkdir /tmp/disk /tmp/ram; mount -t ext4 /dev/vdb /tmp/disk;"
                   "mount -t tmpfs -o size=8m tmpfs /tmp/ram")
        fill_with_noise(guest, NOISE_MIB)
        for folder in ("/tmp/ram", "/tmp/disk"):
            outcome = capture(guest, f"-o {folder}/x.elf.zst", timeout=CAPTURE_SECONDS)
            check_partial_report(outcome, "x.elf.zst")
            outcome.expect_words("no space left")
            check_folder(guest, folder, "x.elf.zst")
        guest.must("cp /tmp/ram/x.elf.zst.partial /mnt/ram; cp /tmp/disk/x.elf.zst.partial /mnt/disk; sync")
        copies = [context.pull(keep, name) for name in ("/ram", "/disk")]
    for copy, least in zip(copies, (4 << 20, 8 << 20)):
        check(copy.stat().st_size > least, f"only {copy.stat().st_size} bytes were kept on {copy.name}")
        info = check_partial(context, copy)
        print(f"{copy.name}: {copy.stat().st_size / 1e6:.1f} MB kept, {info['pages']}")


def read_only(context):
    """A disk that takes no more writes, not even a rename: what it has is told, and can be opened."""
    with context.guest(disks=[context.disk()]) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        fill_with_noise(guest, NOISE_MIB)
        watcher = ("(while [ $(ls -lA /mnt | awk '{ sum += $5 } END { print sum + 0 }') -lt %d ]; do sleep 0.1; done; "
                   "echo u >/proc/sysrq-trigger) &\n" % HALF_WAY_BYTES)
        outcome = capture(guest, f"-o /mnt/x.elf.zst {SLOW}", prefix=watcher)
        check(outcome.status == 7, f"capture exits {outcome.status}: {outcome.messages}")
        outcome.expect_words("read-only file system", "what was written is in /mnt/.x.elf.zst.")
        left = guest.must("ls -A /mnt | grep -v lost+found").split()
        check(len(left) == 1 and f"/mnt/{left[0]}" in outcome.messages, f"left: {left}; said: {outcome.messages}")
        status, text = guest.run(f"kcoredump info -f /mnt/{left[0]} --json")
        check(status == 6, f"info of the torn file exits {status}: {text}")
        pages = json.loads(text)["pages"]
        check(pages["read"] > 2000 and pages["not_reached"] > 0, f"the torn file holds {pages}")
        print(f"torn on a read-only disk: {pages}")
