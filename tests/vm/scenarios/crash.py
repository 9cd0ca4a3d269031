# SPDX-License-Identifier: MIT
"""A kernel that dies, and the crash kernel that captures it from /proc/vmcore."""

import json
import pathlib
import re
import shutil
import subprocess

from vmlab import disk, initramfs
from vmlab.errors import LabError, check

from . import debuggers
from .context import capture, check_accounts, zstd_test

CRASH_CMDLINE = "console=ttyS0 quiet loglevel=1 panic=-1 irqpoll nr_cpus=1 reset_devices"


def kexec_files():
    """The host's kexec and the libraries it needs."""
    path = shutil.which("kexec", path="/sbin:/usr/sbin")
    if not path:
        raise LabError("kexec is missing (Debian package kexec-tools)")
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=True)
    libraries = re.findall(r"(/\S+) \(0x", done.stdout)
    return [pathlib.Path(path), *map(pathlib.Path, libraries)]


def panic(context):
    """Panic, capture in the crash kernel, and see there and on the host what happened."""
    content = context.folder / "crash"
    content.mkdir()
    shutil.copy(context.kernel.image, content / "vmlinuz")
    (content / "initrd").write_bytes(initramfs.build(context.kernel, [context.need("kcoredump")]))
    image = disk.make_ext4(context.folder / "disk", 1024, content)
    files = kexec_files()
    loader = next(path.name for path in files if path.name.startswith("ld-linux"))
    with context.guest(files, disks=[image], memory=1024, cpus=3, cmdline="crashkernel=256M") as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        # One CPU's registers are missing, and it is not the last.
        guest.must("echo 0 >/sys/devices/system/cpu/cpu1/online")
        guest.must("echo marker-before-the-crash >/dev/kmsg")
        guest.must(f"/bin/{loader} --library-path /bin /bin/kexec -p /mnt/vmlinuz --initrd=/mnt/initrd "
                   f"--command-line='{CRASH_CMDLINE}'", timeout=120)
        check(guest.must("cat /sys/kernel/kexec_crash_loaded").strip() == "1", "no crash kernel is loaded")
        guest.must("umount /mnt")
        banner = guest.must("cat /proc/version").strip()
        guest.crash("echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
        guest.must("test -e /proc/vmcore")
        guest.must("mount -t ext4 /dev/vda /mnt")
        outcome = capture(guest, "-o /mnt/x.elf.zst")
        check(outcome.status in (0, 3), f"capture exits {outcome.status}: {outcome.messages}")
        check(outcome.report["source"] == "/proc/vmcore", f"captured {outcome.report['source']}")
        check_accounts(outcome.report)
        log = guest.must("kcoredump log")
        info = json.loads(guest.must("kcoredump info --json"))
        guest.must("sync")
        snapshot = context.pull(image, "/x.elf.zst")
    zstd_test(snapshot)
    check_log(log)
    check_cpus(info)
    check(context.host("verify", snapshot) is not None, "verify")
    check_log(context.host("log", "-f", snapshot).decode())
    info = json.loads(context.host("info", "-f", snapshot, "--json"))
    check_cpus(info)
    print(debuggers.judge_dead(context, snapshot, info["cpus"]))
    for cpu in info["cpus"]:
        stack = json.loads(context.host("bt", "--cpu", str(cpu["cpu"]), "--json", "-f", snapshot))["stacks"][0]
        check(stack["cpu"] == cpu["cpu"] and stack["frames"][0]["pc"] == cpu["instruction_pointer"] and
              stack["frames"][0]["found_by"] == "registers", f"bt --cpu: {stack}, info says {cpu}")
    got = context.host("read", "linux_banner", "256", "--raw", "-f", snapshot)
    check(got.startswith(banner.encode()), f"linux_banner reads {got}")
    print(f"crash: {snapshot.stat().st_size / 1e6:.1f} MB, {outcome.report['pages']}")


def check_log(text):
    """The dead kernel's last words."""
    for words in ("marker-before-the-crash", "sysrq: Trigger a crash", "Kernel panic - not syncing"):
        check(words in text, f"the log does not say {words!r}:\n{text[-2000:]}")


def check_cpus(info):
    """Each CPU's instruction pointer, symbolised; the one that panicked is in the kernel."""
    cpus = info["cpus"]
    check([cpu["cpu"] for cpu in cpus] == [0, 2], f"the dump has registers of CPUs 0 and 2, not of {cpus}")
    for cpu in cpus:
        check(re.fullmatch(r"0x[0-9a-f]{16}", cpu["instruction_pointer"]) is not None, f"{cpu}")
    symbols = [cpu["symbol"] or "" for cpu in cpus]
    check(any("crash" in symbol or "panic" in symbol for symbol in symbols), f"nobody panicked: {symbols}")
    check(all("+0x" in symbol for symbol in symbols), f"a CPU's instruction pointer has no name: {symbols}")
    print(f"CPUs: {symbols}")
