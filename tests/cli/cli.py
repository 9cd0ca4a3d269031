# SPDX-License-Identifier: MIT
"""What the command-line tests share: running the program, and exit statuses for ctest.

Every test file is run as  test_X.py PROGRAM [unittest arguments].
"""

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from dataclasses import dataclass
from pathlib import Path

COMPLETE, USAGE, HOLES, REFUSED, PARTIAL, CORRUPT, IO = 0, 2, 3, 4, 5, 6, 7
TIMEOUT_S = 60

program = ""  # set by main()


@dataclass
class Result:
    status: int
    out: bytes
    err: str

    @property
    def text(self):
        return self.out.decode()


def start(*words, **options):
    """The program, running, with pipes for its output."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen([program, *map(os.fspath, map(as_word, words))], **options)


def as_word(word):
    return word if isinstance(word, (str, bytes, os.PathLike)) else str(word)


def run(*words, **options):
    process = start(*words, **options)
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Result(process.returncode, out or b"", (err or b"").decode(errors="replace"))


def run_on_terminal(*words, stdout=subprocess.PIPE, columns=80, interrupt_at=None):
    """Runs with standard error on a terminal; `stdout="terminal"` puts that there as well. Once the
    text `interrupt_at` appears, the program gets SIGINT."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    both = stdout == "terminal"
    process = start(*words, stdout=slave if both else stdout, stderr=slave)
    os.close(slave)
    try:
        shown = read_terminal(master, process, interrupt_at)
        out = b"" if both or process.stdout is None else process.communicate(timeout=TIMEOUT_S)[0]
        return Result(process.wait(timeout=TIMEOUT_S), out, shown.decode(errors="replace"))
    finally:
        os.close(master)
        process.kill()


def read_terminal(master, process, interrupt_at):
    shown = b""
    end = time.monotonic() + TIMEOUT_S
    while select.select([master], [], [], max(0.0, end - time.monotonic()))[0]:
        try:
            shown += os.read(master, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            break
        if interrupt_at and interrupt_at.encode() in shown:
            process.send_signal(signal.SIGINT)
            interrupt_at = None
    return shown


def unpack(path):
    """The image inside a snapshot, by plain zstd."""
    return subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True,
                          timeout=TIMEOUT_S).stdout


class TestCase(unittest.TestCase):
    """Gives each test an empty folder, and a message that shows what the program said."""

    longMessage = True

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="kcoredump-cli-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.folder = Path(folder)

    def path(self, name):
        return self.folder / name

    def names(self):
        return sorted(os.listdir(self.folder))

    def expect(self, status, *words, **options):
        result = run(*words, **options)
        self.assertEqual(status, result.status, f"{words}\n{result.err}")
        return result

    def capture(self, core, name="snapshot", *words, status=COMPLETE):
        """Captures the file `core` and returns the snapshot's path."""
        self.expect(status, "capture", "-f", core, "-o", self.path(name), *words)
        return self.path(name)


def main():
    global program
    if len(sys.argv) < 2:
        sys.exit("usage: test_X.py PROGRAM [unittest arguments]")
    program = os.path.abspath(sys.argv.pop(1))
    done = unittest.main(module="__main__", exit=False).result
    if not done.wasSuccessful():
        sys.exit(1)
    skipped_all = done.testsRun > 0 and len(done.skipped) == done.testsRun
    sys.exit(77 if skipped_all or done.testsRun == 0 else 0)
