# SPDX-License-Identifier: MIT
"""A guest: one kernel under QEMU's software emulation, driven over a serial socket."""

import base64
import ctypes
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import initramfs
from .errors import LabError
from .qmp import Qmp, connect

QEMU = "qemu-system-x86_64"
BOOT_TRIES = 3
BOOT_SECONDS = 60


def die_with_parent():
    """Let QEMU end when this process ends, even by SIGKILL (a test's time limit)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class BootPanic(LabError):
    """The kernel panicked before its shell appeared, or hung before it could say a word."""


class Guest:
    """A running guest; use it as a context manager.

    `files` land in the guest's /bin. `disks` are raw images (/dev/vda, /dev/vdb, ...).
    `port` is a host file that receives what the guest writes to /dev/vport0p1 (the
    node's name is `port_node`). `memory` is in MiB. `modules` are loaded besides those that
    every guest needs.
    """

    port_node = "/dev/vport0p1"

    def __init__(self, kernel, *, memory=512, cpus=1, la57=True, cmdline="", files=(), disks=(),
                 port=None, qemu_args=(), interactive=False, modules=()):
        self.kernel = kernel
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="kcoredump-guest-"))
        self._process = self._shell = self.qmp = None
        self._count = 0
        self._buffer = b""
        archive = self._folder / "initramfs"
        archive.write_bytes(initramfs.build(kernel, files, (*initramfs.MODULES, *modules)))
        self._command = [
            shutil.which(QEMU) or QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-accel", "tcg,thread=multi", "-cpu", "max" if la57 else "max,la57=off", "-smp", str(cpus),
            "-m", memory if isinstance(memory, str) else f"{memory}M",
            "-device", "vmcoreinfo", "-kernel", str(kernel.image), "-initrd", str(archive),
            "-append", self._cmdline(cmdline, interactive),
        ]
        for disk in disks:
            self._command += ["-drive", f"file={disk},format=raw,if=virtio"]
        if port:
            self._command += ["-device", "virtio-serial-pci", "-chardev", f"file,id=port,path={port}",
                              "-device", "virtserialport,chardev=port,name=port,nr=1"]
        self._command += map(str, qemu_args)

    @staticmethod
    def _cmdline(extra, interactive):
        words = ["console=ttyS0", "quiet", "loglevel=1", "panic=-1", extra]
        if interactive:
            words.append("lab.interactive")
        return " ".join(word for word in words if word)

    def __enter__(self):
        try:
            self._boot_patiently()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _boot_patiently(self):
        """Boot; a panic or a hang so early is the emulator's doing now and then (the kernel patches its own code), so
        try again."""
        for attempt in range(1, BOOT_TRIES + 1):
            try:
                self._boot()
                return
            except BootPanic as panic:
                print(f"lab: boot {attempt} of {self.kernel.release} ended before the shell: {panic}",
                      file=sys.stderr, flush=True)
                self._stop()
        raise LabError(f"{self.kernel.release} did not get to its shell in {BOOT_TRIES} boots")

    def _boot(self):
        qmp, shell = self._folder / "qmp", self._folder / "shell"
        for path in (qmp, shell):
            path.unlink(missing_ok=True)
        command = self._command + [
            "-serial", f"file:{self._folder / 'console'}",
            "-serial", f"unix:{shell},server=on,wait=off", "-qmp", f"unix:{qmp},server=on,wait=off"]
        with open(self._folder / "qemu.log", "wb") as log:
            try:
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                 preexec_fn=die_with_parent)
            except FileNotFoundError as error:
                raise LabError(f"{QEMU} is missing (Debian package qemu-system-x86)") from error
        self._shell = connect(shell, self._process)
        self.qmp = Qmp(qmp, self._process)
        self._buffer = b""
        try:
            self._read_until(b"\001ready\n", BOOT_SECONDS, None)
        except LabError as error:
            console = self.console()
            if "Kernel panic" in console:
                line = next(line for line in console.splitlines() if "Kernel panic" in line)
                raise BootPanic(line.strip()) from error
            if not console.strip():
                raise BootPanic(f"nothing on the console for {BOOT_SECONDS} s") from error
            raise

    def interactive_command(self):
        """The command line for a person's session: QEMU's serial port on this terminal."""
        return self._command + ["-serial", "mon:stdio"]

    def console(self):
        """All the kernel has printed so far."""
        path = self._folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def _read_until(self, marker, seconds, stream):
        """Return what arrives before `marker`; `stream` sees it as it comes."""
        deadline = time.monotonic() + seconds
        while marker not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LabError(f"the guest was silent for {seconds} s{self._last_words()}")
            if not select.select([self._shell], [], [], min(left, 1))[0]:
                continue
            data = self._shell.recv(65536)
            if not data:
                raise LabError(f"the guest went away{self._last_words()}")
            self._buffer += data
            if stream:
                self._feed(stream)
        text, self._buffer = self._buffer.split(marker, 1)
        if stream and text:
            stream(text)
        return text

    def _feed(self, stream):
        """Hand on what surely is output: everything before a marker's first character."""
        text, control, rest = self._buffer.partition(b"\001")
        if text:
            stream(text)
        self._buffer = control + rest

    def _last_words(self):
        """What a person needs to see when a guest fails."""
        log = self._folder / "qemu.log"
        tail = "\n".join(self.console().splitlines()[-25:])
        qemu = log.read_text(errors="replace") if log.exists() else ""
        output = self._buffer[-2000:].decode(errors="replace")
        return f"; output so far:\n{output}\nconsole:\n{tail}\n{qemu}"

    def run(self, command, timeout=60, stream=None):
        """Run a shell command; return (exit status, output with stderr)."""
        self._count += 1
        encoded = base64.b64encode(command.encode())
        self._shell.settimeout(timeout)
        self._shell.sendall(b"%d %s\n" % (self._count, encoded))
        output = self._read_until(b"\001%d:" % self._count, timeout, stream)
        status = int(self._read_until(b"\n", 10, None))
        return status, output.decode(errors="replace")

    def must(self, command, timeout=60):
        """Run a command that has to succeed; return its output."""
        status, output = self.run(command, timeout)
        if status != 0:
            raise LabError(f"in the guest: {command}: status {status}: {output.strip()}")
        return output

    def crash(self, command):
        """Run a command that ends this kernel, and wait for the shell of the crash kernel."""
        encoded = base64.b64encode(command.encode())
        self._shell.sendall(b"0 %s\n" % encoded)
        self._read_until(b"\001ready\n", BOOT_SECONDS, None)

    def freeze_and_dump(self, path):
        """Stop the guest's CPUs and write its memory to `path`, exactly as it stands."""
        self.qmp.command("stop")
        self.qmp.dump_guest_memory(path)

    def _stop(self):
        """End QEMU and drop its channels."""
        if self.qmp:
            self.qmp.close()
        if self._shell:
            self._shell.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = self._shell = self.qmp = None

    def close(self):
        """End the guest and remove its files."""
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)
