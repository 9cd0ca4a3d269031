# SPDX-License-Identifier: MIT
"""A live capture inside a guest, beside dd of the same memory. Under emulation: only ratios mean something."""

import base64
import pathlib
import re
import statistics
import struct
import subprocess
import sys
import tempfile

from .timing import PROGRAM, ROOT

sys.path.insert(0, str(ROOT / "tests" / "vm"))
from vmlab import disk, kernels  # noqa: E402
from vmlab.guest import Guest  # noqa: E402

MEMORY_MIB = 512
CLOCK = "cut -d' ' -f1 /proc/uptime"
# Fills half of the memory with what memory has: text, numbers, and bytes that do not compress.
WORK = ("mount -t tmpfs tmpfs /tmp; dd if=/dev/urandom of=/tmp/random bs=1M count=24 2>/dev/null\n"
        "cat /proc/kallsyms /proc/kallsyms /proc/kallsyms >/tmp/text; ls -lR /proc/sys >/tmp/names 2>/dev/null\n"
        "for i in 1 2 3 4; do cat /tmp/text >/tmp/text$i; done")


def seconds(guest, command):
    """Wall-clock seconds of a command in the guest."""
    words = guest.must(f"a=$({CLOCK}); {command} >/dev/null 2>/tmp/said || cat /tmp/said; b=$({CLOCK}); echo took $a $b",
                       timeout=300)
    begin, end = map(float, re.search(r"took ([\d.]+) ([\d.]+)", words).groups())
    return end - begin


def dd_of_ram(guest):
    """dd of kcore's RAM segments, as the headers place them."""
    head = base64.b64decode(guest.must("dd if=/proc/kcore bs=4096 count=2 2>/dev/null | base64"))
    count = struct.unpack_from("<H", head, 56)[0]
    parts = []
    for index in range(count):
        kind, _, offset, _, phys, size = struct.unpack_from("<IIQQQQ", head, 64 + 56 * index)
        if kind == 1 and phys != (1 << 64) - 1 and size >= 1 << 20 and size < 1 << 40:
            parts.append((offset, size))
    # The kernel image's segment aliases RAM, and is the first.
    whole = parts[1:]
    return "; ".join(f"dd if=/proc/kcore bs=1M iflag=skip_bytes,count_bytes skip={offset} count={size} 2>/dev/null"
                     for offset, size in whole)


def measure(rounds):
    """Medians by name: dd, dd | zstd, ours with one worker, and what compressing the same bytes costs from a file."""
    kernel = kernels.fetch("6.1")
    with tempfile.TemporaryDirectory(prefix="kcoredump-bench-") as folder:
        folder = pathlib.Path(folder)
        runs = {"dd": [], "capture": [], "notes": [], "file": [], "dd of the file": []}
        with Guest(kernel, memory=MEMORY_MIB, cpus=1, files=[PROGRAM]) as guest:
            guest.must(WORK, timeout=120)
            dd = dd_of_ram(guest)
            for _ in range(rounds):
                runs["dd"].append(seconds(guest, f"({dd})"))
                runs["capture"].append(seconds(guest, "kcoredump capture -o - --threads 1 --progress none | cat"))
                runs["notes"].append(seconds(guest, "kcoredump capture -o - --threads 1 --progress none --only range:0-0x1000 "
                                                    "| cat"))
            guest.freeze_and_dump(folder / "dump")
        subprocess.run([PROGRAM, "convert", folder / "dump", folder / "core.elf", "--progress", "none"], check=True)
        tree = folder / "tree"
        tree.mkdir()
        (folder / "core.elf").rename(tree / "core.elf")
        image = disk.make_ext4(folder / "disk", 1024, content=tree)
        with Guest(kernel, memory=3 * MEMORY_MIB, cpus=1, files=[PROGRAM], disks=[image]) as guest:
            guest.must("mount -t ext4 -o ro /dev/vda /mnt; cat /mnt/core.elf >/dev/null", timeout=200)
            for _ in range(rounds):
                runs["dd of the file"].append(seconds(guest, "dd if=/mnt/core.elf bs=1M"))
                runs["file"].append(seconds(guest, "kcoredump capture -f /mnt/core.elf -o - --threads 1 --progress none | cat"))
    return {name: statistics.median(values) for name, values in runs.items()}


def markdown(found):
    """A table, and the ratio that counts."""
    compression = found["file"] - found["dd of the file"]
    expected = found["dd"] + compression
    ratio = (found["capture"] - found["notes"]) / expected
    return "\n".join([
        "\n**Live, in an emulated guest of 512 MiB, one worker**\n", "| command | seconds |", "|---|---|",
        f"| dd bs=1M of kcore's RAM | {found['dd']:.2f} |",
        f"| kcoredump capture --threads 1, to a pipe | {found['capture']:.2f} |",
        f"| of that, kallsyms, BTF and all else that is no memory (`--only` one page) | {found['notes']:.2f} |",
        f"| the same bytes from a file | {found['file']:.2f} |",
        f"| dd bs=1M of that file | {found['dd of the file']:.2f} |",
        f"\nWithout the notes, whose cost does not grow with memory, live is {ratio:.2f} times dd ({found['dd']:.2f} s) plus "
        f"the compression from a file ({compression:.2f} s)."])
