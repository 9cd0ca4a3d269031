# SPDX-License-Identifier: MIT
"""What --exclude, -d and --only leave out: held against makedumpfile and the guest's own /proc/kpageflags."""

import json
import re
import struct
import subprocess
import time

from vmlab import makedumpfile
from vmlab.elf import PAGE, Core
from vmlab.errors import Skip, check
from vmlab.kdump import Kdump
from vmlab.pattern import pattern_page, parse_runs

from .context import capture, prepare_pattern

LEVELS = (1, 2, 4, 8, 16, 31)
CACHE, PRIVATE, USER, FREE = 2, 4, 8, 16
# Between the guest's latest reading of its flags and the moment it is stopped some pages change hands.
MOST_CHANGED = 64
SETTLE_SECONDS = 1
# Pages of every class, with and without compound pages: cache with buffer heads and without, huge pages of both
# kinds, and what was freed again.
WORK = r"""
echo always >/sys/kernel/mm/transparent_hugepage/enabled
echo 4 >/proc/sys/vm/nr_hugepages
mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/written bs=64k count=256 2>/dev/null; sync
cat /mnt/written >/dev/null; ls -lR /proc/sys >/tmp/text 2>/dev/null
cp /mnt/written /tmp/gone; rm /tmp/gone
awk 'BEGIN { while (i < 200000) held[i] = "string " i++; print "held" >"/tmp/held"; close("/tmp/held"); while (1) system("sleep 1000") }' &
for i in $(seq 200); do [ -s /tmp/held ] && break; sleep 0.2; done
"""


def run(context):
    """One guest: captures while it runs, and every level of its dump."""
    truth, pid, runs, flags_at = take(context)
    classes = classes_by_flags(context, truth, pid, flags_at)
    counts = {name: sum(1 for one in classes.values() if one == value)
              for name, value in (("cache", CACHE), ("private", PRIVATE), ("user", USER), ("free", FREE))}
    print(f"the guest's own flags: {counts}", flush=True)
    check(all(counts.values()), f"the guest has no page of some class: {counts}")
    # makedumpfile does not take QEMU's headers.
    core_path = context.folder / "core.elf"
    context.host("convert", truth, core_path)
    compare_levels(context, core_path, classes)
    check_live(context, runs)
    check_only(context, core_path, pid, runs)


def take(context):
    """The hypervisor's dump of a guest that has worked, the pattern's pid and pages, and where it holds its flags."""
    image = context.disk(512)
    with context.guest([context.need("pattern")], disks=[image], memory=384, cpus=2, la57=False) as guest:
        guest.must(WORK, timeout=120)
        words = prepare_pattern(guest)
        pid = int(guest.must("pidof guest_pattern"))
        for name, options in (("level31", "-d 31 --level -7"), ("named", "--level -7 --exclude free,user"),
                              ("only", f"--level -7 --only kernel,pid:{pid}")):
            outcome = capture(guest, f"{options} -o /mnt/{name}.elf.zst").expect(0)
            print(f"live {options}: {outcome.report['pages']}", flush=True)
            (context.folder / f"{name}.json").write_text(json.dumps(outcome.report))
        guest.must("kill $(pidof guest_pattern); sync")
        words = prepare_pattern(guest, "--flags")
        flags_at = re.search(r"^flags (0x\w+) (\d+)", words, re.M).groups()
        pid_now = int(guest.must("pidof guest_pattern"))
        truth = context.folder / "truth"
        time.sleep(SETTLE_SECONDS)
        guest.freeze_and_dump(truth)
        for name in ("level31", "named", "only"):
            context.pull(image, f"/{name}.elf.zst")
    return truth, pid_now, parse_runs(words), (flags_at[0], int(flags_at[1]))


