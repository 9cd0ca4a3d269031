#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What kcoredump capture writes, and how it behaves as a command."""

import ctypes
import json
import mmap
import os
import re
import resource
import signal
import stat
import struct
import subprocess
import time
from pathlib import Path

import cli
import elf_core
from elf_core import PAGE

SEEKABLE_MAGIC = 0x8F92EAB1
SKIPPABLE = (0x184D2A5D, 0x184D2A5E)  # trailer, seek table
DEFAULT_NAME = re.compile(r"[\w.-]+-\d{8}T\d{6}Z\.elf\.zst")


def memory_of(image):
    """{physical address: bytes} of the RAM segments of an image."""
    return {s.phys: image[s.offset:s.offset + s.file_size]
            for s in elf_core.parse(image)
            if s.kind == elf_core.PT_LOAD and s.virt < elf_core.KERNEL_TEXT}


def seek_table(snapshot):
    """[(compressed, content, checksum)] of the seek table."""
    count, descriptor, magic = struct.unpack_from("<IBI", snapshot, len(snapshot) - 9)
    assert (descriptor, magic) == (0x80, SEEKABLE_MAGIC), "no seek table with checksums"
    start = len(snapshot) - 9 - 12 * count
    assert struct.unpack_from("<II", snapshot, start - 8) == (SKIPPABLE[1], 12 * count + 9)
    return [struct.unpack_from("<III", snapshot, start + 12 * i) for i in range(count)]


