#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump read: dumps against hexdump -C, exact bytes, and holes that are never zeros."""

import random
import re
import shutil
import subprocess
import unittest

import cli
import elf_core
from elf_core import DIRECT_MAP, KERNEL_TEXT, PAGE, Core, Load

BASE = 0x100000


def hexdump(data, address):
    """hexdump -C of `data`, its addresses moved to `address` and widened to 16 digits."""
    out = subprocess.run(["hexdump", "-C"], input=data, check=True, capture_output=True).stdout
    widen = lambda found: f"{int(found[0], 16) + address:016x}"
    return re.sub(r"^[0-9a-f]{8,}", widen, out.decode(), flags=re.MULTILINE)


def repetitive_bytes(size, seed):
    """Runs of equal lines of every length, at every alignment."""
    rand = random.Random(seed)
    data = b""
    while len(data) < size:
        line = rand.randbytes(16) if rand.random() < 0.5 else bytes([rand.randrange(256)]) * 16
        data += line * rand.choice((1, 1, 2, 3, 40)) + rand.randbytes(rand.choice((0, 0, 5)))
    return data[:size]


class ReadCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.data = elf_core.mixed_bytes(8) + repetitive_bytes(24 * PAGE, 3)
        core = Core(content=self.data, loads=[
            Load(BASE, 0, 16 * PAGE),                    # the second follows right behind
            Load(BASE + 16 * PAGE, 16 * PAGE, 16 * PAGE),
            Load(BASE + 8 * PAGE, 8 * PAGE, 16 * PAGE - PAGE, virt=KERNEL_TEXT),
        ])
        self.core = core.write(self.path("core"))
        self.snapshot = self.capture(self.core, "snapshot", "--frame-size", "4KiB")

    def read(self, status, *words, file=None):
        return self.expect(status, "read", "-f", file or self.snapshot, *words)


@unittest.skipUnless(shutil.which("hexdump"), "hexdump is not installed (bsdextrautils)")
class Dump(ReadCase):
    def check(self, offset, length, **options):
        result = self.read(cli.COMPLETE, "--phys", hex(BASE + offset), length, **options)
        wanted = hexdump(self.data[offset:offset + length], BASE + offset)
        self.assertEqual(wanted, result.text, f"{length} bytes at +{offset:#x}")

    def test_as_hexdump_shows_it(self):
        for offset, length in ((0, 16), (0, 1), (0, 15), (0, 17), (7, 256), (PAGE - 1, 2),
                               (2 * PAGE, 3 * PAGE), (0, 16 * PAGE + 8), (1, len(self.data) - 1)):
            self.check(offset, length)

    def test_random_ranges(self):
        rand = random.Random(4)
        for _ in range(60):
            offset = rand.randrange(len(self.data))
            self.check(offset, min(rand.choice((33, 500, 5000)), len(self.data) - offset))

    def test_across_segments(self):
        self.check(16 * PAGE - 24, 48)

    def test_an_elf_core_gives_the_same(self):
        self.check(5, 20000, file=self.core)

    def test_an_image_of_equal_lines(self):
        size = 5 << 20  # more than one step of a long read
        core = Core(sparse_size=size, loads=[Load(0, 0, size)]).write(self.path("zeros"))
        result = self.read(cli.COMPLETE, "--phys", 0, size, file=core)
        self.assertEqual(hexdump(bytes(size), 0), result.text)

    def test_default_length_is_256(self):
        result = self.read(cli.COMPLETE, "--phys", BASE)
        self.assertEqual(hexdump(self.data[:256], BASE), result.text)

    def test_decimal_and_hexadecimal(self):
        for address, length in ((str(BASE), "32"), (hex(BASE), "0x20"), (f"0X{BASE:X}", "0X20")):
            result = self.read(cli.COMPLETE, "--phys", address, length)
            self.assertEqual(hexdump(self.data[:32], BASE), result.text)


