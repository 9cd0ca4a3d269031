# SPDX-License-Identifier: MIT
"""`mount`: of the live kernel in its guest, and of its snapshot on the host, against /proc and the unpacked file."""

import errno
import os
import pathlib
import re
import shutil
import subprocess

from vmlab import makedumpfile
from vmlab.elf import PAGE, Core, differing_pages
from vmlab.errors import Skip, check
from vmlab.folder import mounted, need_fuse
from vmlab.pattern import PAGES, parse_runs, pattern_page

from . import responder
from .context import capture, prepare_pattern
from .stage import start_tasks

TOOL_SECONDS = 120
# By pid: what is the same for as long as they live. The others' names or arguments are escaped, or cut.
SAME = ("pattern", "title", "threads", "stopped", "huge", "zombie", "opener")
START = r"""
mkdir /folder; kcoredump mount /folder >/tmp/mount.log 2>&1 &
echo $! >/tmp/mount.pid
for i in $(seq 200); do grep -q ' /folder ' /proc/mounts && break; sleep 0.1; done
cat /tmp/mount.log; grep ' /folder ' /proc/mounts
"""
# Prints what differs, a word each.
LIVE_CHECKS = r"""
cd /folder
for pid in %(pids)s; do
  for name in comm cmdline maps; do cmp -s /proc/$pid/$name proc/$pid/$name || echo $name-of-$pid; done
done
page() { dd if=$1 bs=4096 skip=$2 count=1 2>/dev/null | md5sum; }
same() { [ "$(page /proc/%(pid)d/mem %(page)d)" = "$(page $1 $2)" ] || echo "$3"; }
same proc/%(pid)d/mem %(page)d mem
same memory.raw %(frame)d raw
printf 'changed meanwhile' | dd of=/proc/%(pid)d/mem bs=4096 seek=%(page)d conv=notrunc 2>/dev/null
dd if=proc/%(pid)d/mem bs=4096 skip=%(page)d count=1 2>/dev/null | grep -q 'changed meanwhile' || echo not-changed
same proc/%(pid)d/mem %(page)d stale-mem
same memory.raw %(frame)d stale-raw
dd if=proc/%(pid)d/mem bs=4096 count=1 2>&1 | grep -q 'Input/output error' || echo no-EIO
for i in 1 2; do
  echo "<5>folder: line $i" >/dev/kmsg; tail -n 1 dmesg | grep -q "folder: line $i" || echo dmesg-$i
done
cmp -s /proc/kallsyms kallsyms || echo kallsyms
cmp -s /sys/kernel/btf/vmlinux btf/vmlinux || echo btf
{ echo x >vmcore; } 2>&1 | grep -q 'Read-only file system' || echo writable
kcoredump read linux_banner 13 --raw -f vmcore 2>/dev/null | grep -q '^Linux version' || echo banner
grep -q '"format": "kcore"' info.json || echo info
dd if=vmcore of=/dev/null bs=1M count=32 2>/dev/null || echo vmcore
cd /
kill $(cat /tmp/mount.pid); for i in $(seq 50); do grep -q ' /folder ' /proc/mounts || break; sleep 0.1; done
grep -q ' /folder ' /proc/mounts && echo still-mounted
true
"""


def run(context):
    """One guest, looked at by itself and afterwards."""
    image = context.disk()
    files = [context.need("pattern"), context.need("tasks")]
    with context.guest(files, disks=[image], memory=256, la57=False) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        guest.must(responder.MAKE_MOUNTS)
        words = prepare_pattern(guest)
        tasks = start_tasks(guest)
        capture(guest, "-o /mnt/x.elf.zst").expect(0)
        guest.must("cp /proc/kallsyms /mnt/; cp /sys/kernel/btf/vmlinux /mnt/; mkdir /mnt/words\n"
                   f"for pid in {pids_of(tasks)}; do for name in comm cmdline maps; do\n"
                   "cat /proc/$pid/$name >/mnt/words/$pid-$name; done; done; sync")
        snapshot = context.pull(image, "/x.elf.zst")
        truth = {name: context.pull(image, f"/{name}") for name in ("kallsyms", "vmlinux")}
        truth |= {(tasks[name], word): context.pull(image, f"/words/{tasks[name]}-{word}")
                  for name in SAME for word in ("comm", "cmdline", "maps")}
        area = int(re.search(r"^area (0x\w+)", words, re.M)[1], 16)
        check_live(guest, tasks, area, parse_runs(words))
    need_fuse()
    with mounted(context.kcoredump, snapshot, context.folder / "folder") as folder:
        check_images(context, snapshot, folder)
        check_texts(folder, truth, tasks)
        check_process(folder / f"proc/{tasks['pattern']}/mem", area)
        check_tools(context, folder)