class Content(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core()
        self.core.write(self.path("core"))
        self.source = self.path("core").read_bytes()

    def test_unpacks_to_the_same_memory(self):
        image = cli.unpack(self.capture(self.path("core")))
        self.assertEqual(memory_of(self.source), memory_of(image))
        self.assertEqual({0x1000, 0x1000000}, set(memory_of(image)))

    def test_headers_are_those_that_other_tools_want(self):
        segments = elf_core.parse(cli.unpack(self.capture(self.path("core"))))
        kinds = [s.kind for s in segments]
        load = elf_core.PT_LOAD
        self.assertEqual([elf_core.PT_NOTE, load, load, load, elf_core.VENDOR_SEGMENT], kinds)
        loads = [s for s in segments if s.kind == load]
        self.assertEqual([0, 0, 0], [s.align for s in loads])
        self.assertEqual(elf_core.DIRECT_MAP + 0x1000, loads[0].virt)
        alias = loads[2]
        self.assertEqual(elf_core.KERNEL_TEXT, alias.virt)
        self.assertEqual(loads[1].offset + 4 * PAGE, alias.offset, "the same bytes as the RAM's")

    def test_notes_are_kept_and_ours_are_apart(self):
        self.core.notes += elf_core.note(b"OTHER", 9, b"kept")
        self.core.write(self.path("core"))
        image = cli.unpack(self.capture(self.path("core")))
        owners = [owner for owner, _, _ in elf_core.notes_of(image, elf_core.PT_NOTE)]
        self.assertEqual(["VMCOREINFO", "OTHER"], owners)
        vendor = elf_core.notes_of(image, elf_core.VENDOR_SEGMENT)
        self.assertEqual({"KCOREDUMP"}, {owner for owner, _, _ in vendor})
        meta = json.loads(next(data for _, kind, data in vendor if kind == 1))
        self.assertEqual("capture", meta["arguments"][1])

    def test_seek_table_lists_every_frame(self):
        snapshot = self.capture(self.path("core")).read_bytes()
        at = content = 0
        for compressed, size, checksum in seek_table(snapshot):
            self.assertEqual(b"\x28\xb5\x2f\xfd", snapshot[at:at + 4])
            at += compressed
            content += size
            self.assertEqual(struct.pack("<I", checksum), snapshot[at - 4:at])
        self.assertEqual(SKIPPABLE[0], struct.unpack_from("<I", snapshot, at)[0])
        self.assertEqual(content, len(cli.unpack(self.path("snapshot"))))

    def test_frame_sizes(self):
        for text, size in (("4KiB", 4096), ("4096", 4096), ("128k", 1 << 17), ("1MiB", 1 << 20)):
            path = self.capture(self.path("core"), f"frames-{text}", "--frame-size", text)
            largest = max(content for _, content, _ in seek_table(path.read_bytes()))
            self.assertEqual(min(size, 40 * PAGE), largest, text)
            self.assertEqual(memory_of(self.source), memory_of(cli.unpack(path)), text)

    def test_every_level_and_thread_count_gives_the_same_memory(self):
        for options in (("--level", "-7"), ("--level", "22"), ("--threads", 1), ("--threads", 9)):
            path = self.capture(self.path("core"), f"by{options[0]}{options[1]}", *options)
            self.assertEqual(memory_of(self.source), memory_of(cli.unpack(path)), options)

    def test_a_snapshot_can_be_captured_again(self):
        once = self.capture(self.path("core"), "once")
        twice = self.capture(once, "twice", "--level", 5)
        self.assertEqual(memory_of(self.source), memory_of(cli.unpack(twice)))

    def test_pipe_carries_data_only(self):
        piped = self.expect(cli.COMPLETE, "capture", "-f", self.path("core"), "-o", "-")
        self.assertEqual(b"\x28\xb5\x2f\xfd", piped.out[:4])
        self.assertEqual(SEEKABLE_MAGIC, struct.unpack("<I", piped.out[-4:])[0])
        self.path("piped").write_bytes(piped.out)
        self.assertEqual(memory_of(self.source), memory_of(cli.unpack(self.path("piped"))))
        self.expect(cli.COMPLETE, "verify", self.path("piped"))


class Incremental(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = self.path("core")
        elf_core.small_core().write(self.core)
        self.old = self.capture(self.core, "old.elf.zst")

    def test_what_is_the_same_is_left_out_and_a_conversion_brings_it_back(self):
        new = self.path("new.elf.zst")
        report = json.loads(self.expect(cli.COMPLETE, "capture", "-f", self.core, "-o", new, "--base", self.old,
                                        "--json").out)
        self.assertEqual("old.elf.zst", report["base"]["name"])
        self.assertGreater(report["base"]["referenced_frames"], 0)
        self.assertLess(new.stat().st_size, self.old.stat().st_size)
        info = json.loads(self.expect(cli.COMPLETE, "info", "-f", new, "--json").out)
        identity = json.loads(self.expect(cli.COMPLETE, "info", "-f", self.old, "--json").out)["identity"]
        self.assertEqual({"path": str(self.old), "identity": identity, "all": [str(self.old)],
                          "referenced_frames": report["base"]["referenced_frames"]}, info["base"])
        self.assertEqual(str(self.old), json.loads(self.expect(cli.COMPLETE, "verify", new, "--json").out)["base"])
        folded = self.path("folded.elf.zst")
        self.expect(cli.COMPLETE, "convert", new, folded)
        self.old.unlink()
        self.assertEqual(memory_of(self.core.read_bytes()), memory_of(cli.unpack(folded)))

    def test_a_missing_base_is_named_by_every_command(self):
        new = self.capture(self.core, "new.elf.zst", "--base", self.old)
        self.old.unlink()
        for arguments in (("verify", new), ("read", "-f", new, "--phys", "0x1000", "16"),
                          ("convert", new, self.path("out.elf.zst"))):
            refused = self.expect(cli.IO, *arguments)
            self.assertIn(f"needs its base beside it: {self.old}", refused.err, arguments)
        # It still says what it is of, and which base it wants.
        info = json.loads(self.expect(cli.CORRUPT, "info", "-f", new, "--json").out)
        self.assertEqual([], info["base"]["all"])
        self.assertRegex(info["base"]["identity"], "^[0-9a-f]{64}$")
        self.assertIn("needs its base beside it", info["damage"][0])

    def test_a_folded_one_says_when_it_was_memory(self):
        new = self.capture(self.core, "new.elf.zst", "--base", self.old)
        folded = self.path("folded.elf.zst")
        self.expect(cli.COMPLETE, "convert", new, folded)
        rows = [self.expect(cli.COMPLETE, "info", "-f", each).out.decode() for each in (new, folded)]
        captured = [re.search(r"^captured +(\S+)", text, re.M)[1] for text in rows]
        self.assertEqual(*captured)
        self.assertIn("\nconverted ", rows[1])
        self.assertNotIn("\nconverted ", rows[0])

    def test_an_unpacked_one_is_known_for_what_it_is(self):
        new = self.capture(self.core, "new.elf.zst", "--base", self.old)
        self.path("plain").write_bytes(cli.unpack(new))
        self.assertIn("an incremental snapshot that zstd unpacked",
                      self.expect(cli.CORRUPT, "info", "-f", self.path("plain")).err)

    def test_plain_zstd_gives_a_text_and_no_core(self):
        new = self.capture(self.core, "new.elf.zst", "--base", self.old)
        self.assertTrue(cli.unpack(new).startswith(b"This is an incremental snapshot of kcoredump"))


class OutputFile(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))

    def test_only_the_owner_may_read_it_and_nothing_is_left_behind(self):
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        path = self.capture(self.core)
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.assertEqual(["core", "snapshot"], self.names())

    def test_default_name(self):
        self.expect(cli.COMPLETE, "capture", "-f", "core", cwd=self.folder)
        self.assertTrue([n for n in self.names() if DEFAULT_NAME.fullmatch(n)], self.names())

    def test_an_existing_output_is_refused_and_untouched(self):
        self.path("taken").write_text("precious")
        result = self.expect(cli.IO, "capture", "-f", self.core, "-o", self.path("taken"))
        self.assertIn("--force", result.err)
        self.assertEqual("precious", self.path("taken").read_text())
        self.assertEqual(["core", "taken"], self.names())

    def test_force_replaces(self):
        self.path("taken").write_text("old")
        self.path("taken").chmod(0o644)
        self.capture(self.core, "taken", "--force")
        self.expect(cli.COMPLETE, "verify", self.path("taken"))
        self.assertEqual(0o600, stat.S_IMODE(self.path("taken").stat().st_mode))

    def test_a_symbolic_link_is_not_followed(self):
        self.path("victim").write_text("precious")
        self.path("link").symlink_to("victim")
        self.expect(cli.IO, "capture", "-f", self.core, "-o", self.path("link"))
        self.assertTrue(self.path("link").is_symlink())
        self.capture(self.core, "link", "--force")
        self.assertEqual("precious", self.path("victim").read_text())
        self.assertFalse(self.path("link").is_symlink())

    def test_a_dangling_symbolic_link_creates_nothing(self):
        self.path("link").symlink_to("elsewhere")
        self.expect(cli.IO, "capture", "-f", self.core, "-o", self.path("link"))
        self.assertEqual(["core", "link"], self.names())

    def test_missing_folder(self):
        result = self.expect(cli.IO, "capture", "-f", self.core, "-o", self.path("no/where"))
        self.assertIn("No such file or directory", result.err)

    def test_a_folder_is_no_output(self):
        self.path("folder").mkdir()
        for force in ((), ("--force",)):
            self.expect(cli.IO, "capture", "-f", self.core, "-o", self.path("folder"), *force)
        self.expect(cli.USAGE, "capture", "-f", self.core, "-o", f"{self.path('folder')}/")
        self.assertEqual([], os.listdir(self.path("folder")))

    def test_too_few_descriptors_are_named_and_leave_no_output(self):
        """Enough to open source and output, but none for a thread to read with."""
        if b"__ubsan_" in Path(cli.program).read_bytes():
            self.skipTest("UBSan wants descriptors of its own")

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))

        result = self.expect(cli.IO, "capture", "-f", self.core, "-o", self.path("snapshot"),
                             preexec_fn=limit)
        self.assertIn("Too many open files", result.err)
        self.assertEqual(["core"], self.names())

    def test_a_missing_source_leaves_no_output(self):
        self.expect(cli.IO, "capture", "-f", self.path("missing"), "-o", self.path("snapshot"))
        self.assertEqual(["core"], self.names())

    def test_closed_standard_streams_do_not_end_up_in_the_file(self):
        """The output file must not be given descriptor 1 or 2 and then be printed to."""
        elf_core.Core(content=os.urandom(PAGE), sparse_size=1 << 28,
                      loads=[elf_core.Load(0, 0, 1 << 28)]).write(self.path("core"))
        script = 'exec "$@" --json --progress json <&- >&- 2>&-'
        words = ["capture", "-f", self.core, "-o", self.path("snapshot")]
        process = subprocess.Popen(["sh", "-c", script, "sh", cli.program, *words])
        self.assertFalse(self.standard_descriptors_hold_the_output(process))
        process.wait(cli.TIMEOUT_S)
        self.expect(cli.COMPLETE, "verify", self.path("snapshot"))

    def standard_descriptors_hold_the_output(self, process):
        """Looks at the running program until it ends."""
        found = False
        while process.poll() is None:
            for fd in (0, 1, 2):
                try:
                    found |= ".tmp" in os.readlink(f"/proc/{process.pid}/fd/{fd}")
                except OSError:
                    pass  # not open, or the program just ended
        return found


