# SPDX-License-Identifier: MIT
"""makedumpfile of Debian sid, for kernels that the machine's own does not know, and for zstd.

The package and its libraries are unpacked into the cache and run by their own loader; nothing is installed.
"""

import pathlib
import re
import shutil
import subprocess
import tempfile

from . import kernels
from .errors import LabError, Skip
from .mirror import AptRoot, debian_mirrors

SUITE = "sid"
LIBRARIES = re.compile(r"^(lib|zlib1g)")
MOST_PACKAGES = 40


def own():
    """The machine's makedumpfile as the start of a command line; raises Skip where there is none."""
    path = shutil.which("makedumpfile")
    if not path:
        raise Skip("makedumpfile is not installed")
    return [path]


def newest():
    """sid's makedumpfile as the start of a command line; raises Skip when it cannot be had."""
    cache = kernels.cache_folder().parent / "makedumpfile"
    cache.mkdir(exist_ok=True)
    with kernels.locked(cache / ".lock"):
        root = cache / "root"
        if not root.exists():
            _fetch(cache, root)
    loader = root / "usr/lib64/ld-linux-x86-64.so.2"
    return [str(loader), "--library-path", str(root / "usr/lib/x86_64-linux-gnu"), str(root / "usr/bin/makedumpfile")]


def version(command):
    """ "1.7.8", as the program says."""
    done = subprocess.run([*command, "-v"], capture_output=True, text=True, check=False)
    found = re.search(r"version ([\d.]+)", done.stdout + done.stderr)
    return found[1] if found else "?"


def _fetch(cache, root):
    reasons = []
    for mirror, trusted in debian_mirrors():
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as scratch:
            scratch = pathlib.Path(scratch)
            try:
                apt = AptRoot(scratch / "apt", mirror, trusted, SUITE)
                apt.update()
                for package in _packages(apt):
                    archive = apt.download(package, scratch)
                    subprocess.run(["dpkg", "-x", archive, scratch / "root"], check=True)
                (scratch / "root").rename(root)
                return
            except LabError as error:
                reasons.append(str(error).splitlines()[0])
    raise Skip(f"makedumpfile (Debian {SUITE}): " + ("; ".join(reasons) or "apt's sources name no Debian mirror"))


def _packages(apt):
    """makedumpfile and the libraries that it needs, theirs too."""
    wanted, queue = [], ["makedumpfile"]
    while queue and len(wanted) < MOST_PACKAGES:
        package = queue.pop()
        if package in wanted:
            continue
        wanted.append(package)
        fields = apt.show(package)
        for group in f"{fields.get('Depends', '')},{fields.get('Pre-Depends', '')}".split(","):
            name = group.split("|")[0].split("(")[0].split(":")[0].strip()
            if LIBRARIES.match(name) and name not in wanted:
                queue.append(name)
    return wanted
