#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every exit status of the README, and what is left behind when a capture does not end well."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time

import cli
import elf_core
from elf_core import PAGE, Core, Load

COMMANDS = ("capture", "info", "verify", "read")
SLOW = ("--level", "19", "--threads", "1")


class Help(cli.TestCase):
    def test_lists_every_exit_status(self):
        for words in ((), *((command,) for command in COMMANDS)):
            text = self.expect(cli.COMPLETE, *words, "--help").text
            listed = re.search(r"Exit status:(.*)", text, re.DOTALL).group(1)
            for status in (0, 2, 3, 4, 5, 6, 7):
                self.assertRegex(listed, rf"\s{status} [a-zA-Z]", words)

    def test_names_every_command(self):
        text = self.expect(cli.COMPLETE, "--help").text
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command} ")

    def test_version(self):
        text = self.expect(cli.COMPLETE, "--version").text
        self.assertRegex(text, r"^kcoredump \d+\.\d+\.\d+\n$")


class Usage(cli.TestCase):
    def test_unknown_or_missing_words(self):
        for words in ((), ("--no-such",), ("no-such",), ("capture", "--no-such"), ("verify",),
                      ("capture", "extra"), ("info", "--json=maybe"), ("read",),
                      ("capture", "info")):
            result = self.expect(cli.USAGE, *words)
            self.assertEqual(b"", result.out)
            self.assertNotEqual("", result.err)

    def test_bad_values(self):
        for option, values in {
            "--level": ("23", "-8", "fast", "1.5", ""),
            "--threads": ("-1", "1025", "many"),
            "--retries": ("-1", "1001", "x"),
            "--stall-timeout": ("0", "-1", "nan", "soon"),
            "--frame-size": ("0", "2048", "3000", "2MiB", "5GiB", "-4096", "16 EiB", "much"),
            "--progress": ("loud", "", "BAR"),
            "--exclude": ("chache", "free,,x", "31"),
            "--dump-level": ("32", "-1", "all"),
            "--only": ("user", "pid:x", "pid:99999999999", "range:5", "range:9-3", "range:0x1000-"),
        }.items():
            for value in values:
                words = ("-f", self.path("core"), "-o", self.path("snapshot"))
                self.expect(cli.USAGE, "capture", *words, f"{option}={value}")
        self.assertEqual([], self.names())

    def test_control_characters_of_arguments_do_not_reach_the_terminal(self):
        for words in (("capture", "\x1b[31mred"), ("\x1b]0;title\x07",), ("--\x1b[31m",),
                      ("capture", "--level", "\x1b[31m")):
            self.assertNotIn("\x1b", self.expect(cli.USAGE, *words).err, words)


class Refused(cli.TestCase):
    def without_privileges(self):
        """Options of subprocess that drop root; a copy of the program that nobody can run."""
        if os.geteuid() != 0:
            return {}
        self.folder.chmod(0o777)
        self.copy = shutil.copy(cli.program, self.path("kcoredump"))
        self.addCleanup(setattr, cli, "program", cli.program)
        cli.program = self.copy
        return {"user": 65534, "group": 65534, "extra_groups": []}

    def test_the_live_kernel_without_privileges(self):
        options = self.without_privileges()
        for words in (("capture", "-o", self.path("snapshot")), ("info",), ("read", "0x1000")):
            result = self.expect(cli.REFUSED, *words, **options)
            self.assertIn("/proc/kcore", result.err)
            self.assertRegex(result.err, r"CAP_SYS_RAWIO|no /proc/kcore|not mounted|lockdown")
        self.assertFalse(self.path("snapshot").exists())


class Corrupt(cli.TestCase):
    def test_files_that_are_no_image(self):
        for name, content in {
            "empty": b"", "text": b"hello", "half-elf": b"\x7fELF\x02\x01\x01",
            "gzip": b"\x1f\x8b" + bytes(100), "kdump": b"KDUMP   " + bytes(9000),
            "zstd": b"\x28\xb5\x2f\xfd" + bytes(60),
        }.items():
            self.path(name).write_bytes(content)
            for words in (("info", "-f"), ("capture", "-o", self.path("out"), "-f"), ("verify",),
                          ("read", "--phys", "0", "-f")):
                result = self.expect(cli.CORRUPT, *words, self.path(name))
                self.assertIn(name, result.err, "the message names the file")
        self.assertFalse(self.path("out").exists())

    def test_headers_that_contradict_themselves(self):
        forgeries = {
            "overlap": [Load(0, 0, 2 * PAGE), Load(PAGE, 0, 2 * PAGE)],
            "overflow": [Load(0xFFFFFFFFFFFFF000, 0, 2 * PAGE, virt=0)],
            "too-much-file": [Load(0, 0, PAGE, file_size=2 * PAGE)],
        }
        for name, loads in forgeries.items():
            Core(content=bytes(4 * PAGE), loads=loads).write(self.path(name))
            self.expect(cli.CORRUPT, "info", "-f", self.path(name))
            words = ("-f", self.path(name), "-o", self.path("out"))
            self.expect(cli.CORRUPT, "capture", *words)
        self.assertFalse(self.path("out").exists())

    def test_a_folder_or_a_device_is_no_image(self):
        for path in (self.folder, "/dev/null"):
            self.expect(cli.CORRUPT, "info", "-f", path)


