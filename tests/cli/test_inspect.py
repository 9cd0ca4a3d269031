#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump info and verify, as text and as JSON, on sound, torn, damaged and hostile files."""

import json
import os
import re
import struct

import cli
import elf_core
from elf_core import PAGE, Core, Load

ADDRESS = re.compile(r"0x[0-9a-f]{16}")
ESCAPES = "\x1b]0;owned\x07\x1b[31m"


class InspectCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))
        self.snapshot = self.capture(self.core)
        self.bytes = self.snapshot.read_bytes()

    def info(self, status, path):
        return json.loads(self.expect(status, "info", "-f", path, "--json").out)

    def verify(self, status, path):
        return json.loads(self.expect(status, "verify", path, "--json").out)

    def damaged(self, offset, name="damaged"):
        """A copy with one byte changed; from the end where `offset` is negative."""
        changed = bytearray(self.bytes)
        changed[offset] ^= 0x40
        self.path(name).write_bytes(changed)
        return self.path(name)

    def frame_at(self, index):
        """(offset, compressed bytes) of a data frame."""
        count = struct.unpack_from("<I", self.bytes, len(self.bytes) - 9)[0]
        table = len(self.bytes) - 9 - 12 * count
        sizes = [struct.unpack_from("<I", self.bytes, table + 12 * i)[0] for i in range(count)]
        return sum(sizes[:index]), sizes[index]


class Sound(InspectCase):
    def test_info_of_a_core_and_of_its_snapshot(self):
        for path, kind in ((self.core, "elf"), (self.snapshot, "snapshot")):
            info = self.info(cli.COMPLETE, path)
            self.assertEqual((kind, "x86_64", "6.1.0-test", "0x000000001e000000", PAGE, 64),
                             (info["format"], info["architecture"], info["kernel"]["release"],
                              info["kaslr_offset"], info["page_bytes"], info["pages"]["total"]))
            segments = [(s["kind"], s["virtual"], s["physical"], s["bytes"])
                        for s in info["segments"]]
            self.assertEqual([
                ("ram", "0xffff888000001000", "0x0000000000001000", 40 * PAGE),
                ("ram", "0xffff888001000000", "0x0000000001000000", 24 * PAGE),
                ("kernel-image", "0xffffffff81000000", "0x0000000001004000", 8 * PAGE),
            ], segments)

    def test_info_json_of_a_snapshot(self):
        info = self.info(cli.COMPLETE, self.snapshot)
        self.assertIs(True, info["complete"])
        self.assertIsNone(info["reason"])
        self.assertEqual(([], []), (info["damage"], info["holes"]))
        self.assertEqual(len(self.bytes), info["file_bytes"])
        self.assertEqual(len(cli.unpack(self.snapshot)), info["plain_bytes"])
        self.assertEqual((64, 64, 21), tuple(info["pages"][k] for k in ("read", "direct", "zero")))
        self.assertEqual("kcoredump", info["meta"]["tool"])
        notes = [(note["owner"], note.get("name")) for note in info["notes"]]
        self.assertEqual([("VMCOREINFO", None), ("KCOREDUMP", "meta")], notes)

    def test_info_text(self):
        text = self.expect(cli.COMPLETE, "info", "-f", self.snapshot).text
        for row in (r"kernel +6\.1\.0-test x86_64", r"kaslr offset +0x1e000000", r"complete +yes",
                    r"pages +64 \(256\.0 KiB\): 64 read, of them 21 zero", r"  ram +0xffff8880"):
            self.assertRegex(text, rf"(?m)^{row}")

    def test_verify(self):
        text = self.expect(cli.COMPLETE, "verify", self.snapshot).text
        self.assertRegex(text, r"(?m)^verdict +sound$")
        for threads in (1, 3):
            result = self.expect(cli.COMPLETE, "verify", self.snapshot, "--json", "--threads",
                                 threads)
            report = json.loads(result.out)
            self.assertEqual((True, True, 0, []), tuple(
                report[key] for key in ("sound", "complete", "damaged_frames", "damage")))
            self.assertEqual(len(cli.unpack(self.snapshot)), report["plain_bytes"])

    def test_verify_of_a_core_reads_every_page(self):
        self.assertEqual(64, self.verify(cli.COMPLETE, self.core)["pages"]["read"])
        os.truncate(self.core, self.core.stat().st_size - 3 * PAGE)
        report = self.verify(cli.CORRUPT, self.core)
        self.assertEqual((61, 3), (report["pages"]["read"], report["pages"]["unreadable"]))
        self.assertIn("beyond the end of the file", report["damage"][0])
        self.expect(cli.IO, "verify", self.path("missing"))

    def test_a_file_without_vmcoreinfo(self):
        core = elf_core.small_core()
        core.notes = b""
        info = self.info(cli.COMPLETE, core.write(self.path("bare")))
        self.assertEqual((None, None), (info["kernel"]["release"], info["kaslr_offset"]))
        self.capture(self.path("bare"), "bare-snapshot")

    def test_holes_are_listed(self):
        beyond_the_end = 100 * PAGE
        loads = [Load(i * 64 * PAGE, i * 2 * PAGE, 2 * PAGE) for i in range(4)]
        loads += [Load(i * 64 * PAGE + 2 * PAGE, beyond_the_end, 2 * PAGE) for i in range(4)]
        core = Core(content=elf_core.mixed_bytes(8), loads=loads)
        snapshot = self.capture(core.write(self.path("holes")), "holed", status=cli.HOLES)
        info = self.info(cli.HOLES, snapshot)
        self.assertEqual([(f"{i * 64 * PAGE + 2 * PAGE:#018x}", 2, "unreadable") for i in range(4)],
                         [(h["physical"], h["pages"], h["kind"]) for h in info["holes"]])
        self.assertEqual((8, 8), (info["pages"]["unreadable"], info["pages"]["read"]))
        self.assertEqual(8, self.verify(cli.HOLES, snapshot)["pages"]["unreadable"])
        text = self.expect(cli.HOLES, "info", "-f", snapshot).text
        self.assertRegex(text, r"(?m)^  unreadable +0x0000000000002000 +2 \(ENODATA\)$")

    def test_what_was_excluded_is_counted_and_no_hole(self):
        core = Core(content=elf_core.mixed_bytes(8), loads=[
            Load(i * 64 * PAGE, i * 2 * PAGE, 4 * PAGE, file_size=2 * PAGE) for i in range(4)])
        snapshot = self.capture(core.write(self.path("filtered")), "small")
        info = self.info(cli.COMPLETE, snapshot)
        self.assertEqual(([], 8, 8),
                         (info["holes"], info["pages"]["excluded"], info["pages"]["read"]))
        self.assertEqual(8, self.verify(cli.COMPLETE, snapshot)["pages"]["excluded"])
        text = self.expect(cli.COMPLETE, "info", "-f", snapshot).text
        self.assertRegex(text, r"(?m)^pages .*, 8 excluded$")


