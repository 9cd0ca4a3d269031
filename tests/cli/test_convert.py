#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump convert, and capture --format: every format into every other, page for page."""

import base64
import json
import random
import subprocess

import cli
import elf_core
from elf_core import PAGE, Core, Load

FORMATS = {"snapshot": ".elf.zst", "elf": ".elf", "kdump": ".kdump", "flattened": ".flat", "lime": ".lime",
           "avml": ".avml", "raw": ".raw"}
CODECS = ("zstd", "zlib", "lzo", "snappy", "none")
WITH_NOTES = ("snapshot", "elf", "kdump", "flattened")
LOW, HIGH = (0x1000, 40), (0x1000000, 24)


class ConvertCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))
        self.content = elf_core.mixed_bytes(64)

    def convert(self, source, name, *words, status=cli.COMPLETE):
        result = self.expect(status, "convert", source, self.path(name), *words)
        return self.path(name), result

    def phys(self, image, address, pages, status=cli.COMPLETE):
        return self.expect(status, "read", "--phys", "--raw", hex(address), pages * PAGE, "-f", image).out

    def check_pages(self, image):
        self.assertEqual(self.content[:40 * PAGE], self.phys(image, *LOW), image)
        self.assertEqual(self.content[40 * PAGE:], self.phys(image, *HIGH), image)

    def check_memory(self, image):
        self.check_pages(image)
        for hole in (0, 0x29000, 0xfff000, 0x1018000):
            self.phys(image, hole, 1, status=cli.HOLES)


class EveryFormat(ConvertCase):
    def test_holds_the_same_memory_and_is_known_by_its_name(self):
        for name, suffix in FORMATS.items():
            image, _ = self.convert(self.core, "image" + suffix)
            self.check_memory(image)
            info = json.loads(self.expect(cli.COMPLETE, "info", "-f", image, "--json").out)
            self.assertEqual(64, info["pages"]["total"], info)
            self.assertEqual("flattened kdump" if name == "flattened" else name, info["format"])
            self.expect(cli.COMPLETE, "verify", image)

    def test_any_to_any(self):
        firsts = {name: self.convert(self.core, "first" + suffix)[0] for name, suffix in FORMATS.items()}
        for name, first in firsts.items():
            for other, suffix in FORMATS.items():
                second, _ = self.convert(first, f"{name}-to{suffix}")
                self.check_pages(second)

    def test_keeps_vmcoreinfo_where_it_can(self):
        for name in WITH_NOTES:
            image, _ = self.convert(self.core, "image" + FORMATS[name], "--force")
            info = json.loads(self.expect(cli.COMPLETE, "info", "-f", image, "--json").out)
            self.assertEqual("6.1.0-test", info["kernel"]["release"], name)
            self.assertEqual("0x000000001e000000", info["kaslr_offset"], name)

    def test_capture_writes_each_of_them_too(self):
        for name, suffix in FORMATS.items():
            self.expect(cli.COMPLETE, "capture", "-f", self.core, "-o", self.path("captured" + suffix),
                        "--format", name)
            self.check_memory(self.path("captured" + suffix))

    def test_every_codec_of_kdump(self):
        sizes = {}
        for codec in CODECS:
            for suffix in (".kdump", ".flat"):
                image, _ = self.convert(self.core, f"image-{codec}{suffix}", "--codec", codec)
                self.check_memory(image)
            sizes[codec] = image.stat().st_size
        self.assertLess(max(sizes[codec] for codec in CODECS[:-1]), sizes["none"])