def classes_by_flags(context, truth, pid, flags_at):
    """makedumpfile's class of each page, by what the guest's kernel said, by physical address."""
    address, size = flags_at
    raw = context.host("read", f"pid:{pid}:{address}", size, "--raw", "-f", truth)
    classes, head = {}, 0
    for pfn, flags in enumerate(struct.unpack(f"<{size // 8}Q", raw)):
        # Up to 6.1 only the head of a compound page carries the flags.
        head = head if flags >> 16 & 1 else class_of(flags)
        if head:
            classes[pfn * PAGE] = head
    return classes


def class_of(flags):
    """Of one entry of kpageflags (include/uapi/linux/kernel-page-flags.h)."""
    def has(bit):
        return flags >> bit & 1
    if has(10):
        return FREE
    if has(7) or has(26) or has(19) or has(20):
        return 0
    if has(12) or has(17):
        return USER
    if has(5) or has(13):
        return PRIVATE if has(35) else CACHE
    return 0


def expected(classes, level):
    """Pages that a level leaves out; 4 takes 2 along."""
    wanted = level & ~1 | (CACHE if level & PRIVATE else 0)
    return {page for page, one in classes.items() if one & wanted}


def compare_levels(context, core_path, classes):
    """Each level leaves out what makedumpfile leaves out, and what the guest's flags name."""
    tool = tool_for(context, core_path)
    new_tails = any(b"OFFSET(page.compound_info)" in text for _, _, text in Core(core_path).standard_notes())
    for level in LEVELS:
        ours = context.folder / "ours.kdump"
        report = json.loads(context.host("capture", "-f", core_path, "-o", ours, "--force", "--format", "kdump", "-d", level,
                                         "--json", "--progress", "none"))
        mine = Kdump(ours).excluded
        # Zero pages stand in a kdump all the same, as one page of zeros, and makedumpfile does so, too.
        left_out = report["excluded"]
        check(report["pages"]["excluded"] - left_out["zero"] == len(mine) == sum(left_out.values()) - left_out["zero"],
              f"-d {level}: the report counts {report['pages']}, the file leaves out {len(mine)}")
        check(bool(left_out["zero"]) == bool(level & 1), f"-d {level}: {left_out}")
        check(not [warning for warning in report["warnings"] if "left out" in warning], f"{report['warnings']}")
        info = context.info(ours)
        check(info["dump_level"] == level, f"-d {level}: the kdump says dump level {info['dump_level']}")
        said = ""
        if tool:
            theirs = excluded_by(context, tool, core_path, level)
            # makedumpfile 1.7.8 does not know tails of compound pages by compound_info: what a tail has in the place
            # of `mapping` it takes for an anonymous page's, and leaves out the kernel's own memory.
            known = not new_tails or not level & USER
            extra = f"{len(mine - theirs)} pages left out that makedumpfile keeps, first at " \
                    f"{min(mine - theirs, default=0):#x}; {len(theirs - mine)} the other way, first at " \
                    f"{min(theirs - mine, default=0):#x}"
            check(mine == theirs or (not known and mine < theirs), f"-d {level}: {extra}")
            said = ", as makedumpfile" if mine == theirs else f"; {extra}"
        if level != 1:
            want = expected(classes, level)
            changed = len(mine ^ want)
            check(changed <= MOST_CHANGED, f"-d {level}: {len(mine - want)} pages left out that the guest's flags do not "
                  f"name, {len(want - mine)} the other way")
            said += f"; {changed} pages otherwise than the guest's flags"
        print(f"-d {level}: {len(mine)} pages left out{said}", flush=True)


def tool_for(context, core_path):
    """A makedumpfile that understands this kernel: sid's, or else the machine's own. None: there is none."""
    for get in (makedumpfile.newest, makedumpfile.own):
        try:
            tool = get()
        except Skip as skip:
            print(f"NOT COMPARED: {skip}", flush=True)
            continue
        done = subprocess.run([*tool, "-l", "-d", "31", str(core_path), str(context.folder / "probe")], capture_output=True,
                              text=True, check=False)
        (context.folder / "probe").unlink(missing_ok=True)
        if done.returncode == 0:
            print(f"makedumpfile {makedumpfile.version(tool)}", flush=True)
            return tool
        print(f"makedumpfile {makedumpfile.version(tool)} does not know {context.kernel.release}: "
              f"{(done.stdout + done.stderr).strip()[-200:]}", flush=True)
    return None


