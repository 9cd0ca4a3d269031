# SPDX-License-Identifier: MIT
"""A 4 GiB guest that has worked for a while: the input of the benchmarks.

About 28 % of its pages hold something: page cache of a kernel's files, heaps of
text and pointers, 200 MiB of random bytes, and the remains of files and processes
that are gone. The rest was never touched and is zero.
"""

import os
import pathlib
import shlex
import subprocess
import tempfile
import time

from . import disk, kernels
from .elf import PAGE, Core
from .errors import Skip
from .guest import Guest

RANDOM_MIB = 200
HEAPS = 3

# Strings of a heap's usual kinds, in an awk array: hash buckets, pointers, small text.
HEAP = r"""awk -v seed=%d 'BEGIN {
  srand(seed)
  for (i = 0; i < 500000; i++)
    held[sprintf("/proc/%%d/task/%%x", i %% 4999, rand() * 1e9)] = \
      sprintf("%%08x %%s=%%d;", rand() * 4294967296, "user" i %% 97, i)
  print "held" >"/tmp/heap%d"; close("/tmp/heap%d")
  while (1) system("sleep 1000")
}' &"""

STEPS = (
    # Page cache: what a system reads while it runs.
    "mount -t ext4 -o ro /dev/vda /mnt && find /mnt -type f | xargs cat >/dev/null",
    # A downloaded package: bytes that are compressed already.
    "cat /dev/vdb >/tmp/package",
    # Text held by a sort that waits for more.
    "(find /mnt -type f | xargs strings -n 8 2>/dev/null | head -n 700000; sleep 100000) | sort >/dev/null &",
    f"dd if=/dev/urandom of=/tmp/random bs=1M count={RANDOM_MIB} 2>/dev/null",
    "\n".join(HEAP % (number, number, number) for number in range(HEAPS)),
    # Freed pages: a copy of files that goes away, and a process that ends.
    "mkdir /tmp/gone; cd /mnt/lib/modules/*/kernel; cp -r fs net drivers/net /tmp/gone; cd /; rm -r /tmp/gone",
    "find /mnt -type f | sort -r | head -n 250 | xargs strings -n 6 2>/dev/null | head -n 150000 | sort >/dev/null",
    "for i in $(seq 600); do ls /tmp/heap* 2>/dev/null | grep -c . | grep -qx %d && break; sleep 0.5; done" % HEAPS,
    "sync; free -m",
)


def kernel_tree(kernel):
    """The files for the page cache: the generic kernel's many modules, or else the kernel's own."""
    try:
        return kernels.fetch("6.1-generic").root
    except Skip:
        return kernel.root


def make_disks(kernel, folder):
    """A disk with files, and one that is the same files as a compressed archive."""
    tree = kernel_tree(kernel)
    files, package = folder / "files", folder / "package"
    disk.make_ext4(files, 2048, content=tree)
    # A raw disk wants whole sectors; what zstd leaves of the last one does not matter here.
    command = f"tar -C {shlex.quote(str(tree))} -c . | zstd -3 -T2 -q >{shlex.quote(str(package))}"
    subprocess.run(["sh", "-c", command], check=True)
    os.truncate(package, package.stat().st_size // 512 * 512)
    return [files, package]


def dump(kernel, memory, workload, target):
    """Boot `kernel` with `memory` MiB, let it work, and dump its memory to `target`."""
    with tempfile.TemporaryDirectory(prefix="kcoredump-workload-") as folder:
        disks = make_disks(kernel, pathlib.Path(folder)) if workload else []
        with Guest(kernel, memory=memory, cpus=2, disks=disks) as guest:
            for step in STEPS if workload else ():
                started = time.monotonic()
                output = guest.must(step, timeout=300)
                seconds = time.monotonic() - started
                print(f"lab: {seconds:5.1f} s: {step.splitlines()[0][:90]}\n{output}", end="", flush=True)
            guest.freeze_and_dump(pathlib.Path(target).absolute())
    report(target)


def report(target):
    """Say what the dump holds."""
    core = Core(target)
    empty = bytes(PAGE)
    zero = sum(core.data[at:at + PAGE] == empty for segment in core.ram
               for at in range(segment.offset, segment.offset + segment.filesz // PAGE * PAGE, PAGE))
    print(f"lab: {target}: {core.page_count()} pages, {zero} of them zero ({100 * zero / core.page_count():.1f} %)")
