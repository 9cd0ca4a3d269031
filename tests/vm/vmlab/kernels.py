# SPDX-License-Identifier: MIT
"""Debian kernels: found, downloaded once, unpacked into a cache, never installed."""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from .errors import LabError, Skip
from .mirror import AptRoot, debian_mirrors

# The name used in tests: (Debian suite, metapackage, must every mirror have it?)
KERNELS = {
    "5.10": ("bullseye", "linux-image-cloud-amd64", False),
    "6.1": ("bookworm", "linux-image-cloud-amd64", True),
    "6.12": ("trixie", "linux-image-cloud-amd64", False),
    "sid": ("sid", "linux-image-cloud-amd64", False),
    "6.1-generic": ("bookworm", "linux-image-amd64", False),
}

# What a kernel's package may be split into; the rest of Depends is of no use here.
PARTS = re.compile(r"^linux-(image|binary|modules)-\d")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: `root` holds boot/ and lib/modules/."""

    name: str
    release: str
    version: str
    root: pathlib.Path
    image: pathlib.Path


def cache_folder():
    """Where kernels stay between runs; created when missing."""
    base = os.environ.get("KCOREDUMP_CACHE")
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(home, "kcoredump")
    folder = pathlib.Path(base) / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


@contextlib.contextmanager
def locked(path):
    """Hold an exclusive lock on `path`: two tests may want the same kernel at once."""
    with open(path, "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fetch(name, update=False):
    """Return the Kernel called `name`, downloading it when the cache has none.

    With `update` the mirror is asked even when the cache could answer. Raises
    Skip when the mirror has no such kernel, LabError when it had to.
    """
    if name not in KERNELS:
        raise LabError(f"no kernel called {name}; known: {', '.join(KERNELS)}")
    cache = cache_folder()
    with locked(cache / f".{name}.lock"):
        if not update:
            cached = _from_cache(cache, name)
            if cached:
                return cached
        return _download(cache, name)


def has_five_levels(kernel):
    """Was it built with 5-level page tables? A package without a config (sid) has them."""
    config = kernel.root / f"boot/config-{kernel.release}"
    return not config.exists() or "\nCONFIG_X86_5LEVEL=y" in config.read_text()


def _from_cache(cache, name):
    """The cached kernel called `name`, or None."""
    try:
        facts = json.loads((cache / f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    root = cache / facts["folder"]
    image = root / facts["image"]
    if not image.exists():
        return None
    return Kernel(name, facts["release"], facts["version"], root, image)


def _download(cache, name):
    """Fetch `name` from the first mirror that has it and publish it in the cache."""
    suite, package, required = KERNELS[name]
    reasons = []
    for mirror, trusted in debian_mirrors():
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as scratch:
            try:
                apt = AptRoot(pathlib.Path(scratch) / "apt", mirror, trusted, suite)
                apt.update()
                return _unpack(cache, pathlib.Path(scratch), apt, name, package)
            except LabError as error:
                reasons.append(str(error).splitlines()[0])
    reason = f"kernel {name} (Debian {suite}): " + ("; ".join(reasons) or "apt's sources name no Debian mirror")
    raise LabError(reason) if required else Skip(reason)


def kernel_packages(apt, metapackage):
    """The versioned packages behind a metapackage, dependencies followed."""
    wanted, queue = {}, [metapackage]
    while queue:
        fields = apt.show(queue.pop())
        for group in fields.get("Depends", "").split(","):
            package = group.split("|")[0].split("(")[0].strip()
            if PARTS.match(package) and package not in wanted:
                wanted[package] = apt.show(package)["Version"]
                queue.append(package)
    if not wanted:
        raise LabError(f"{metapackage} depends on no kernel package")
    return wanted


def _unpack(cache, scratch, apt, name, metapackage):
    """Download, unpack, index the modules, then publish with one rename."""
    packages = kernel_packages(apt, metapackage)
    version = next(iter(packages.values()))
    target = cache / f"{name}_{version}"
    if not target.exists():
        tree = scratch / "tree"
        for package in packages:
            archive = apt.download(package, scratch)
            subprocess.run(["dpkg", "-x", archive, tree], check=True)
            archive.unlink()
        _tidy(tree)
        os.rename(tree, target)
    image, release = _find_image(target)
    facts = {"folder": target.name, "image": str(image.relative_to(target)), "release": release, "version": version}
    draft = scratch / "facts.json"
    draft.write_text(json.dumps(facts))
    os.rename(draft, cache / f"{name}.json")
    return Kernel(name, release, version, target, image)


def _find_image(tree):
    """The kernel image and its release, wherever this suite puts them."""
    releases = [path.name for path in (tree / "lib/modules").iterdir() if path.is_dir()]
    if len(releases) != 1:
        raise LabError(f"{tree.name}: {len(releases)} module trees instead of one")
    release = releases[0]
    for candidate in (tree / f"boot/vmlinuz-{release}", tree / f"lib/modules/{release}/vmlinuz"):
        if candidate.is_file():
            return candidate, release
    raise LabError(f"{tree.name}: no kernel image")


def _tidy(tree):
    """Give every suite the same shape: lib/modules with an index, no documentation."""
    if not (tree / "lib").exists():
        (tree / "lib").symlink_to("usr/lib")
    shutil.rmtree(tree / "usr/share", ignore_errors=True)
    _, release = _find_image(tree)
    tool = shutil.which("depmod", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not tool:
        raise LabError("depmod is missing (Debian package kmod)")
    # It warns of lists that the packages' small trees do not have.
    done = subprocess.run([tool, "-b", tree, release], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"depmod of {release} exits {done.returncode}: {done.stderr[-500:]}")
