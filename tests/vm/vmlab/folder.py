# SPDX-License-Identifier: MIT
"""`kcoredump mount` on this machine, for as long as a `with` lasts."""

import contextlib
import os
import subprocess
import time

from .errors import Skip, check
from .guest import die_with_parent

MOUNT_SECONDS = 60


def need_fuse():
    """Raise Skip where nothing can be mounted."""
    if not os.path.exists("/dev/fuse"):
        raise Skip("there is no /dev/fuse")


@contextlib.contextmanager
def mounted(kcoredump, image, folder):
    """`image` as the folder `folder`, which is made; at the end the program must unmount it and exit with 0."""
    folder.mkdir()
    words = [kcoredump, "mount", "-f", image, folder]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          preexec_fn=die_with_parent) as server:
        try:
            end = time.monotonic() + MOUNT_SECONDS
            while not os.path.ismount(folder) and server.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            if server.poll() is not None:
                raise Skip(f"nothing can be mounted here: {server.stderr.read()}")
            yield folder
        finally:
            server.terminate()
            said = server.communicate(timeout=MOUNT_SECONDS)[1]
    check(server.returncode == 0 and not os.path.ismount(folder), f"mount exits {server.returncode}: {said}")
