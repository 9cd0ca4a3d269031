#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A hostile dump costs no more than 256 MiB, whatever it says: files that promise more than they
have, or hold very much of very little."""

import os
import resource
import struct
import subprocess

import cli
import dumps
from elf_core import PAGE

MIB = 1 << 20
LIMIT = 256 * MIB
TIMEOUT_S = 100
RECORDS = 2097000  # just below what is accepted


def kdump_head(pages_log2):
    """The headers of a kdump file with two bitmaps for so many pages, which come next."""
    data = bytearray(dumps.kdump({1: bytes(PAGE)}))
    sub_blocks, = struct.unpack_from("<i", data, 432)
    struct.pack_into("<I", data, 436, 2 * (1 << pages_log2) // 8 // PAGE)
    struct.pack_into("<Q", data, PAGE + 96, 1 << pages_log2)
    return bytes(data[:PAGE * (1 + sub_blocks)])


def many(piece, count, together=4096):
    """A piece of a file over and over."""
    for done in range(0, count, together):
        yield piece * min(together, count - done)


def joined(pieces, together=4096):
    """Small pieces in larger ones."""
    batch = []
    for piece in pieces:
        batch.append(piece)
        if len(batch) == together:
            yield b"".join(batch)
            batch.clear()
    yield b"".join(batch)


class Hostile(cli.TestCase):
    def hostile(self, name, *pieces, size=None):
        """The file must be opened or refused within the limit, by each of the commands. It is
        written in small pieces: this process's own pages count as the program's (getrusage)."""
        path = self.path(name)
        with open(path, "wb") as file:
            for more in pieces:
                for piece in [more] if isinstance(more, bytes) else more:
                    file.write(piece)
            if size is not None:
                file.truncate(size)
        for words in (("info", "-f", path), ("verify", path),
                      ("read", "-f", path, "--phys", "0x1000", "16")):
            self.check(name, words)
        path.unlink()

    def check(self, name, words):
        process = subprocess.Popen([cli.program, *map(str, words)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = usage.ru_utime + usage.ru_stime
        print(f"{name}: {words[0]} exits {process.returncode} with "
              f"{usage.ru_maxrss / 1024:.1f} MiB in {seconds:.1f} s", flush=True)
        self.assertIn(process.returncode, (cli.COMPLETE, cli.HOLES, cli.PARTIAL, cli.CORRUPT))
        self.assertLess(usage.ru_maxrss * 1024, LIMIT, words)
        self.assertLess(seconds, TIMEOUT_S, words)

    def test_this_process_is_small(self):
        mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.assertLess(mine, LIMIT // 4, "this test is too large to measure anything")

    def test_bitmaps_of_sixteen_terabytes(self):
        head = kdump_head(32)
        self.hostile("zeros", head, size=len(head) + (1 << 30))
        self.hostile("some", head, many(b"\x0f", MIB), size=len(head) + (1 << 30))

    def test_more_ranges_than_are_accepted(self):
        self.hostile("ranges", kdump_head(32), many(b"\x55" * PAGE, 16384), size=3 << 29)

    def test_a_torn_dump_of_memory_that_is_not_there(self):
        self.hostile("torn", kdump_head(26), many(b"\xff" * PAGE, 4096))

    def test_as_many_records_as_are_accepted(self):
        head = dumps.flattened(b"")[:PAGE]
        self.hostile("records", head, joined(
            struct.pack(">qqB", at * 7 % 4000037, 1, 1) for at in range(RECORDS)))
        self.hostile("overlapping", head, joined(
            struct.pack(">qq40x", at * 7 % 4000037, 40) for at in range(RECORDS)))

    def test_one_record_too_many(self):
        self.hostile("too many", dumps.flattened(b"")[:PAGE],
                     many(struct.pack(">qqB", 0, 1, 1), RECORDS + 1000))

    def test_four_million_chunks(self):
        count = 4 << 20
        self.hostile("chunks", dumps.RANGE.pack(dumps.AVML, 2, 0, count - 1, 0),
                     b"\xff\6\0\0sNaPpY", many(b"\1\5\0\0" + bytes(4) + b"x", count))

    def test_many_ranges(self):
        self.hostile("lime", joined((
            dumps.RANGE.pack(dumps.LIME, 1, at * 3 * PAGE, (at * 3 + 1) * PAGE - 1, 0) + bytes(PAGE)
            for at in range(1 << 15)), 64))

    def test_json_that_asks_for_gigabytes(self):
        ranges = b'{"format":"kcoredump-ranges","version":1,"page_bytes":4096,"ranges":['
        for name, pieces in (
                ("deep", [many(b"[", 15 * MIB)]),
                ("objects", [b"{", many(b'"a":[{},', MIB * 15 // 8), b"0}"]),
                ("keys", [b"{", joined(b'"%d":0,' % n for n in range(MIB)), b'"x":0}']),
                ("entries", [ranges, many(b"{},", 5 * MIB), b"{}]}"]),
                ("numbers", [ranges, many(b"7,", 7 * MIB), b"7]}"]),
                ("too long", [many(b" ", 17 * MIB)])):
            with open(self.path(f"{name}.ranges.json"), "wb") as file:
                for more in pieces:
                    for piece in [more] if isinstance(more, bytes) else more:
                        file.write(piece)
            self.hostile(name, bytes(PAGE))

    def test_notes_of_a_sparse_terabyte(self):
        data = bytearray(dumps.kdump({1: bytes(PAGE)}))
        struct.pack_into("<Q", data, PAGE + 56, 60 * MIB)
        self.hostile("notes", bytes(data), size=1 << 40)


if __name__ == "__main__":
    cli.main()
