#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A capture stays below 64 MiB resident plus 16 bytes a frame, whatever the machine's RAM."""

import os
import random
import resource
import subprocess

import cli
from elf_core import PAGE, Core, Load

MIB = 1 << 20
RAM = 4 << 30
LIMIT = 64 * MIB
BUSY = 24 * MIB   # incompressible: fills every buffer of the pipeline to its brim
LISTED = 40  # what a frame of a snapshot that is the source takes in its list
ISLAND = 32 * MIB  # every so often a page that is not zero: all workers compress


def write_core(path):
    """4 GiB that cost no disk: a sparse file in which the busy part stands for 24 MiB."""
    core = Core(sparse_size=RAM, loads=[Load(0, 0, RAM)])
    core.write(path)
    base = os.path.getsize(path) - RAM
    rand = random.Random(5)
    with open(path, "r+b") as file:
        for at in range(0, RAM, ISLAND):
            file.seek(base + at)
            file.write(rand.randbytes(PAGE))
        file.seek(base + RAM // 2)
        for _ in range(BUSY // MIB):
            file.write(rand.randbytes(MIB))
    return path


class Memory(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = write_core(self.path("core"))

    def peak(self, *words):
        """Exit status and peak resident bytes of the program. Its pages before exec count, too:
        this process must itself stay small."""
        process = subprocess.Popen([cli.program, *map(str, words)], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_maxrss * 1024

    def check(self, threads, level, frame, source=None, source_frames=0):
        words = ("capture", "-f", source or self.core, "-o", self.path("snapshot"), "--force", "--threads",
                 threads, "--level", level, "--frame-size", frame)
        status, peak = self.peak(*words)
        self.assertEqual(cli.COMPLETE, status, words)
        limit = LIMIT + 16 * (RAM // frame) + LISTED * source_frames
        print(f"threads {threads}, level {level}, frame {frame}: "
              f"{peak / MIB:.1f} of {limit / MIB:.1f} MiB", flush=True)
        self.assertLess(peak, limit, words)
        self.path("snapshot").unlink()

    def test_peak_with_a_snapshot_as_the_source(self):
        for frame in (1 << 17, MIB):
            source = self.capture(self.core, f"source-{frame}", "--frame-size", frame)
            for threads in (2, 64):
                with self.subTest(threads=threads, frame=frame):
                    self.check(threads, 1, frame, source, RAM // frame)

    def test_peak(self):
        mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.assertLess(mine, LIMIT // 2, "this test itself is too large to measure anything")
        for threads in (2, 64):
            for level in (1, 19):
                for frame in (4096, MIB):
                    with self.subTest(threads=threads, level=level, frame=frame):
                        self.check(threads, level, frame)


if __name__ == "__main__":
    cli.main()