class Holes(cli.TestCase):
    def test_a_truncated_core(self):
        core = elf_core.small_core().write(self.path("core"))
        os.truncate(core, core.stat().st_size - 3 * PAGE)
        words = ("-f", core, "-o", self.path("snapshot"), "--json")
        report = json.loads(self.expect(cli.HOLES, "capture", *words).out)
        self.assertEqual((3, 61), (report["pages"]["unreadable"], report["pages"]["read"]))
        self.assertEqual([(3, "unreadable")], [(h["pages"], h["kind"]) for h in report["holes"]])
        self.expect(cli.HOLES, "verify", self.path("snapshot"))
        self.expect(cli.HOLES, "info", "-f", self.path("snapshot"))


class Interrupted(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.slow_core().write(self.path("core"))

    def start(self, *words):
        """A slow capture that has read something by now."""
        words = ("capture", "-f", self.core, *SLOW, "--progress", "json", *words)
        process = cli.start(*words)
        self.addCleanup(process.kill)
        for line in iter(process.stderr.readline, b""):
            if line.startswith(b"{") and json.loads(line)["done_bytes"] > 1 << 20:
                return process
        self.fail(f"the capture ended on its own: {process.wait()}")

    def finish(self, process):
        out, err = process.communicate(timeout=cli.TIMEOUT_S)
        return out, err.decode()

    def check_partial(self, name):
        """A valid snapshot of what was read, and nothing else but the core beside it."""
        self.expect(cli.PARTIAL, "verify", self.path(name))
        text = self.expect(cli.PARTIAL, "info", "-f", self.path(name)).text
        self.assertIn("not reached", text)
        self.assertRegex(text, r"complete +NO: interrupted")
        first = self.expect(cli.COMPLETE, "read", "--phys", "--raw", 0, PAGE, "-f", self.path(name))
        with open(self.core, "rb") as core:
            content = core.read()
        self.assertIn(first.out, content)
        late = self.expect(cli.PARTIAL, "read", "--phys", 2047 << 20, 16, "-f", self.path(name))
        self.assertIn("ended before", late.err)

    def test_signals_leave_a_valid_partial(self):
        for count, number in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), start=1):
            name = "snapshot.partial" + ("" if count == 1 else f".{count}")
            process = self.start("-o", self.path("snapshot"))
            process.send_signal(number)
            _, err = self.finish(process)
            self.assertEqual(cli.PARTIAL, process.returncode, err)
            self.assertRegex(err, re.escape(name) + r'["\n]')
            self.assertRegex(err, "(?i)partial")
            self.check_partial(name)
        self.assertEqual(["core", "snapshot.partial", "snapshot.partial.2", "snapshot.partial.3"],
                         self.names())

    def test_json_report_of_a_partial(self):
        process = self.start("-o", self.path("snapshot"), "--json")
        process.send_signal(signal.SIGINT)
        report = json.loads(self.finish(process)[0])
        self.assertEqual(("partial", 5, "interrupted"),
                         tuple(report[key] for key in ("status", "exit_status", "reason")))
        self.assertEqual(str(self.path("snapshot.partial")), report["output"])
        self.assertLess(report["plain_bytes"], report["expected_bytes"])
        pages = report["pages"]
        self.assertEqual(pages["total"], pages["read"] + pages["not_reached"])

    def test_a_pipe_gets_a_valid_end_too(self):
        with open(self.path("piped"), "wb") as piped:
            words = ("capture", "-f", self.core, *SLOW, "-o", "-")
            process = cli.start(*words, stdout=piped)
            while os.fstat(piped.fileno()).st_size < 1 << 19:
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual(cli.PARTIAL, process.returncode)
        self.check_partial("piped")

    def test_the_same_signal_twice_in_a_row(self):
        """coreutils' timeout signals its child, and at once its child's whole process group."""
        process = self.start("-o", self.path("snapshot"))
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.03)
        _, err = self.finish(process)
        self.assertEqual(cli.PARTIAL, process.returncode, err)
        self.assertEqual(["core", "snapshot.partial"], self.names())

    def test_verify_can_be_interrupted(self):
        """A signal that comes before the handler is there, or after the end, is no failure."""
        core = Core(sparse_size=1 << 31, loads=[Load(0, 0, 1 << 31)]).write(self.path("zeros"))
        snapshot = self.capture(core)
        for delay in (0.03, 0.1):
            process = cli.start("verify", snapshot, "--threads", 1)
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=cli.TIMEOUT_S)
            self.assertIn(process.returncode, (cli.PARTIAL, cli.COMPLETE, -signal.SIGINT))