class Holes(ConvertCase):
    """Pages that the source does not have: 2 of every 4."""

    def setUp(self):
        super().setUp()
        core = Core(content=elf_core.mixed_bytes(8), loads=[
            Load(i * 64 * PAGE, i * 2 * PAGE, 4 * PAGE, file_size=2 * PAGE) for i in range(4)])
        self.holed = core.write(self.path("holed"))

    def test_are_errors_in_every_format(self):
        for suffix in FORMATS.values():
            image, result = self.convert(self.holed, "image" + suffix)
            for i in range(4):
                self.assertEqual(elf_core.mixed_bytes(8)[2 * i * PAGE:2 * (i + 1) * PAGE],
                                 self.phys(image, i * 64 * PAGE, 2))
                if suffix != ".elf":  # whose image has a place for every byte
                    self.assertEqual(b"", self.phys(image, (i * 64 + 2) * PAGE, 1, status=cli.HOLES), suffix)
            if suffix != ".elf.zst":
                self.assertIn("cannot hold", result.err)

    def test_are_in_the_sidecar(self):
        image, _ = self.convert(self.holed, "image.kdump", "--json")
        sidecar = json.loads(self.path("image.kdump.json").read_text())
        self.assertEqual(("kdump", image.name), (sidecar["format"], sidecar["image"]))
        self.assertEqual([(f"{(i * 64 + 2) * PAGE:#018x}", 2, "excluded") for i in range(4)],
                         [(run["physical"], run["pages"], run["kind"]) for run in sidecar["outcomes"]])
        notes = {(note["owner"], note["name"]): base64.b64decode(note["base64"]) for note in sidecar["notes"]}
        self.assertIn(b"OSRELEASE=6.1.0-test", notes[("VMCOREINFO", "VMCOREINFO")])
        self.assertEqual("kcoredump", json.loads(notes[("KCOREDUMP", "meta")])["tool"])


class Pipes(ConvertCase):
    def test_formats_that_stream(self):
        for name in ("snapshot", "elf", "flattened", "lime", "avml"):
            out = self.expect(cli.COMPLETE, "convert", self.core, "-", "--to", name).out
            self.path("piped").write_bytes(out)
            self.check_memory(self.path("piped"))

    def test_kdump_wants_a_file(self):
        result = self.expect(cli.USAGE, "convert", self.core, "-", "--to", "kdump")
        self.assertIn("pipe", result.err)


class Command(ConvertCase):
    def test_a_name_that_tells_no_format(self):
        result = self.expect(cli.USAGE, "convert", self.core, self.path("image"))
        self.assertIn("--to", result.err)
        self.assertEqual(["core"], self.names())

    def test_an_existing_file_is_not_replaced(self):
        self.path("image.kdump").write_bytes(b"old")
        self.expect(cli.IO, "convert", self.core, self.path("image.kdump"))
        self.assertEqual(b"old", self.path("image.kdump").read_bytes())
        self.expect(cli.COMPLETE, "convert", self.core, self.path("image.kdump"), "--force")

    def test_a_codec_where_there_is_no_choice(self):
        self.assertIn("codec", self.expect(cli.USAGE, "convert", self.core, self.path("x.lime"), "--codec", "lzo").err)

    def test_the_report(self):
        _, result = self.convert(self.core, "image.lime", "--json", "--progress", "none")
        report = json.loads(result.out)
        self.assertEqual(("complete", "lime", str(self.path("image.lime.json"))),
                         (report["status"], report["format"], report["sidecar"]))
        self.assertIn("the conversion is complete", result.err)

    def test_an_elf_is_sparse(self):
        core = Core(loads=[Load(0, 0, 64 << 20)], sparse_size=64 << 20).write(self.path("zeros"))
        image, _ = self.convert(core, "zeros.elf")
        self.assertLess(image.stat().st_blocks * 512, 4 << 20)
        self.assertGreater(image.stat().st_size, 64 << 20)

    def test_what_does_not_fit_the_disk_is_partial_and_honest(self):
        content = random.Random(3).randbytes(8 << 20)
        core = Core(content=content, loads=[Load(0, 0, len(content))]).write(self.path("large"))
        for suffix in FORMATS.values():
            if suffix == ".flat":
                continue  # its records cannot be taken back
            # A limit on the size of files stands for a full disk.
            done = subprocess.run(["bash", "-c", 'ulimit -f 4096; exec "$@"', "bash", cli.program, "convert",
                                   core, self.path("full" + suffix)], capture_output=True, check=False, timeout=60)
            text = done.stderr.decode()
            self.assertEqual(cli.PARTIAL, done.returncode, f"{suffix}: {text}")
            partial = self.path(f"full{suffix}.partial")
            # Up to some page everything is there; from it on nothing is, and nothing reads as zeros.
            have = [self.page_of(partial, page) for page in range(0, 2048, 128)]
            count = have.index(b"")
            self.assertGreater(count, 0, suffix)
            self.assertEqual([content[page * PAGE:(page + 1) * PAGE] for page in range(0, 128 * count, 128)],
                             have[:count], suffix)
            self.assertEqual({b""}, set(have[count:]), suffix)

    def page_of(self, image, page):
        return cli.run("read", "--phys", "--raw", hex(page * PAGE), PAGE, "-f", image).out


if __name__ == "__main__":
    cli.main()
