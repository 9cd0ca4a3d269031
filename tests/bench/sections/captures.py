# SPDX-License-Identifier: MIT
"""Captures of a file beside makedumpfile, zstd, dd and the barest loop."""

import os
import shutil
import subprocess
import sys

from .timing import PROGRAM, ROOT, Row

sys.path.insert(0, str(ROOT / "tests" / "vm"))
from vmlab import makedumpfile  # noqa: E402  (the lab's own package)
from vmlab.errors import Skip  # noqa: E402

CODECS = {"-z": "zstd", "-l": "lzo", "-c": "zlib"}


def ours(name, source, folder, *options):
    """A row of this program."""
    out = folder / "ours.elf.zst"
    return Row(name, [PROGRAM, "capture", "-f", source, "-o", out, "--progress", "none", *options], out)


def makedumpfile_command():
    """Debian sid's, which has zstd, or the machine's own; None without any."""
    for get in (makedumpfile.newest, makedumpfile.own):
        try:
            return get()
        except Skip as skip:
            print(f"left out: {skip}", flush=True)
    return None


def theirs(tool, options, source, folder):
    """A row of makedumpfile; None where this build of it lacks the codec."""
    out = folder / "makedumpfile.out"
    command = [*tool, *options, source, out]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    out.unlink(missing_ok=True)
    if done.returncode != 0 or "is disabled" in done.stdout + done.stderr:
        print(f"left out: makedumpfile {' '.join(options)}: {(done.stderr or done.stdout).strip()[-120:]}", flush=True)
        return None
    return Row(f"makedumpfile {makedumpfile.version(tool)} {' '.join(options)}", command, out)


def bare_loop(folder):
    """The program of bare_loop.cc, built here; None without a compiler."""
    if not shutil.which("g++"):
        print("left out: the bare loop (no g++)", flush=True)
        return None
    binary = folder / "bare_loop"
    subprocess.run(["g++", "-O2", "-o", binary, ROOT / "tests/bench/bare_loop.cc", "-lzstd", "-pthread"], check=True)
    return binary


def full(source, folder):
    """Everything that is in memory."""
    threads = str(os.cpu_count())
    rows = [ours("kcoredump capture", source, folder), ours("kcoredump capture --fast", source, folder, "--fast"),
            ours("kcoredump capture --frame-size 1MiB", source, folder, "--frame-size", "1MiB"),
            ours("kcoredump capture --threads 1", source, folder, "--threads", "1")]
    loop = bare_loop(folder)
    out = folder / "bare.out"
    if loop:
        rows.append(Row("bare loop: pread, zero test, ZSTD_compress2 -1, 256 KiB", [loop, source, out, "1", "256", threads], out))
    tool = makedumpfile_command()
    for option in CODECS if tool else ():
        rows.append(theirs(tool, [option, "-d", "0"], source, folder))
    out = folder / "zstd.out"
    for level in ("-1", "-3"):
        if shutil.which("zstd"):
            rows.append(Row(f"zstd {level} -T{threads}", ["zstd", "-q", level, f"-T{threads}", source, "-o", out], out))
    out = folder / "dd.out"
    rows.append(Row("dd bs=1M", ["dd", f"if={source}", f"of={out}", "bs=1M", "status=none"], out))
    return [row for row in rows if row]


def filtered(source, folder):
    """Without zero pages, and without all that -d 31 leaves out."""
    rows = [ours(f"kcoredump capture -d {level}", source, folder, "-d", level) for level in ("31", "1")]
    tool = makedumpfile_command()
    for level in ("31", "1"):
        for option in ("-z", "-l") if tool else ():
            rows.append(theirs(tool, [option, "-d", level], source, folder))
    return [row for row in rows if row]


def on_disk(source, folder):
    """The same to a disk, and until it is there: ours waits for that anyway."""
    rows = [ours("kcoredump capture", source, folder)]
    tool = makedumpfile_command()
    if tool:
        out = folder / "makedumpfile.out"
        words = " ".join(map(str, [*tool, "-l", "-d", "0", source, out]))
        rows.append(Row("makedumpfile -l -d 0, then sync", ["sh", "-c", f"{words} && sync {out}"], out))
    out = folder / "zstd.out"
    if shutil.which("zstd"):
        rows.append(Row("zstd -1, then sync", ["sh", "-c", f"zstd -q -1 -T{os.cpu_count()} {source} -o {out} && sync {out}"], out))
    return rows


def conversions(source, folder):
    """To kdump by each codec that makedumpfile has, from a snapshot; makedumpfile reads none."""
    snapshot = folder / "input.elf.zst"
    subprocess.run([PROGRAM, "capture", "-f", source, "-o", snapshot, "--force", "--progress", "none"], check=True)
    rows = []
    tool = makedumpfile_command()
    out = folder / "ours.kdump"
    for option, codec in CODECS.items():
        rows.append(Row(f"kcoredump convert --codec {codec}", [PROGRAM, "convert", snapshot, out, "--codec", codec, "--force",
                                                               "--progress", "none"], out))
        rows.append(theirs(tool, [option, "-d", "0"], source, folder) if tool else None)
    return [row for row in rows if row]
