#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump search and read's words: what is printed, in which order, with which exit status."""

import json
import random
import re
import signal
import struct
import time
import unittest

import cli
import elf_core
from elf_core import DIRECT_MAP, KERNEL_TEXT, PAGE, Core, Load

BASE = 0x100000
SIZE = 12 << 20  # several units


class SearchCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        data = bytearray(random.Random(1).randbytes(SIZE))
        self.places = [0, 3 * PAGE - 3, 4 << 20, (8 << 20) - 4, SIZE - 9]
        for place in self.places:
            data[place:place + 9] = b"a secret."
        self.data = bytes(data)
        core = Core(content=self.data, loads=[
            Load(BASE, 0, SIZE // 2), Load(BASE + SIZE // 2, SIZE // 2, SIZE // 2),
            Load(BASE + 4096, 4096, 64 * PAGE, virt=KERNEL_TEXT)])
        self.core = core.write(self.path("core"))

    def search(self, status, *words, file=None):
        return self.expect(status, "search", "-f", file or self.core, *words)

    def found(self, *words, status=cli.COMPLETE, file=None):
        report = json.loads(self.search(status, "--json", *words, file=file).text)
        return [int(match["physical"], 16) - BASE for match in report["matches"]]

    def brute(self, pattern):
        return [found.start() for found in re.finditer(b"(?=" + pattern + b")", self.data, re.DOTALL)]


class Matches(SearchCase):
    def test_text_wherever_it_stands(self):
        snapshot = self.capture(self.core, "snapshot")
        for file in (self.core, snapshot):
            for threads in (1, 2, 5):
                self.assertEqual(self.places,
                                 self.found("a secret.", "--threads", threads, file=file))

    def test_as_a_regular_expression_finds_it(self):
        for words, pattern in (
                (("--hex", "61 20 7? ?? 63"), b"a [\x70-\x7f].c"),
                (("--hex", "00??ff"), b"\x00.\xff"),
                (("--ignore-case", "SeC"), b"[sS][eE][cC]"),
                (("--regex", "sec[a-z]{3}\\."), b"sec[a-z]{3}\\.")):
            self.assertEqual(self.brute(pattern), self.found("--max", 100000, *words), words)

    def test_words_stand_at_their_multiples(self):
        value = struct.unpack_from("<I", self.data, 4096)[0]
        wanted = [at for at in self.brute(re.escape(struct.pack("<I", value))) if at % 4 == 0]
        self.assertEqual(wanted, self.found("--word", "--width", 4, value))

    def test_rows(self):
        result = self.search(cli.COMPLETE, "a secret.", "--max", 2)
        title, first, second = result.text.splitlines()
        self.assertRegex(title, "PHYSICAL +VIRTUAL +SYMBOL")
        self.assertTrue(first.startswith(f"{BASE:#018x}  {DIRECT_MAP + BASE:#018x}  -"), first)
        self.assertIn(f"{KERNEL_TEXT + 2 * PAGE - 3:#018x}", second)
        self.assertIn("a secret.", second)
        self.assertIn("stopped after 2 matches", result.err)

    def test_context(self):
        result = self.search(cli.COMPLETE, "a secret.", "--max", 1, "--context", 16)
        self.assertIn("|a secret.", result.text)
        self.assertIn(f"{BASE + 16:016x}  ", result.text)

    def test_nothing_found_is_no_failure(self):
        result = self.search(cli.COMPLETE, "not to be found")
        self.assertEqual("", result.text)
        self.assertIn("no match", result.err)

    def test_ranges(self):
        for where in (f"phys:{BASE + 1:#x}", f"{DIRECT_MAP + BASE + 1:#x}"):
            self.assertEqual(self.places[1:3], self.found("a secret.", "--range", f"{where}:5000000"))
        self.assertEqual([self.places[1]],
                         self.found("a secret.", "--range", f"{KERNEL_TEXT:#x}:0x4000"))

    def test_holes(self):
        core = Core(content=self.data, loads=[Load(BASE, 0, SIZE, file_size=SIZE - PAGE)])
        holes = core.write(self.path("holes"))
        self.assertEqual(self.places[:-1], self.found("a secret.", status=cli.HOLES, file=holes))


class Usage(SearchCase):
    def test_bad_patterns_and_options(self):
        for words in ((), ("",), ("--hex", "4"), ("--hex", "??"), ("--regex", "("), ("--regex", "a*"),
                      ("--hex", "--word", "1"), ("--word", "--width", "3", "1"), ("x", "--width", "2"),
                      ("--word", "--width", "2", "0x10000"), ("x", "--align", "3"), ("x", "--max", "0"),
                      ("x", "--threads", "1025"), ("x", "--space", "user"), ("x", "--range", "12"),
                      ("x", "--range", "phys:0:0"), ("x", "--range", "phys:0:4096"),
                      ("--hex", "--ignore-case", "41"),
                      ("x", "--range", "phys:2:0xffffffffffffffff"), ("x", "--progress", "loud")):
            self.assertEqual(b"", self.search(cli.USAGE, *words).out, words)

    def test_interrupted_is_partial(self):
        size = 64 << 30
        slow = Core(sparse_size=size, loads=[Load(0, 0, size)]).write(self.path("slow"))
        process = cli.start("search", "--json", "x", "--threads", 1, "-f", slow)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual(cli.PARTIAL, process.returncode)
        report = json.loads(out)
        self.assertEqual((False, True), (report["complete"], report["cancelled"]))
        self.assertLess(report["searched_bytes"], size)


class Words(SearchCase):
    def read(self, status, *words):
        return self.expect(status, "read", "-f", self.core, *words)

    def test_each_width(self):
        for width, letter in ((1, "B"), (2, "H"), (4, "I"), (8, "Q")):
            text = self.read(cli.COMPLETE, f"phys:{BASE:#x}", 64, "--width", width).text
            words = re.findall(r"\b[0-9a-f]{%d}\b" % (2 * width), "\n".join(
                line[16:].partition("|")[0] for line in text.splitlines()))
            wanted = struct.unpack_from(f"<{64 // width}{letter}", self.data)
            self.assertEqual([f"{word:0{2 * width}x}" for word in wanted], words)

    def test_json(self):
        report = json.loads(self.read(cli.COMPLETE, hex(DIRECT_MAP + BASE), 20, "--json",
                                      "--width", 8).text)
        self.assertEqual(self.data[:20], bytes.fromhex(report["bytes"]))
        self.assertEqual(["0x" + self.data[i:i + 8][::-1].hex() for i in (0, 8, 16)][:2] +
                         ["0x" + self.data[16:20][::-1].hex()], report["words"])
        self.assertEqual((20, False), (report["readable_bytes"], report["incomplete"]))

    def test_json_of_a_hole(self):
        report = json.loads(self.read(cli.HOLES, f"phys:{BASE + SIZE - 8:#x}", 16, "--json").text)
        self.assertEqual(self.data[-8:], bytes.fromhex(report["bytes"]))
        self.assertEqual((8, True), (report["readable_bytes"], report["incomplete"]))
        self.assertTrue(report["notes"])

    def test_usage(self):
        for words in (("--width", 3), ("--raw", "--json"), ("--raw", "--width", 8),
                      ("--symbols", "--width", 4), ("--raw", "--symbols")):
            self.read(cli.USAGE, hex(DIRECT_MAP + BASE), 16, *words)
        self.read(cli.USAGE, f"phys:{BASE}", 17 << 20, "--json")


if __name__ == "__main__":
    cli.main()