class Terminal(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))

    def test_a_snapshot_is_not_for_a_terminal(self):
        result = cli.run_on_terminal("capture", "-f", self.core, "-o", "-", stdout="terminal")
        self.assertEqual(cli.USAGE, result.status)
        self.assertIn("terminal", result.err)

    def test_json_and_a_pipe_cannot_share_standard_output(self):
        result = self.expect(cli.USAGE, "capture", "-f", self.core, "-o", "-", "--json")
        self.assertEqual(b"", result.out)

    def words(self, core):
        core.write(self.path("core"))
        return ["capture", "-f", self.core, "-o", self.path("snapshot"), "--threads", 1]

    def slow(self):
        return [*self.words(elf_core.slow_core()), "--level", 19]

    def quick(self):
        """Zeros, but enough of them for more than one look at the progress."""
        return self.words(elf_core.Core(sparse_size=4 << 30, loads=[elf_core.Load(0, 0, 4 << 30)]))

    def test_bar_on_a_terminal(self):
        result = cli.run_on_terminal(*self.slow(), interrupt_at=" left")
        self.assertEqual(cli.PARTIAL, result.status, result.err)
        self.assertRegex(result.err, r"\r\x1b\[K +\d+ % \[#*\.+\] [\d.]+ \wiB of 2\.0 GiB, "
                                     r"[\d.]+ \wiB/s, [\d:.s ]+ left, 0 holes")

    def test_bar_fits_a_narrow_terminal(self):
        result = cli.run_on_terminal(*self.slow(), columns=30, interrupt_at="%")
        painted = re.findall(r"\r\x1b\[K([^\r\n]*)", result.err)
        bars = [line for line in painted if "%" in line]
        self.assertTrue(bars, result.err)
        self.assertLess(max(map(len, bars)), 30, bars)

    def test_no_bar_without_a_terminal_or_when_not_wanted(self):
        result = self.expect(cli.COMPLETE, *self.quick())
        self.assertNotIn("%", result.err)
        quiet = cli.run_on_terminal(*self.quick(), "--force", "--progress", "none")
        self.assertEqual(cli.COMPLETE, quiet.status)
        self.assertNotIn("%", quiet.err)

    def test_bar_on_demand(self):
        result = self.expect(cli.COMPLETE, *self.quick(), "--progress", "bar")
        self.assertIn("%", result.err)

    def test_progress_lines_are_json(self):
        result = self.expect(cli.COMPLETE, *self.quick(), "--progress", "json")
        self.assertEqual(b"", result.out)
        lines = [json.loads(line) for line in result.err.splitlines()]
        events = [line for line in lines if "message" not in line]
        self.assertEqual("the capture is complete", lines[-1]["message"])
        self.assertEqual("preparing", events[0]["phase"])
        self.assertEqual("finishing", events[-1]["phase"])
        self.assertIn("reading", {event["phase"] for event in events})
        self.assertEqual(events[-1]["done_bytes"], events[-1]["total_bytes"])
        keys = {"phase", "done_bytes", "total_bytes", "compressed_bytes", "hole_pages", "seconds"}
        for event in events:
            self.assertLessEqual(keys, set(event))
        done = [event["done_bytes"] for event in events]
        self.assertEqual(sorted(done), done)


