# SPDX-License-Identifier: MIT
"""The other tools that read vmcores, in a folder of Debian sid, and a kernel's debuginfo.

Nothing of it is installed on this machine: the tools run in a chroot whose mounts
live in a mount namespace of their own, so they end with the command, however it ends.
"""

import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
import time

from . import kernels
from .errors import LabError, Skip
from .guest import die_with_parent
from .mirror import KEYRING, AptRoot, debian_mirrors

SUITE = "sid"
PACKAGES = ("crash", "makedumpfile", "gdb", "python3-drgn")
HOST_TOOLS = {"debootstrap": "debootstrap", "unshare": "util-linux", "chroot": "coreutils"}
DOWNLOAD_SECONDS = 1500
# What makes the folder large and serves no peer.
USELESS = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")


@dataclasses.dataclass(frozen=True)
class Result:
    """How a peer ended, and all it said."""

    status: int
    output: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Peers:
    """The tools' chroot `root`, their `versions` by package, and the guest kernel's `vmlinux`."""

    root: pathlib.Path
    versions: dict
    vmlinux: pathlib.Path

    def run(self, work, command, timeout=180):
        """Run `command` in the chroot, where `work`, with what is mounted in it, is /work and the debuginfo /vmlinux."""
        script = (f"mount --rbind {shlex.quote(str(work))} {self._inside('work')}\n"
                  f"mount --bind -o ro {shlex.quote(str(self.vmlinux))} {self._inside('vmlinux')}\n"
                  f"mount --rbind /proc {self._inside('proc')}\n"
                  f"mount --rbind /dev {self._inside('dev')}\n"
                  f"exec chroot {shlex.quote(str(self.root))} /usr/bin/env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 "
                  f"PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c {shlex.quote('cd /work && ' + command)}\n")
        started = time.monotonic()
        try:
            # A process namespace, too: crash's and gdb's children must not outlive a time limit.
            done = subprocess.run([*_unshare(), "--pid", "--fork", "--kill-child", "sh", "-ec", script],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=timeout, check=False, preexec_fn=die_with_parent)
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace")
            return Result(-1, f"{said}\n[ended after {timeout} s without an answer]", timeout)
        return Result(done.returncode, done.stdout.decode(errors="replace"), time.monotonic() - started)

    def _inside(self, name):
        return shlex.quote(str(self.root / name))


def _unshare():
    """The start of a command line whose mounts no one else sees."""
    return ["unshare", "--mount", "--propagation", "private"]


def cache_folder():
    """Where the tools and the debuginfo stay between runs."""
    folder = kernels.cache_folder().parent / "peers"
    folder.mkdir(exist_ok=True)
    return folder


def fetch(kernel):
    """The Peers for `kernel`, downloaded when the cache lacks them; raises Skip when that cannot be."""
    if os.geteuid() != 0:
        raise Skip("the peers run in a chroot, which needs root")
    for tool, package in HOST_TOOLS.items():
        if not _which(tool):
            raise Skip(f"{tool} is missing (Debian package {package})")
    cache = cache_folder()
    with kernels.locked(cache / ".lock"):
        root, versions = _cached_tools(cache) or _from_a_mirror(SUITE, cache, _make_tools)
        vmlinux = _debuginfo_path(cache, kernel)
        if not vmlinux.exists():
            _from_a_mirror(kernels.KERNELS[kernel.name][0], cache,
                           lambda *place: _fetch_debuginfo(*place, kernel, vmlinux))
    return Peers(root, versions, vmlinux)


def _which(tool):
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _from_a_mirror(suite, cache, make):
    """What `make(cache, scratch, apt, uri, trusted)` gives from the first mirror that has all it needs."""
    reasons = []
    for uri, trusted in debian_mirrors():
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as scratch:
            scratch = pathlib.Path(scratch)
            try:
                apt = AptRoot(scratch / "apt", uri, trusted, suite)
                apt.update()
                return make(cache, scratch, apt, uri, trusted)
            except LabError as error:
                reasons.append(str(error).splitlines()[0])
    raise Skip(f"peers (Debian {suite}): " + ("; ".join(reasons) or "apt's sources name no Debian mirror"))


def _cached_tools(cache):
    """(root, versions) of the chroot made earlier, or None."""
    try:
        facts = json.loads((cache / "tools.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    root = cache / facts["folder"]
    return (root, facts["versions"]) if root.is_dir() else None


def _make_tools(cache, scratch, apt, uri, trusted):
    """A minimal sid with the peers in it, published with one rename; the versions are the mirror's."""
    versions = {package: apt.show(package)["Version"] for package in PACKAGES}
    root = scratch / "root"
    root.mkdir()
    root.chmod(0o755)
    print(f"peers: debootstrap of Debian {SUITE} with {', '.join(PACKAGES)}", flush=True)
    _debootstrap(root, uri, trusted)
    size = sum(path.stat().st_size for path in (root / "var/cache/apt/archives").glob("*.deb"))
    print(f"peers: {size / 1e6:.0f} MB of packages", flush=True)
    _tidy(root)
    target = cache / f"{SUITE}_{time.strftime('%Y%m%d', time.gmtime())}_crash-{versions['crash']}"
    shutil.rmtree(target, ignore_errors=True)
    os.rename(root, target)
    draft = scratch / "facts.json"
    draft.write_text(json.dumps({"folder": target.name, "versions": versions}))
    os.rename(draft, cache / "tools.json")
    return target, versions


def _debootstrap(root, uri, trusted):
    """Fill `root`; LabError with debootstrap's last words when it fails."""
    options = ["--no-check-gpg"] if trusted else [f"--keyring={KEYRING}"]
    command = [*_unshare(), _which("debootstrap"), "--variant=minbase", f"--include={','.join(PACKAGES)}",
               *options, SUITE, root, uri]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=DOWNLOAD_SECONDS, text=True, errors="replace", check=False,
                              preexec_fn=die_with_parent)
    except subprocess.TimeoutExpired as late:
        raise LabError(f"debootstrap was not done after {DOWNLOAD_SECONDS} s") from late
    if done.returncode != 0:
        raise LabError("debootstrap failed: " + " / ".join(done.stdout.strip().splitlines()[-3:]))


def _tidy(root):
    """Drop what no peer needs and make the places that Peers.run mounts on."""
    for name in USELESS:
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "work").mkdir()
    (root / "vmlinux").touch()


def _debuginfo_path(cache, kernel):
    return cache / f"vmlinux-{kernel.release}_{kernel.version}"


def _fetch_debuginfo(_cache, scratch, apt, _uri, _trusted, kernel, target):
    """The vmlinux out of linux-image-RELEASE-dbg, and only that: its modules would be gigabytes."""
    package = f"linux-image-{kernel.release}-dbg"
    fields = apt.show(package)
    if fields.get("Version") != kernel.version:
        raise LabError(f"{package} is {fields.get('Version')}, the kernel in the cache {kernel.version} "
                       "(`lab fetch --update` brings both in line)")
    print(f"peers: {package} {kernel.version}, {int(fields['Size']) / 1e6:.0f} MB", flush=True)
    archive = apt.download(package, scratch)
    member = f"./usr/lib/debug/boot/vmlinux-{kernel.release}"
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as packed:
        done = subprocess.run(["tar", "-x", "-C", scratch, "--occurrence=1", member], stdin=packed.stdout,
                              capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{package} has no {member}: {done.stderr.strip()}")
    os.rename(scratch / member, target)
