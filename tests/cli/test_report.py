#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump report: one page, of nothing but text and drawings, whatever the image says.

test_report.py PROGRAM
"""

import json
import os
import sys
from pathlib import Path

import cli
import elf_core
from elf_core import PAGE, Core, Load

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from strict_html import Page  # noqa: E402  (its folder is not this one's)

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;\x1b]0;owned\x07\u202egnp.exe\u2066&#x3c;b>"
SHOWN = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;\\x1b]0;owned\\x07\\xe2\\x80\\xaegnp.exe"


class Report(cli.TestCase):
    def page(self, image, status=cli.COMPLETE):
        self.expect(status, "report", image, "-o", self.path("page.html"), "--force")
        return Page().feed_all(self.path("page.html").read_bytes())

    def holed_snapshot(self):
        loads = [Load(i * 64 * PAGE, i * 2 * PAGE, 2 * PAGE) for i in range(4)]
        loads += [Load(i * 64 * PAGE + 2 * PAGE, 100 * PAGE, 2 * PAGE) for i in range(4)]
        core = Core(content=elf_core.mixed_bytes(8), loads=loads).write(self.path("core"))
        return self.capture(core, status=cli.HOLES)

    def test_what_there_is_and_what_there_is_not(self):
        page = self.page(self.holed_snapshot())
        self.assertEqual({"kernel", "map", "timeline", "processes", "modules", "log", "notes"}, set(page.sections))
        self.assertIn("6.1.0-test", page.sections["kernel"])
        self.assertIn("32.0 KiB", page.sections["kernel"])
        self.assertIn("unreadable", page.sections["map"])
        self.assertIn("Not to be told: ", page.sections["processes"])
        self.assertIn("only whether they are zero", page.sections["notes"])
        timeline = page.sections["timeline"]
        self.assertIn("pages not read8", timeline)
        self.assertEqual(4, timeline.count("unreadable"))
        self.assertIn("0x00000000000c2000", timeline)

    def test_a_core_has_no_course(self):
        page = self.page(elf_core.small_core().write(self.path("core")))
        self.assertIn("only a whole snapshot", page.sections["timeline"])

    def test_hostile_names_are_text(self):
        meta = {"host": HOSTILE, "boot_id": HOSTILE, "lockdown": "a\0b", "started_utc": HOSTILE}
        notes = elf_core.note(b"KCOREDUMP", 1, json.dumps(meta).encode())
        notes += elf_core.note(b"KCOREDUMP", 8, HOSTILE.encode() + b"\xff\xfe\x80 \0 end")
        core = elf_core.small_core()
        core.notes = elf_core.vmcoreinfo(release="6.1" + HOSTILE.replace("\n", "")) + notes
        image = core.write(self.path("<b>'\"&\u202e.core"))
        page = self.page(image)
        self.assertGreaterEqual(page.text.count(SHOWN), 1, page.sections["kernel"])
        self.assertIn("<b>'\"&\\xe2\\x80\\xae.core", page.sections["kernel"])

    def test_a_name_that_is_not_utf8(self):
        path = bytes(self.folder) + b"/\xff<i>\xc0\xaf\x9b31m"
        os.rename(elf_core.small_core().write(self.path("core")), path)
        self.assertIn("\\xff<i>\\xc0\\xaf\\x9b31m", self.page(path).sections["kernel"])

    def test_to_standard_output_and_not_over_a_file(self):
        core = elf_core.small_core().write(self.path("core"))
        result = self.expect(cli.COMPLETE, "report", core)
        Page().feed_all(result.out)
        taken = self.path("taken")
        taken.write_text("mine")
        self.assertIn("--force", self.expect(cli.IO, "report", core, "-o", taken).err)
        self.assertEqual("mine", taken.read_text())
        self.expect(cli.IO, "report", self.path("nothing"), "-o", self.path("new"))
        self.assertFalse(self.path("new").exists())

    def test_a_torn_snapshot_is_partial(self):
        snapshot = self.capture(elf_core.small_core().write(self.path("core")))
        os.truncate(snapshot, snapshot.stat().st_size - 30)
        self.assertIn("no: ", self.page(snapshot, status=cli.PARTIAL).sections["kernel"])


if __name__ == "__main__":
    cli.main()