class Raw(ReadCase):
    def test_exact_bytes(self):
        for offset, length in ((0, 1), (3, 4093), (PAGE - 1, 2), (16 * PAGE - 1, 2),
                               (0, len(self.data)), (77, 40000)):
            result = self.read(cli.COMPLETE, "--phys", "--raw", BASE + offset, length)
            self.assertEqual(self.data[offset:offset + length], result.out, (offset, length))

    def test_virtual_addresses(self):
        direct = self.read(cli.COMPLETE, "--raw", hex(DIRECT_MAP + BASE + 5), 100)
        self.assertEqual(self.data[5:105], direct.out)
        text = self.read(cli.COMPLETE, "--raw", hex(KERNEL_TEXT + 3), 9000)
        self.assertEqual(self.data[8 * PAGE + 3:8 * PAGE + 9003], text.out)

    def test_not_on_a_terminal(self):
        words = ("read", "--phys", "--raw", "-f", self.snapshot, BASE)
        self.assertEqual(cli.USAGE, cli.run_on_terminal(*words, stdout="terminal").status)

    def test_length_0(self):
        raw = self.read(cli.COMPLETE, "--phys", "--raw", BASE, 0)
        self.assertEqual(b"", raw.out)
        dump = self.read(cli.COMPLETE, "--phys", BASE, 0)
        self.assertIn(dump.text, ("", f"{BASE:016x}\n"))


class Holes(cli.TestCase):
    """Pages 4 to 7 of 8 were not dumped; the file ends within page 10 of the second segment."""

    def setUp(self):
        super().setUp()
        self.data = elf_core.mixed_bytes(16)
        core = Core(content=self.data, loads=[Load(BASE, 0, 8 * PAGE, file_size=4 * PAGE),
                                              Load(4 * BASE, 8 * PAGE, 8 * PAGE)])
        self.core = core.write(self.path("core"))
        with open(self.core, "r+b") as file:
            file.truncate(self.core.stat().st_size - 5 * PAGE - 100)
        self.snapshot = self.capture(self.core, status=cli.HOLES)

    def read(self, status, *words, file=None):
        return self.expect(status, "read", "--phys", "-f", file or self.snapshot, *words)

    def test_excluded_pages_say_so(self):
        for file in (self.core, self.snapshot):
            result = self.read(cli.HOLES, hex(BASE + 4 * PAGE), 64, file=file)
            self.assertIn(f"{BASE + 4 * PAGE:#018x}", result.err)
            self.assertIn("was excluded when it was dumped", result.err)
            self.assertNotRegex(result.text, r"  00 |\|")

    def test_what_is_readable_comes_first_and_no_zeros_follow(self):
        for file in (self.core, self.snapshot):
            start = BASE + 4 * PAGE - 32
            raw = self.read(cli.HOLES, "--raw", hex(start), 4096, file=file)
            self.assertEqual(self.data[4 * PAGE - 32:4 * PAGE], raw.out)
            dump = self.read(cli.HOLES, hex(start), 4096, file=file)
            self.assertEqual(2, dump.text.count("|\n"), dump.text)

    def test_pages_beyond_the_end_of_the_file_are_unreadable(self):
        bad = 4 * BASE + 2 * PAGE  # cut off within this page
        for file in (self.core, self.snapshot):
            result = self.read(cli.HOLES, "--raw", hex(bad + PAGE - 16), 16, file=file)
            self.assertEqual(b"", result.out)
            self.assertIn(f"{bad:#018x}", result.err)
        good = self.read(cli.COMPLETE, "--raw", hex(4 * BASE), 2 * PAGE)
        self.assertEqual(self.data[8 * PAGE:10 * PAGE], good.out)

    def test_an_address_of_no_segment(self):
        for words in ((0,), ("0xfffffffffffffff0", 16), (BASE - 1, 1)):
            result = self.read(cli.HOLES, "--raw", *words)
            self.assertEqual(b"", result.out)
            self.assertIn("no segment", result.err)

    def test_real_zeros_are_shown(self):
        result = self.read(cli.COMPLETE, "--raw", hex(BASE + 2 * PAGE), 64)
        self.assertEqual(bytes(64), result.out)


class Usage(ReadCase):
    def test_bad_numbers(self):
        for bad in ("", "12x", "0x", "0xg", "ffff", "-1", "1.5", "0x10000000000000000",
                    "99999999999999999999", " 1", "1 ", "1\x1b[31m"):
            for words in (("--", bad), ("--", "0x1000", bad)):
                result = self.expect(cli.USAGE, "read", "-f", self.snapshot, *words)
                self.assertEqual(b"", result.out)
                self.assertNotIn("\x1b", result.err, words)

    def test_a_range_that_wraps_around(self):
        most = "0xffffffffffffffff"
        for address, length in (("0xfffffffffffffff0", "0x11"), (most, 2), (2, most)):
            self.read(cli.USAGE, "--phys", address, length)
        for address, length in (("0xfffffffffffffff0", "0x10"), (most, 1), (1, most)):
            self.read(cli.HOLES, "--phys", address, length)

    def test_too_many_or_too_few_arguments(self):
        for words in ((), (1, 2, 3)):
            self.read(cli.USAGE, *words)


if __name__ == "__main__":
    cli.main()
