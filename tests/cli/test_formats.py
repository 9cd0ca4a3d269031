#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Dumps of other tools' formats: info, verify, read and capture, and what is said of damage."""

import json
import os

import cli
import dumps
import elf_core
from elf_core import PAGE

PAGES = {number: elf_core.mixed_bytes(12)[i * PAGE:(i + 1) * PAGE]
         for i, number in enumerate([*range(2, 8), *range(32, 38)])}
EXCLUDED = (8, 9, 40)
RANGES = {2 * PAGE: b"".join(PAGES[n] for n in range(2, 8)),
          32 * PAGE: b"".join(PAGES[n] for n in range(32, 38))}


class FormatCase(cli.TestCase):
    def write(self, name, data):
        self.path(name).write_bytes(data)
        return self.path(name)

    def info(self, status, path):
        return json.loads(self.expect(status, "info", "-f", path, "--json").out)

    def verify(self, status, path):
        return json.loads(self.expect(status, "verify", path, "--json").out)

    def samples(self):
        """(path, format, compression) of every format that holds PAGES."""
        kdump = dumps.kdump(PAGES, EXCLUDED)
        yield self.write("kdump", kdump), "kdump", ["zlib"]
        yield self.write("flat", dumps.flattened(kdump)), "flattened kdump", ["zlib"]
        yield self.write("lime", dumps.lime(RANGES)), "lime", []
        yield self.write("avml", dumps.avml(RANGES)), "avml", ["snappy"]
        yield dumps.raw(self.path("raw"), RANGES), "raw", []


class Sound(FormatCase):
    def test_every_format_says_what_it_is_and_holds_its_pages(self):
        for path, name, compression in self.samples():
            with self.subTest(name):
                info = self.info(cli.COMPLETE, path)
                self.assertEqual((name, compression, True, 12),
                                 (info["format"], info["compression"], info["complete"],
                                  info["pages"]["read"]))
                self.assertEqual(path.stat().st_size, info["file_bytes"])
                for number, page in PAGES.items():
                    read = self.expect(cli.COMPLETE, "read", "-f", path, "--raw", "--phys",
                                       hex(number * PAGE + 8), PAGE - 16)
                    self.assertEqual(page[8:-8], read.out)
                report = self.verify(cli.COMPLETE, path)
                self.assertEqual((True, True, 12), (report["sound"], report["complete"],
                                                    report["pages"]["read"]))
                text = self.expect(cli.COMPLETE, "verify", path).text
                self.assertRegex(text, r"(?m)^verdict +sound$")

    def test_a_capture_of_each_holds_the_same(self):
        for path, name, _ in self.samples():
            with self.subTest(name):
                snapshot = self.capture(path, f"{path.name}.zst")
                for number, page in PAGES.items():
                    read = self.expect(cli.COMPLETE, "read", "-f", snapshot, "--raw", "--phys",
                                       hex(number * PAGE), PAGE)
                    self.assertEqual(page, read.out)

    def test_excluded_pages_stay_so_in_a_capture(self):
        dump = self.write("dump", dumps.kdump(PAGES, EXCLUDED))
        snapshot = self.capture(dump)
        for path in (dump, snapshot):
            self.assertEqual(3, self.info(cli.COMPLETE, path)["pages"]["excluded"])
            for number in EXCLUDED:
                read = self.expect(cli.HOLES, "read", "-f", path, "--raw", "--phys",
                                   hex(number * PAGE), 16)
                self.assertEqual(b"", read.out)
                self.assertIn("was excluded when it was dumped", read.err)

    def test_info_text_of_a_kdump_file(self):
        notes = elf_core.note(b"CORE", 1, bytes(336)) * 2 + elf_core.vmcoreinfo()
        dump = self.write("dump", dumps.kdump(PAGES, EXCLUDED, notes=notes))
        text = self.expect(cli.COMPLETE, "info", "-f", dump).text
        for row in (r"kernel +6\.1\.0-test x86_64", r"register notes +2", r"complete +yes",
                    r"format +version 6, zlib, dump level 31",
                    r"pages +15 \(60\.0 KiB\): 12 in the file, 3 excluded"):
            self.assertRegex(text, rf"(?m)^{row}$")

    def test_a_split_set_by_any_of_its_files(self):
        first = self.write("b", dumps.kdump(PAGES, EXCLUDED, part=(0, 33)))
        second = self.write("a", dumps.kdump(PAGES, EXCLUDED, part=(33, 41)))
        for path in (first, second):
            info = self.info(cli.COMPLETE, path)
            self.assertEqual([str(first), str(second)], info["files"])
            self.assertEqual(12, info["pages"]["read"])
        first.unlink()
        info = self.info(cli.PARTIAL, second)
        self.assertIn("split set", info["reason"])
        self.assertEqual((5, 7, 3), tuple(info["pages"][k] for k in
                                          ("read", "not_reached", "excluded")))
        read = self.expect(cli.PARTIAL, "read", "-f", second, "--phys", hex(2 * PAGE), 16)
        self.assertIn("not in this image", read.err)

    def test_a_raw_image_keeps_its_holes(self):
        path = dumps.raw(self.path("raw"), RANGES, machine="x86_64", holes=[
            {"start": hex(3 * PAGE), "pages": 1, "kind": "offline"}])
        self.assertEqual(1, self.info(cli.HOLES, path)["pages"]["offline"])
        self.assertIn("offline", self.expect(cli.HOLES, "read", "-f", path, "--phys",
                                             hex(3 * PAGE), 16).err)
        self.assertEqual(1, self.verify(cli.HOLES, path)["pages"]["offline"])