def pids_of(tasks):
    """Of those whose words are compared."""
    return " ".join(str(tasks[name]) for name in SAME)


def check_live(guest, tasks, area, pages):
    """The guest's own kernel, mounted in the guest."""
    print(guest.must(START).strip().splitlines()[-1], flush=True)
    wrong = guest.must(LIVE_CHECKS % {"pids": pids_of(tasks), "pid": tasks["pattern"], "page": area // PAGE + 7,
                                      "frame": pages[7] // PAGE}, 120).split()
    check(not wrong, f"the live folder is wrong in: {' '.join(wrong)}; it said {guest.must('cat /tmp/mount.log')}")
    print("live: names, arguments, memory, log, symbols and BTF as /proc and /sys have them; nothing stale", flush=True)


def check_images(context, snapshot, folder):
    """vmcore has the pages of the unpacked snapshot; LiME and raw are what convert writes."""
    plain, shown = Core(context.unpack(snapshot)), Core(folder / "vmcore")
    check(plain.page_count() == shown.page_count(), "vmcore has another number of pages")
    different = differing_pages(plain, shown)
    check(not different, f"{len(different)} pages of vmcore differ, one at {min(different, default=0):#x}")
    for name, suffix in (("memory.lime", ".lime"), ("memory.raw", ".raw")):
        converted = context.folder / f"x{suffix}"
        context.host("convert", snapshot, converted, "--progress", "none")
        done = subprocess.run(["cmp", converted, folder / name], capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"{name}: {done.stdout}{done.stderr}")
        converted.unlink()
    context.host("verify", folder / "vmcore.kdump")
    print(f"images: {plain.page_count()} pages as the unpacked snapshot has them", flush=True)


def check_texts(folder, truth, tasks):
    """What the guest said before and after, byte for byte."""
    names = {"kallsyms": "kallsyms", "vmlinux": "btf/vmlinux"}
    for key, path in truth.items():
        file = folder / (names[key] if key in names else f"proc/{key[0]}/{key[1]}")
        check(path.read_bytes() == file.read_bytes(), f"{file.name} ({key}): {path.read_bytes()[:200]!r} in the guest, "
              f"{file.read_bytes()[:200]!r} in the folder")
    odd = (folder / f"proc/{tasks['other']}/cmdline").read_bytes()
    check(b"\0two words\0tab\\x09here\0\\x1b[31mred\0" in odd, f"the odd arguments are {odd!r}")
    check((folder / "dmesg").read_bytes().count(b"\n") > 100, "dmesg is short")
    print(f"texts: {len(truth)} files as the guest has them", flush=True)


def check_process(path, area):
    """The pattern through the holder's page tables, and nothing where it has nothing."""
    file = os.open(path, os.O_RDONLY)
    try:
        for index in (0, 1, PAGES // 2, PAGES - 1):
            check(os.pread(file, PAGE, area + index * PAGE) == pattern_page(index), f"page {index} of the holder")
        both = os.pread(file, 3 * PAGE, area + (PAGES - 1) * PAGE)
        check(both[:PAGE] == pattern_page(PAGES - 1), "a read past the last page")
        try:
            os.pread(file, PAGE, 0)
            check(False, "the holder's page 0 can be read")
        except OSError as error:
            check(error.errno == errno.EIO, f"a hole is {error}")
    finally:
        os.close(file)


def check_tools(context, folder):
    """makedumpfile and gdb open the compressed snapshot by way of the folder."""
    try:
        command = makedumpfile.newest()
    except Skip as skip:
        print(f"makedumpfile: {skip}", flush=True)
        command = None
    if command:
        target = context.folder / "small.kdump"
        done = subprocess.run([*command, "-z", "-d", "31", folder / "vmcore", target], capture_output=True, check=False,
                              timeout=TOOL_SECONDS)
        check(done.returncode == 0, f"makedumpfile: {done.stderr.decode()[-600:]}")
        context.host("verify", target)
        print(f"makedumpfile -z -d 31 of vmcore: {target.stat().st_size / 1e6:.1f} MB", flush=True)
    if shutil.which("gdb"):
        banner = context.host("sym", "linux_banner", "-f", folder / "vmcore").decode().split()
        address = next(word for word in banner if word.startswith("0x"))
        words = ["gdb", "-nx", "-batch", "-ex", f"core-file {folder / 'vmcore'}", "-ex", f"x/s {address}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TOOL_SECONDS,
                              stdin=subprocess.DEVNULL)
        check('"Linux version ' in done.stdout, f"gdb: {done.stdout[-600:]}{done.stderr[-600:]}")
        print("gdb reads linux_banner in vmcore", flush=True)
    pathlib.Path(context.folder / "small.kdump").unlink(missing_ok=True)