class Torn(InspectCase):
    def torn(self, size):
        self.path("torn").write_bytes(self.bytes[:size])
        return self.path("torn")

    def test_readable_up_to_the_tear(self):
        offset, size = self.frame_at(4)
        torn = self.torn(offset + size // 2)
        self.assertIn("torn at", json.dumps(self.info(cli.CORRUPT, torn)["damage"]))
        # Without a trailer nothing tells a hole from zeros, and the answer says so.
        raw = self.expect(cli.PARTIAL, "read", "-f", torn, "--phys", "--raw", "0x1000", PAGE)
        self.assertEqual(elf_core.mixed_bytes(1), raw.out)
        self.assertIn("cannot be told from zeros", raw.err)
        gone = self.expect(cli.PARTIAL, "read", "-f", torn, "--phys", "--raw", "0x1017000", 16)
        self.assertEqual(b"", gone.out)

    def test_never_called_complete_wherever_it_is_cut(self):
        sizes = [*range(0, 200, 13), *range(200, len(self.bytes), 9001),
                 *range(len(self.bytes) - 60, len(self.bytes))]
        for size in sizes:
            torn = self.torn(size)
            for words in (("verify", torn), ("info", "-f", torn)):
                result = cli.run(*words)
                self.assertEqual(cli.CORRUPT, result.status, f"{words} {size}: {result.err}")
                self.assertNotRegex(result.text, r"complete +yes")


class Damaged(InspectCase):
    def test_a_frame(self):
        offset, size = self.frame_at(3)
        damaged = self.damaged(offset + size // 2)
        report = self.verify(cli.CORRUPT, damaged)
        self.assertEqual((False, 1), (report["sound"], report["damaged_frames"]))
        self.assertRegex(report["damage"][0], rf"^frame 3 \(file offset {offset:#x}, ")
        text = self.expect(cli.CORRUPT, "verify", damaged).text
        self.assertRegex(text, r"(?m)^verdict +DAMAGED$")

    def test_reading_around_a_damaged_frame(self):
        offset, size = self.frame_at(3)
        damaged = self.damaged(offset + size // 2)
        words = ("read", "-f", damaged, "--phys", "--raw")
        good = self.expect(cli.COMPLETE, *words, "0x1000000", PAGE)
        self.assertEqual(elf_core.mixed_bytes(64)[40 * PAGE:41 * PAGE], good.out)
        lost = [cli.run(*words, hex(0x1000 + i * PAGE), PAGE) for i in range(40)]
        holes = [result for result in lost if result.status == cli.HOLES]
        self.assertTrue(holes)
        for result in holes:
            self.assertEqual(b"", result.out)
            self.assertIn("damaged", result.err)

    def test_every_part_of_the_end(self):
        """Trailer, seek table and footer: all of them carry a checksum or are checked by one."""
        data_end = sum(self.frame_at(-1))
        for offset in range(data_end, len(self.bytes), 3):
            damaged = self.damaged(offset)
            self.verify(cli.CORRUPT, damaged)
            result = self.expect(cli.CORRUPT, "info", "-f", damaged)
            self.assertNotRegex(result.text, r"complete +yes", offset)

    def test_foreign_bytes_at_the_end(self):
        self.path("longer").write_bytes(self.bytes + b"x")
        self.verify(cli.CORRUPT, self.path("longer"))


class Hostile(InspectCase):
    """What a file says must not command the terminal."""

    def hostile_core(self, name="core"):
        core = elf_core.small_core()
        core.notes = (elf_core.vmcoreinfo(release="6.1" + ESCAPES) +
                      elf_core.note(ESCAPES.encode(), 7, b"data"))
        return core.write(self.path(name))

    def check_clean(self, result, *parts):
        shown = result.text + result.err
        self.assertNotRegex(shown, r"[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]")
        for part in parts:
            self.assertIn(part, shown)

    def test_notes(self):
        core = self.hostile_core()
        for path in (core, self.capture(core, "hostile")):
            self.check_clean(self.expect(cli.COMPLETE, "info", "-f", path), r"6.1\x1b]0;owned\x07")
            self.check_clean(self.expect(cli.COMPLETE, "info", "-f", path, "--json"), "6.1\\u001b")

    def test_file_names(self):
        name = f"name{ESCAPES}"
        core = self.hostile_core(name)
        self.check_clean(self.expect(cli.COMPLETE, "info", "-f", core), r"name\x1b]0;")
        for words in (("info", "-f", f"{core}.missing"), ("verify", f"{core}.missing"),
                      ("capture", "-f", core, "-o", self.path(f"no{ESCAPES}/where"))):
            self.check_clean(self.expect(cli.IO, *words), r"\x1b]0;owned\x07")
        output = self.path(f"out{ESCAPES}")
        self.check_clean(self.expect(cli.COMPLETE, "capture", "-f", core, "-o", output),
                         r"out\x1b]0;")
        result = self.expect(cli.COMPLETE, "capture", "-f", core, "-o", output, "--force", "--json")
        self.check_clean(result, "out\\u001b")
        self.assertEqual(str(output), json.loads(result.out)["output"])

    def test_file_names_that_are_not_utf8(self):
        path = bytes(self.folder) + b"/\xff\xfe\x9b31m"
        os.rename(self.hostile_core(), path)
        self.check_clean(self.expect(cli.COMPLETE, "info", "-f", path), r"\xff\xfe\x9b31m")
        json.loads(self.expect(cli.COMPLETE, "info", "-f", path, "--json").out)

    def test_addresses_are_strings_of_16_digits(self):
        info = self.info(cli.COMPLETE, self.snapshot)
        for segment in info["segments"]:
            self.assertRegex(segment["virtual"], ADDRESS)
            self.assertRegex(segment["physical"], ADDRESS)
        self.assertRegex(info["kaslr_offset"], ADDRESS)


if __name__ == "__main__":
    cli.main()
