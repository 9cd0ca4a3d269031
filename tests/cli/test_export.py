#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump export isf: Volatility's symbol file of a core whose BTF is in its memory."""

import sys
from pathlib import Path

import cli
from elf_core import KERNEL_TEXT
from test_print import THING, thing_core

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))
from vmlab.isf import Isf  # noqa: E402  (its folder is not this one's)

NUMBER = {"kind": "base", "name": "unsigned int"}


class Export(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = thing_core().write(self.path("core"))

    def export(self, *words, status=cli.HOLES):
        """This core has no linux_banner, which is said and is an incomplete answer."""
        return self.expect(status, "export", "isf", "-f", self.core, *words)

    def test_types_and_symbols(self):
        result = self.export()
        self.assertIn("1 types, 1 enums and 5 symbols", result.err)
        isf = Isf(result.out).check()
        self.assertEqual(THING, isf.address("thing"))
        self.assertEqual(KERNEL_TEXT, isf.address("_stext"))
        self.assertEqual(32, isf.types["thing"]["size"])
        self.assertEqual((0, {"kind": "array", "count": 16, "subtype": {"kind": "base", "name": "char"}}),
                         isf.member("thing", "name"))
        self.assertEqual((20, {"kind": "bitfield", "bit_position": 3, "bit_length": 5, "type": NUMBER}),
                         isf.member("thing", "high"))
        self.assertEqual((24, {"kind": "pointer", "subtype": {"kind": "struct", "name": "thing"}}),
                         isf.member("thing", "next"))
        self.assertEqual({"CALM": 0, "ANGRY": 7}, isf.parts["enums"]["mood"]["constants"])

    def test_no_banner_is_said(self):
        self.assertIn("linux_banner", self.export().err)

    def test_a_file(self):
        self.export("-o", self.path("isf.json"))
        self.assertEqual(self.export().out, self.path("isf.json").read_bytes())
        self.assertIn("--force", self.export("-o", self.path("isf.json"), status=cli.IO).err)
        self.export("-o", self.path("isf.json"), "--force")

    def test_the_same_from_a_snapshot(self):
        plain = self.export().out
        self.core = self.capture(self.core)
        self.assertEqual(plain, self.export().out)

    def test_what_it_does_not_know(self):
        self.expect(cli.USAGE, "export", "dwarf", "-f", self.core)


if __name__ == "__main__":
    cli.main()
