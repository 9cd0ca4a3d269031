#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump map: letters, blocks, JSON, PNG and SVG of small cores and their snapshots.

test_map.py PROGRAM
"""

import json
import os
import re
import struct
import time
import xml.etree.ElementTree
import zlib

import cli
import elf_core
from elf_core import PAGE, Core, Load

SVG = "{http://www.w3.org/2000/svg}"


class MapCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))  # 64 pages, every third of them zero

    def json(self, *words, status=cli.COMPLETE):
        return json.loads(self.expect(status, "map", "--json", *words).out)

    @staticmethod
    def pages(picture):
        return {kind["name"]: kind["pages"] for kind in picture["kinds"] if kind["pages"]}

    def holed_core(self):
        """Four times two pages that are there, two left out, two beyond the end of the file."""
        loads = [Load(i * 64 * PAGE, i * 2 * PAGE, 4 * PAGE, file_size=2 * PAGE) for i in range(4)]
        loads += [Load(i * 64 * PAGE + 4 * PAGE, 100 * PAGE, 2 * PAGE) for i in range(4)]
        return Core(content=elf_core.mixed_bytes(8), loads=loads).write(self.path("holed"))


class Kinds(MapCase):
    def test_without_struct_pages_zero_or_not(self):
        result = self.expect(cli.COMPLETE, "map", "-f", self.core, "--json")
        self.assertIn("only whether they are zero", result.err)
        picture = json.loads(result.out)
        self.assertEqual({"zero": 21, "not zero": 43}, self.pages(picture))
        self.assertFalse(picture["sampled"], "every cell is one page")
        self.assertEqual(["not zero", "not zero", "zero"], [cell["shows"] for cell in picture["cells"][:3]])
        self.assertIn("only whether", picture["notes"][0])

    def test_cells_go_through_ram_without_its_gaps(self):
        picture = self.json("-f", self.core, "--columns", 8, "--rows", 4)
        self.assertEqual((2, 8, 4, 64), tuple(picture[k] for k in ("cell_pages", "width", "rows", "total_pages")))
        places = [int(cell["physical"], 16) for cell in picture["cells"]]
        self.assertEqual([0x1000 + 2 * i * PAGE for i in range(20)] + [0x1000000 + 2 * i * PAGE for i in range(12)],
                         places)
        self.assertEqual(64, sum(cell["pages"] for cell in picture["cells"]))

    def test_outcomes_of_a_core_and_of_its_snapshot(self):
        core = self.holed_core()
        right = {"direct": 8, "excluded": 8, "unreadable": 8}
        for path in (core, self.capture(core, status=cli.HOLES)):
            picture = self.json("-f", path, "--by", "outcome")
            self.assertEqual(right, self.pages(picture))
            coarse = self.json("-f", path, "--by", "outcome", "--columns", 1, "--rows", 1)
            self.assertEqual(["unreadable"], [cell["shows"] for cell in coarse["cells"]], "a hole must be seen")
            self.assertEqual(right, coarse["cells"][0]["kinds"])

    def test_holes_stand_in_every_other_picture_too(self):
        snapshot = self.capture(self.holed_core(), status=cli.HOLES)
        for by in ("class", "entropy", "time"):
            pages = self.pages(self.json("-f", snapshot, "--by", by))
            self.assertEqual((8, 8, 24), (pages["unreadable"], pages["excluded"], sum(pages.values())), by)

    def test_entropy(self):
        picture = self.json("-f", self.core, "--by", "entropy")
        pages = self.pages(picture)
        self.assertEqual((22, 21), (pages["7-8 bits a byte"], pages["zero"]))
        self.assertEqual(64, sum(pages.values()))
        random, text, zero = picture["cells"][:3]
        self.assertGreater(random["entropy"], 7.9)
        self.assertTrue(3 < text["entropy"] < 5, text)
        self.assertEqual(0, zero["entropy"])

    def test_time_of_a_snapshot(self):
        picture = self.json("-f", self.capture(self.core), "--by", "time")
        self.assertEqual(64, sum(self.pages(picture).values()))
        for cell in picture["cells"]:
            self.assertRegex(cell["shows"], r"^\d+\.\d-\d+\.\d ms$")

    def test_an_image_without_times_says_so(self):
        result = self.expect(cli.CORRUPT, "map", "-f", self.core, "--by", "time")
        self.assertIn("does not tell when its pages were read", result.err)

    def test_forged_headers_that_promise_terabytes(self):
        path = self.path("forged")
        Core([Load(0x1000, 0, 1 << 46, file_size=2 * PAGE)], elf_core.mixed_bytes(2)).write(path)
        start = time.monotonic()
        for by in ("class", "outcome", "entropy"):
            picture = self.json("-f", path, "--by", by)
            self.assertEqual((1 << 46) // PAGE, sum(self.pages(picture).values()), by)
        self.assertLess(time.monotonic() - start, 20)

    def test_a_torn_snapshot(self):
        snapshot = self.capture(self.core, "snapshot", "--frame-size", 4096)
        os.truncate(snapshot, snapshot.stat().st_size // 2)
        pages = self.pages(self.json("-f", snapshot, "--by", "outcome", status=cli.PARTIAL))
        self.assertEqual(64, pages["direct"] + pages["not reached"])
        self.expect(cli.CORRUPT, "map", "-f", snapshot, "--by", "time")


class Text(MapCase):
    def on_terminal(self, colorterm=None, term="xterm", no_colour=None):
        names = {"COLORTERM": colorterm, "TERM": term, "NO_COLOR": no_colour}
        saved = dict(os.environ)
        try:
            for name, value in names.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            return cli.run_on_terminal("map", "-f", self.core, stdout="terminal", columns=84).err
        finally:
            os.environ.clear()
            os.environ.update(saved)

    def test_letters_and_legend(self):
        text = self.expect(cli.COMPLETE, "map", "-f", self.core, "--columns", 16).text
        self.assertTrue(text.startswith("0x0000000000001000  ##0##0##0##0##0#\n"), text)
        self.assertRegex(text, r"(?m)^  0  zero +84\.0 KiB +32\.8 %$")
        self.assertRegex(text, r"(?m)^  #  not zero +172\.0 KiB +67\.2 %$")
        self.assertIn("a cell is 4.0 KiB (1 page), 256.0 KiB of RAM\n", text)

    def test_colours_are_as_the_terminal_has_them(self):
        self.assertIn("\x1b[38;2;47;183;168;49m▀", self.on_terminal(colorterm="truecolor"))
        self.assertIn("\x1b[36;49m▀", self.on_terminal())
        for shown in (self.on_terminal(term="dumb"), self.on_terminal(colorterm="truecolor", no_colour="1")):
            self.assertNotIn("\x1b", shown)
            self.assertIn("##0##0", shown)

    def test_no_line_is_wider_than_the_terminal(self):
        shown = re.sub(r"\x1b\[[0-9;]*m", "", self.on_terminal(colorterm="24bit"))
        lines = [line for line in shown.splitlines() if not line.startswith("kcoredump: ")]
        self.assertEqual(84, max(map(len, lines)))


class Files(MapCase):
    def test_svg(self):
        self.expect(cli.COMPLETE, "map", "-f", self.core, "--svg", self.path("a.svg"), "--columns", 8)
        root = xml.etree.ElementTree.parse(self.path("a.svg")).getroot()
        drawn = {path.find(f"{SVG}title").text: path.get("d") for path in root.iter(f"{SVG}path")}
        self.assertEqual({"zero, 84.0 KiB", "not zero, 172.0 KiB"}, set(drawn))
        cells = {title: sum(int(run) for run in re.findall(r"h(\d+)v1", path)) for title, path in drawn.items()}
        self.assertEqual({"zero, 84.0 KiB": 21, "not zero, 172.0 KiB": 43}, cells)

    def test_png(self):
        self.expect(cli.COMPLETE, "map", "-f", self.core, "--png", self.path("a.png"), "--columns", 8)
        data = self.path("a.png").read_bytes()
        self.assertEqual(b"\x89PNG\r\n\x1a\n", data[:8])
        width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
        self.assertEqual(3, colour, "a palette")
        pixels, palette = self.unpack(data, width, height, depth)
        shown = {palette[3 * index:3 * index + 3].hex() for row in pixels for index in row}
        self.assertLessEqual({"10141f", "2fb7a8", "ffffff", "202020"}, shown)

    @staticmethod
    def unpack(data, width, height, depth):
        """Rows of palette indexes, and the palette. Of filters only those that libpng uses for palettes: none."""
        at, packed, palette = 8, b"", b""
        while at < len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8:at + 8 + size]
            assert zlib.crc32(kind + body) == struct.unpack_from(">I", data, at + 8 + size)[0]
            packed += body if kind == b"IDAT" else b""
            palette = body if kind == b"PLTE" else palette
            at += 12 + size
        raw, row_bytes, each = zlib.decompress(packed), (width * depth + 7) // 8, 8 // depth
        rows = []
        for row in range(height):
            line = raw[row * (row_bytes + 1):(row + 1) * (row_bytes + 1)]
            assert line[0] == 0, "a filter"
            rows.append([byte >> (8 - depth * (i + 1)) & ((1 << depth) - 1) for byte in line[1:] for i in range(each)])
        return rows, palette

    def test_files_are_not_replaced_unasked(self):
        taken = self.path("taken")
        taken.write_text("mine")
        for option in ("--png", "--svg"):
            result = self.expect(cli.IO, "map", "-f", self.core, option, taken)
            self.assertIn("--force", result.err)
            self.assertEqual("mine", taken.read_text())
        self.expect(cli.COMPLETE, "map", "-f", self.core, "--svg", taken, "--force")
        self.assertTrue(taken.read_text().startswith("<svg "))

    def test_slips_of_the_command_line(self):
        for words in (("--by", "colour"), ("--columns", 0), ("--rows", 1025), ("--png", "")):
            self.expect(cli.USAGE, "map", "-f", self.core, *words)
        self.expect(cli.IO, "map", "-f", self.path("nothing"))


if __name__ == "__main__":
    cli.main()