class Signals(cli.TestCase):
    def start(self, *ignored):
        """A slow capture, caught while it reads."""
        def ignore():
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)

        core = elf_core.slow_core().write(self.path("core"))
        process = cli.start("capture", "-f", core, "-o", self.path("snapshot"), "--threads", 1,
                            "--level", 19, "--progress", "json", preexec_fn=ignore)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        while b'"reading"' not in process.stderr.readline():
            self.assertIsNone(process.poll())
        return process

    def test_a_signal_leaves_what_was_read(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.start()
            process.send_signal(number)
            process.communicate(timeout=cli.TIMEOUT_S)
            self.assertEqual(cli.PARTIAL, process.returncode, number)

    def test_nohup_is_honoured(self):
        process = self.start(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        for _ in range(3):  # it goes on
            self.assertIn(b'"reading"', process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual(cli.PARTIAL, process.returncode)


class Report(cli.TestCase):
    TYPES = {
        "status": str, "exit_status": int, "source": str, "output": str, "plain_bytes": int,
        "expected_bytes": int, "compressed_bytes": int, "seconds": float, "page_bytes": int,
        "pages": dict, "excluded": dict, "holes": list, "iomem": dict, "kallsyms": str, "lockdown": str,
        "layout_moves": int, "around_page_cache": bool, "threads": int, "level": int,
        "frame_size": int, "order": str, "early_bytes": int, "smear": type(None), "footprint": dict,
        "warnings": list,
    }
    COUNTS = {"total", "read", "direct", "retried", "bounced", "unreadable", "hwpoison",
              "offline", "absent", "not_reached", "excluded", "zero"}

    def report(self, core, status):
        result = self.expect(status, "capture", "-f", core, "-o", self.path("snapshot"), "--json")
        return json.loads(result.out)

    def test_fields(self):
        core = elf_core.small_core().write(self.path("core"))
        report = self.report(core, cli.COMPLETE)
        for name, kind in self.TYPES.items():
            self.assertIs(kind, type(report[name]), name)
        self.assertEqual(self.COUNTS, set(report["pages"]))
        self.assertEqual({int}, {type(count) for count in report["pages"].values()})
        self.assertIsNone(report["reason"])
        self.assertEqual(("complete", 0), (report["status"], report["exit_status"]))
        self.assertEqual((64, 64, 21), tuple(report["pages"][k] for k in ("total", "read", "zero")))
        self.assertEqual(self.path("snapshot").stat().st_size, report["compressed_bytes"])
        self.assertEqual(len(cli.unpack(self.path("snapshot"))), report["plain_bytes"])

    def test_holes_have_hexadecimal_addresses(self):
        core = elf_core.small_core().write(self.path("core"))
        os.truncate(core, core.stat().st_size - 10 * PAGE)
        report = self.report(core, cli.HOLES)
        self.assertEqual("complete-with-holes", report["status"])
        expected = {"physical": "0x000000000100e000", "pages": 10, "kind": "unreadable",
                    "errno": "ENODATA"}
        self.assertEqual([expected], report["holes"])
        self.assertEqual(10, report["pages"]["unreadable"])
        self.assertEqual(54, report["pages"]["read"])

    def test_what_the_source_excluded_is_no_failure(self):
        core = elf_core.small_core()
        core.loads[0].file_size = 30 * PAGE
        report = self.report(core.write(self.path("core")), cli.COMPLETE)
        self.assertEqual(("complete", []), (report["status"], report["holes"]))
        self.assertEqual((10, 54), (report["pages"]["excluded"], report["pages"]["read"]))


class Honesty(cli.TestCase):
    """What a capture takes of the machine, and what it says of that. Order and smear of real kernels: tests/vm."""

    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))

    def large_core(self, mebibytes):
        content = os.urandom(1 << 20)
        loads = [elf_core.Load(i << 20, 0, 1 << 20) for i in range(1, mebibytes + 1)]
        return elf_core.Core(content=content, loads=loads).write(self.path("large"))

    def test_a_dump_has_neither_order_nor_smear(self):
        for words in (("--order", "volatile"), ("--smear", "100")):
            result = self.expect(cli.USAGE, "capture", "-f", self.core, "-o", self.path("snapshot"), *words)
            self.assertIn(f"{words[0]}", result.err)
            self.assertIn("for a live kernel: a dump does not change", result.err)
            self.assertEqual(["core"], self.names())
        plain = self.expect(cli.COMPLETE, "capture", "-f", self.core, "-o", self.path("snapshot"), "--order", "physical", "--json")
        report = json.loads(plain.out)
        self.assertEqual(("physical", 0, None), (report["order"], report["early_bytes"], report["smear"]))

    def test_numbers_that_make_no_sense_are_refused(self):
        for words in (("--order", "random"), ("--smear", "0"), ("--smear", "100001"), ("--max-rate", "0"),
                      ("--max-rate", "fast")):
            result = self.expect(cli.USAGE, "capture", "-f", self.core, "-o", self.path("snapshot"), *words)
            self.assertIn(words[0], result.err)
        self.assertEqual(["core"], self.names())

    def test_a_rate_is_held(self):
        core = self.large_core(6)
        fast = self.capture(core)
        started = time.monotonic()
        self.expect(cli.COMPLETE, "capture", "-f", core, "-o", self.path("slow"), "--max-rate", "4MiB", "--json")
        seconds = time.monotonic() - started
        # Six batches of 1 MiB at a quarter of a second each; the first begins at once.
        self.assertGreaterEqual(seconds, 1.25)
        self.assertLess(seconds, 20)
        self.assertEqual(memory_of(cli.unpack(fast)), memory_of(cli.unpack(self.path("slow"))))

    def test_an_interrupt_ends_the_wait_for_a_slow_rate(self):
        process = cli.start("convert", self.large_core(6), self.path("slow.elf"), "--max-rate", "1KiB", "--progress", "json")
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        while b'"reading"' not in process.stderr.readline():
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual(cli.PARTIAL, process.returncode)

    def test_idle_is_for_every_thread(self):
        process = cli.start("capture", "-f", self.large_core(6), "-o", self.path("snapshot"), "--idle", "--threads", 2,
                            "--max-rate", "1KiB", "--progress", "json")
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        while b'"reading"' not in process.stderr.readline():
            self.assertIsNone(process.poll())
        threads = [int(name) for name in os.listdir(f"/proc/{process.pid}/task")]
        self.assertGreaterEqual(len(threads), 3)
        for thread in threads:
            self.assertEqual(os.SCHED_IDLE, os.sched_getscheduler(thread))
            self.assertEqual(3, io_class(thread), "IOPRIO_CLASS_IDLE")
        process.kill()
        process.communicate()

    def test_footprint_is_what_the_kernel_counts(self):
        process = cli.start("capture", "-f", self.large_core(64), "-o", self.path("snapshot"), "--json", "--level", 9)
        out = process.stdout.read()
        process.stdout.close()
        process.stderr.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said = json.loads(out)["footprint"]
        cpu_seconds = used.ru_utime + used.ru_stime
        self.assertGreater(said["cpu_seconds"], cpu_seconds / 2)
        self.assertLessEqual(said["cpu_seconds"], cpu_seconds + 0.01)
        self.assertEqual(used.ru_maxrss * 1024, said["peak_rss_bytes"])
        self.assertGreater(said["dirtied_pages"], 1000)
        self.assertLessEqual(said["dirtied_pages"], max(used.ru_minflt, used.ru_maxrss // 4))
        self.assertEqual(cached_bytes(self.path("snapshot")), said["page_cache_bytes"])

    def test_footprint_is_said(self):
        said = self.expect(cli.COMPLETE, "capture", "-f", self.core, "-o", self.path("snapshot")).err
        self.assertRegex(said, r"footprint: .+ of CPU time, [\d,]+ pages of memory taken, .+ left in the page cache\n")


def io_class(thread):
    """ioprio_get(2), for which glibc has no function."""
    numbers = {"x86_64": 252, "aarch64": 31}
    return ctypes.CDLL(None).syscall(numbers[os.uname().machine], 1, thread) >> 13


def cached_bytes(path):
    """mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    size = path.stat().st_size
    resident = (ctypes.c_ubyte * (size // mmap.PAGESIZE + 1))()
    with open(path, "rb") as file:
        at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        assert libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(size), resident) == 0
        libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))
    return sum(page & 1 for page in resident) * mmap.PAGESIZE


class Filters(cli.TestCase):
    """--exclude, -d and --only on a dump; what real kernels use their pages for the VM tests know."""

    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))

    def report(self, *words):
        result = self.expect(cli.COMPLETE, "capture", "-f", self.core, "-o", self.path("snapshot"), "--force", "--json", *words)
        return json.loads(result.out), result.err

    def test_zeros_are_excluded_and_still_zero(self):
        for words in (("--exclude", "zero"), ("-d", "1")):
            report, _ = self.report(*words)
            self.assertEqual((43, 21, 0), tuple(report["pages"][k] for k in ("read", "excluded", "zero")))
            self.assertEqual(21, report["excluded"]["zero"])
            self.expect(cli.COMPLETE, "verify", self.path("snapshot"))
            plain = self.expect(cli.COMPLETE, "capture", "-f", self.core, "-o", self.path("all"), "--force")
            self.assertIn("64 pages read", plain.err)
            self.assertEqual(cli.unpack(self.path("all"))[-64 * 4096:], cli.unpack(self.path("snapshot"))[-64 * 4096:])

    def test_classes_that_cannot_be_told_are_kept(self):
        report, said = self.report("-d", "31")
        self.assertEqual((43, 21), tuple(report["pages"][k] for k in ("read", "excluded")))
        self.assertIn("no page was left out for its use", said)
        self.assertEqual(1, sum("no page was left out" in text for text in report["warnings"]))

    def test_a_range_alone(self):
        first = elf_core.small_core().loads[0].phys
        report, _ = self.report("--only", f"range:{first:#x}-{first + 3 * 4096:#x}")
        self.assertEqual((3, 61), (report["pages"]["read"], report["pages"]["excluded"]))
        self.assertEqual(61, report["excluded"]["not_wanted"])
        outside = self.expect(cli.HOLES, "read", "--phys", "--raw", hex(first + 3 * 4096), "16", "-f", self.path("snapshot"))
        self.assertIn("excluded when it was dumped (not-wanted)", outside.err)

    def test_a_process_without_a_kernel(self):
        self.expect(cli.USAGE, "capture", "-f", self.core, "-o", self.path("snapshot"), "--only", "range:0x1")
        result = cli.run("capture", "-f", self.core, "-o", self.path("snapshot"), "--only", "pid:1")
        self.assertNotEqual(cli.COMPLETE, result.status)
        self.assertNotIn("snapshot", self.names())


if __name__ == "__main__":
    cli.main()
