# SPDX-License-Identifier: MIT
"""A client of QEMU's machine protocol: one JSON object a line over a socket."""

import json
import socket
import time

from .errors import LabError


def connect(path, process, seconds=20):
    """Connect to QEMU's socket at `path`, waiting until `process` has made it."""
    deadline = time.monotonic() + seconds
    while True:
        channel = socket.socket(socket.AF_UNIX)
        try:
            channel.connect(str(path))
            return channel
        except OSError as error:
            channel.close()
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"QEMU offers no {path.name}: {error}") from error
            time.sleep(0.02)


class Qmp:
    """Commands to one running QEMU."""

    def __init__(self, path, process):
        self._channel = connect(path, process)
        self._lines = self._channel.makefile("rb")
        self._lines.readline()
        self.command("qmp_capabilities")

    def command(self, name, timeout=120, **arguments):
        """Run one command and return its answer; events in between are dropped."""
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        self._channel.settimeout(timeout)
        self._channel.sendall(json.dumps(request).encode() + b"\n")
        while True:
            line = self._lines.readline()
            if not line:
                raise LabError(f"QEMU went away during {name}")
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"QMP {name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def dump_guest_memory(self, path):
        """Write the guest's physical memory as the hypervisor sees it to `path`."""
        self.command("dump-guest-memory", timeout=300, paging=False, protocol=f"file:{path}")

    def close(self):
        """Drop the connection."""
        self._lines.close()
        self._channel.close()
