# SPDX-License-Identifier: MIT
"""The real gdb and lldb of this machine, asked one command after another, and what they say taken apart."""

import re
import shutil
import subprocess

from .errors import LabError

SECONDS = 120
MARK = "@@@"


class Gdb:
    """One run of gdb: `questions` are commands by a name of the test's own; a list of commands is one question."""

    def __init__(self, setup, questions):
        if not shutil.which("gdb"):
            raise LabError("gdb is missing (Debian package gdb)")
        self._command = ["gdb", "-nx", "-batch"]
        # An interrupted attach is a failed one: the guest is slow to say its first word.
        self._add("set pagination off", "set confirm off", "set print elements 0", "set width 0", "set remotetimeout 60")
        self._add(*setup)
        for name, commands in questions.items():
            self._add(f"echo \\n{MARK}{name}\\n", *([commands] if isinstance(commands, str) else commands))

    def _add(self, *commands):
        for command in commands:
            self._command += ["-ex", command]

    def start(self, folder):
        """The running process."""
        return subprocess.Popen(self._command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def run(self, folder):
        """What start() gives, waited for."""
        return self.answers(self.start(folder))

    @staticmethod
    def answers(process):
        """What gdb said, by question; what it said before the first is called ""."""
        try:
            output = process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired as late:
            process.kill()
            said = process.communicate()[0].decode(errors="replace")
            raise LabError(f"gdb was not done after {SECONDS} s; it said:\n{said[-2000:]}") from late
        parts = f"{MARK}\n{output.decode(errors='replace')}".split(MARK)[1:]
        return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def switch_to(pid):
    """The command that chooses a thread by its number in the kernel, not by gdb's."""
    return f"python [thread.switch() for thread in gdb.selected_inferior().threads() if thread.ptid[1] == {pid}]"


def parse_threads(text):
    """{pid: (name, what else is said, program counter or None)} of `info threads`."""
    line = re.compile(r'^[* ] \d+ +Thread (\d+) "(.*)" \((.*)\) +(?:(0x[0-9a-f]+) in|<unavailable> in)', re.M)
    return {int(match[1]): (match[2], match[3], int(match[4], 16) if match[4] else None)
            for match in line.finditer(text)}


def ask_lldb(address, *commands):
    """All that lldb says after `gdb-remote ADDRESS`; None where it is not installed."""
    if not shutil.which("lldb"):
        return None
    words = ["lldb", "--no-lldbinit", "--batch"]
    for command in (f"gdb-remote {address}", *commands, "detach"):
        words += ["-o", command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, timeout=SECONDS)
    return done.stdout.decode(errors="replace")


def parse_lldb_threads(text):
    """{pid: (name, program counter or None)} of `thread list`."""
    line = re.compile(r"^[* ] thread #\d+: tid = (\d+)(?:, (0x[0-9a-f]+))?[^\n]*?, name = '(.*?)'", re.M)
    return {int(match[1]): (match[3], int(match[2], 16) if match[2] else None) for match in line.finditer(text)}