def excluded_by(context, tool, core_path, level):
    """What makedumpfile leaves out."""
    theirs = context.folder / "theirs.kdump"
    theirs.unlink(missing_ok=True)
    done = subprocess.run([*tool, "-l", "-d", str(level), str(core_path), str(theirs)], capture_output=True, text=True,
                          check=False)
    check(done.returncode == 0, f"makedumpfile -d {level}: {done.stderr[-500:]}")
    return Kdump(theirs).excluded


def check_live(context, runs):
    """Captures of the running kernel: the classes are empty, the account is whole, the rest answers."""
    for name, kinds in (("level31", ("zero", "cache", "private_cache", "user", "free")), ("named", ("user", "free"))):
        report = json.loads((context.folder / f"{name}.json").read_text())
        left_out = report["excluded"]
        check({kind for kind, pages in left_out.items() if pages} == set(kinds), f"live {name}: {left_out}")
        check(left_out["user"] >= len(runs), f"live {name}: the pattern's {len(runs)} pages are not among {left_out}")
        snapshot = context.folder / f"{name}.elf.zst"
        info = context.info(snapshot)
        check(info["pages"]["excluded"] == report["pages"]["excluded"] == sum(left_out.values()), f"{info['pages']}")
        context.host("verify", snapshot)
        for command in (("log",), ("mod",), ("sym", "linux_banner")):
            context.host(*command, "-f", snapshot)
        status = context.host_any("ps", "-f", snapshot).returncode
        check(status in (0, 3), f"live {name}: ps exits {status}")


def check_only(context, core_path, pid, runs):
    """A process's memory alone, from the dump, and the kernel with it, live."""
    snapshot = context.folder / "pid.elf.zst"
    report = json.loads(context.host("capture", "-f", core_path, "-o", snapshot, "--only", f"pid:{pid}", "--json"))
    check(report["excluded"]["not_wanted"] == report["pages"]["excluded"], f"--only pid: {report['pages']}")
    check(len(runs) <= report["pages"]["read"] < 2 * len(runs), f"--only pid: {report['pages']}")
    for index in (0, len(runs) // 2, len(runs) - 1):
        got = context.host("read", "--phys", "--raw", hex(runs[index]), PAGE, "-f", snapshot)
        check(got == pattern_page(index), f"--only pid: page {index} of the pattern is another")
    # linux_banner is the kernel's: left out, and reading it is an error that says so.
    banner = int(json.loads(context.host("vtop", "linux_banner", "-f", core_path, "--json"))["physical"], 16)
    done = context.host_any("read", "--phys", "--raw", hex(banner), 16, "-f", snapshot)
    check(done.returncode == 3 and not done.stdout and b"was excluded" in done.stderr,
          f"--only pid: reading the kernel exits {done.returncode}: {done.stderr.decode()}")
    live = json.loads((context.folder / "only.json").read_text())
    check(live["pages"]["read"] >= len(runs), f"--only kernel,pid live: {live['pages']}")
    both = context.folder / "only.elf.zst"
    names = json.loads(context.host("ps", "guest_pattern", "-f", both, "--json"))["tasks"]
    check([task["comm"] for task in names] == ["guest_pattern"], f"--only kernel,pid: ps says {names}")
    got = context.host("read", f"phys:{banner:#x}", 5, "--raw", "-f", both)
    check(got == b"Linux", f"--only kernel,pid: linux_banner reads {got}")
    one = (runs[7] // PAGE) * PAGE
    ranged = context.folder / "range.elf.zst"
    report = json.loads(context.host("capture", "-f", core_path, "-o", ranged, "--only",
                                     f"range:{one:#x}-{one + 3 * PAGE:#x}", "--json"))
    check(report["pages"]["read"] == 3, f"--only range: {report['pages']}")
