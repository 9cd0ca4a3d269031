# SPDX-License-Identifier: MIT
"""ext4 disk images for guests, and files out of them without mounting."""

import os
import shutil
import subprocess

from .errors import LabError


def _tool(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise LabError(f"{name} is missing (Debian package e2fsprogs)")
    return path


def make_ext4(path, mebibytes, content=None):
    """Make a sparse ext4 image, with the files of the folder `content` in it.

    Without a journal, so that after a `sync` in the guest the image itself is
    current and debugfs, which replays nothing, sees the files.
    """
    with open(path, "wb") as image:
        image.truncate(mebibytes << 20)
    filling = ["-d", content] if content else []
    subprocess.run([_tool("mkfs.ext4"), "-q", "-F", "-O", "^has_journal", *filling, path], check=True)
    return path


def pull(image, name, target):
    """Copy the file called `name` out of an ext4 image to `target`."""
    done = subprocess.run([_tool("debugfs"), "-R", f'dump "{name}" "{target}"', image],
                          capture_output=True, text=True, check=False)
    if not os.path.exists(target) or "not found" in done.stderr:
        raise LabError(f"{name} is not in {image}: {done.stderr.strip()}")
    return target


def pull_folder(image, name, target):
    """Copy the folder called `name` with all that is in it out of an ext4 image, into the folder `target`."""
    done = subprocess.run([_tool("debugfs"), "-R", f'rdump "{name}" "{target}"', image],
                          capture_output=True, text=True, check=False)
    found = os.path.join(target, os.path.basename(name))
    if not os.path.isdir(found) or "not found" in done.stderr:
        raise LabError(f"{name} is not in {image}: {done.stderr.strip()}")
    return found