class OutputEnds(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))

    def test_full_device(self):
        with open("/dev/full", "wb") as full:
            for words in (("capture", "-o", "-"), ("info",), ("info", "--json"),
                          ("read", "--phys", "0x1000"), ("read", "--raw", "--phys", "0x1000")):
                result = self.expect(cli.IO, *words, "-f", self.core, stdout=full)
                self.assertIn("standard output", result.err)

    def test_report_that_nobody_takes(self):
        with open("/dev/full", "wb") as full:
            words = ("-f", self.core, "-o", self.path("snapshot"), "--json")
            self.expect(cli.IO, "capture", *words, stdout=full)
        self.expect(cli.COMPLETE, "verify", self.path("snapshot"))

    def test_reader_that_goes_away(self):
        slow = elf_core.slow_core().write(self.path("slow"))
        for words in (("capture", "-f", slow, "-o", "-"),
                      ("read", "--phys", "0", "0x10000000", "-f", slow)):
            process = cli.start(*words)
            self.assertEqual(1, len(process.stdout.read(1)))
            process.stdout.close()
            err = process.stderr.read().decode()
            self.assertEqual(cli.IO, process.wait(cli.TIMEOUT_S), err)
            self.assertIn("standard output", err)
            process.stderr.close()

    def test_file_size_limit(self):
        """ulimit -f: the write fails, and the signal that comes with it does not kill."""
        slow = elf_core.slow_core().write(self.path("slow"))
        limit = 4 << 20

        def limited():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        words = ("capture", "-f", slow, "-o", self.path("snapshot"))
        result = self.expect(cli.PARTIAL, *words, preexec_fn=limited)
        self.assertIn("File too large", result.err)
        self.assertEqual(["core", "slow", "snapshot.partial"], self.names())
        self.expect(cli.PARTIAL, "verify", self.path("snapshot.partial"))

    FULL_DISK = """
        set -e
        mount -t tmpfs -o "size=$1" tmpfs "$2"
        shift
        folder=$1; shift
        status=0
        "$@" || status=$?
        ls -A "$folder"
        cp -r "$folder" "$folder.kept"
        exit "$status"
    """

    def on_full_disk(self, size, *words):
        """Runs with a tmpfs of `size` in "disk", whose content it then copies to "disk.kept"."""
        self.path("disk").mkdir()
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", "--mount", *user, "sh", "-c"]
        probe = [*command, 'mount -t tmpfs tmpfs "$1"', "sh", self.path("disk")]
        if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
            self.skipTest("cannot mount a tmpfs here")
        return subprocess.run([*command, self.FULL_DISK, "sh", size, self.path("disk"),
                               cli.program, *words], capture_output=True, text=True,
                              timeout=cli.TIMEOUT_S)

    def test_full_disk_leaves_a_valid_partial(self):
        slow = elf_core.slow_core().write(self.path("slow"))
        words = ("capture", "-f", slow, "-o", self.path("disk/snapshot"))
        result = self.on_full_disk("5m", *words)
        self.assertEqual(cli.PARTIAL, result.returncode, result.stderr)
        self.assertEqual("snapshot.partial\n", result.stdout)
        self.assertIn("No space left on device", result.stderr)
        kept = self.path("disk.kept/snapshot.partial")
        self.expect(cli.PARTIAL, "verify", kept)
        self.expect(cli.COMPLETE, "read", "--phys", "--raw", 0, PAGE, "-f", kept)

    def test_a_disk_too_small_for_anything(self):
        words = ("capture", "-f", self.core, "-o", self.path("disk/snapshot"))
        result = self.on_full_disk("4k", *words)
        self.assertEqual(cli.IO, result.returncode, result.stderr)
        self.assertEqual("", result.stdout, "nothing is left behind")


if __name__ == "__main__":
    cli.main()