class Damaged(FormatCase):
    def test_cut_off_files_are_partial(self):
        for path, name, _ in self.samples():
            with self.subTest(name):
                os.truncate(path, path.stat().st_size - PAGE)
                info = self.info(cli.PARTIAL, path)
                self.assertTrue(info["reason"])
                self.assertGreater(info["pages"]["not_reached"], 0)
                self.assertGreater(info["pages"]["read"], 0)
                self.assertEqual(cli.PARTIAL, cli.run("verify", path).status)

    def test_damaged_pages_are_found(self):
        def forge(page, offset, size, flags):
            return (offset, size - (1 if page == 33 else 0), flags)
        dump = self.write("dump", dumps.kdump(PAGES, forge=forge))
        report = self.verify(cli.CORRUPT, dump)
        self.assertEqual((False, 1, 11), (report["sound"], report["pages"]["unreadable"],
                                          report["pages"]["read"]))
        self.assertIn(f"{33 * PAGE:#018x}", report["damage"][0])
        self.assertRegex(self.expect(cli.CORRUPT, "verify", dump).text, r"(?m)^verdict +DAMAGED$")

    def test_a_flipped_byte_of_avml_is_found(self):
        data = bytearray(dumps.avml(RANGES))
        data[100] ^= 1
        report = self.verify(cli.CORRUPT, self.write("avml", data))
        self.assertEqual(6, report["pages"]["unreadable"])

    def test_unknown_files_are_told_what_would_open_them(self):
        for name, data, words in (
                ("noise", b"hello, this is no dump", ("noise.ranges.json", "kdump", "LiME")),
                ("zeros", bytes(PAGE), ("begins with zeros", "zeros.ranges.json")),
                ("disk", b"QFI\xfb" + bytes(100), ("qcow2", "dump-guest-memory")),
                ("packed", b"\x1f\x8b" + bytes(100), ("gunzip",)),
                ("empty", b"", ("an empty file",)),
                ("old", b"DISKDUMP" + bytes(1000), ("diskdump",)),
                ("bad", b"KDUMP   " + bytes(10000), ("version 0",))):
            path = self.write(name, data)
            for command in (("info", "-f"), ("verify",), ("read", "0", "-f"), ("ps", "-f")):
                error = self.expect(cli.CORRUPT, *command, path).err
                for word in words:
                    self.assertIn(word, error)

    def test_the_live_kernel_is_no_image_to_verify(self):
        result = cli.run("verify", "/proc/kcore")
        self.assertEqual(cli.CORRUPT, result.status)
        self.assertIn("live kernel", result.err)

    def test_names_are_escaped(self):
        dump = self.write("\x1b]0;owned\x07", dumps.kdump(PAGES, part=(0, 33)))
        for command in (("info", "-f"), ("verify",)):
            result = cli.run(*command, dump)
            self.assertNotIn("\x1b", result.text + result.err)


if __name__ == "__main__":
    cli.main()
