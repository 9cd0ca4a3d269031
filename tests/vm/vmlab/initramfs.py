# SPDX-License-Identifier: MIT
"""An initramfs made on the fly: busybox, the modules a guest needs, our files."""

import gzip
import lzma
import os
import pathlib
import shutil
import subprocess

from .errors import LabError

# Loaded in this order; whatever a kernel has built in is simply not listed for it.
# crc32c_generic is what ext4 asks the crypto layer for by alias, invisible to depmod.
MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "qemu_fw_cfg", "crc32c_generic", "ext4", "fuse")

# The kernel's console is ttyS0; commands come over ttyS1, so that no kernel
# message can ever fall between a command's output and its end marker.
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t securityfs securityfs /sys/kernel/security
for module in $(cat /modules/order); do
  insmod /modules/$module || echo "lab: module $module did not load" >/dev/console
done
mount -t tmpfs -o mode=1777 tmpfs /tmp
ifconfig lo up
hostname lab
if grep -q lab.interactive /proc/cmdline; then
  while :; do setsid cttyhack sh; done
fi
stty -F /dev/ttyS1 raw -echo rows 24 cols 80
while :; do sh /agent </dev/ttyS1 >/dev/ttyS1 2>&1; done
"""

# One line a command: an identifier and the command in base64 (any text survives).
# The end marker starts with a control character that no output of ours contains.
AGENT = r"""printf '\001ready\n'
while read -r id text; do
  eval "$(echo "$text" | base64 -d)" </dev/null 2>&1
  printf '\001%s:%d\n' "$id" "$?"
done
"""

PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n"
GROUP = "root:x:0:\nuser:x:1000:\n"


class Cpio:
    """A newc archive under construction, the format the kernel unpacks."""

    def __init__(self):
        self._parts = []
        self._inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        """Add one entry; `mode` carries the file type."""
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        for part in (header + encoded, data):
            self._parts += [part, bytes(-len(part) % 4)]

    def finish(self):
        """The archive's bytes."""
        self.add("TRAILER!!!", 0)
        return b"".join(self._parts)


def find_busybox():
    """The host's busybox, which must be static to run in a bare initramfs."""
    path = shutil.which("busybox", path="/bin:/usr/bin")
    if not path:
        raise LabError("busybox is missing (Debian package busybox-static)")
    if b"/ld-linux" in pathlib.Path(path).read_bytes()[:4096]:
        raise LabError(f"{path} is not static (Debian package busybox-static)")
    return path


def module_files(kernel, names=MODULES):
    """The module files `names` need, dependencies first, each once."""
    tool = shutil.which("modprobe", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not tool:
        raise LabError("modprobe is missing (Debian package kmod)")
    found = []
    for name in names:
        # The empty configuration folder keeps the host's blacklists and aliases out.
        command = [tool, "-C", "/dev/null", "-d", kernel.root, "-S", kernel.release, "--show-depends", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            words = line.split()
            if words[:1] == ["insmod"] and words[1] not in found:
                found.append(words[1])
    return [pathlib.Path(path) for path in found]


def module_bytes(path):
    """A module's ELF bytes: decompressed here, for busybox's insmod does not."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return data


def build(kernel, files=(), modules=MODULES):
    """The initramfs for `kernel` as bytes; each of `files` lands executable in /bin."""
    archive = Cpio()
    for folder in ("bin", "dev", "mnt", "modules", "proc", "root", "sys", "tmp", "etc"):
        archive.add(folder, 0o040755)
    archive.add("dev/console", 0o020600, device=(5, 1))
    archive.add("init", 0o100755, INIT.encode())
    archive.add("agent", 0o100755, AGENT.encode())
    archive.add("etc/passwd", 0o100644, PASSWD.encode())
    archive.add("etc/group", 0o100644, GROUP.encode())
    archive.add("bin/busybox", 0o100755, pathlib.Path(find_busybox()).read_bytes())
    order = []
    for path in module_files(kernel, modules):
        name = path.name.split(".ko")[0] + ".ko"
        order.append(name)
        archive.add(f"modules/{name}", 0o100644, module_bytes(path))
    archive.add("modules/order", 0o100644, "\n".join(order).encode())
    for path in map(pathlib.Path, files):
        archive.add(f"bin/{path.name}", 0o100755, path.read_bytes())
    return archive.finish()
