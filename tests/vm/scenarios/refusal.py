# SPDX-License-Identifier: MIT
"""What the product says when the kernel refuses it, wholly or in part."""

from vmlab.errors import check

from .context import capture


def check_nothing_left(guest, folder):
    """A refused capture leaves no file behind."""
    left = guest.must(f"ls -A {folder}").split()
    check(not left, f"a refused capture left {left}")


def unprivileged(context):
    """A plain user, and a root who is none outside its user namespace."""
    with context.guest() as guest:
        guest.must("mkdir -m 777 /tmp/out; which kcoredump; su user -c 'id -u' | grep -qx 1000")
        status, text = guest.run("su user -c 'kcoredump capture -o /tmp/out/x.elf.zst'")
        check(status == 4, f"capture as a user exits {status}, expected 4: {text}")
        check("CAP_SYS_RAWIO" in text, f"the message does not name CAP_SYS_RAWIO: {text}")
        print(f"as a user: {text.strip()}")
        check_nothing_left(guest, "/tmp/out")
        status, text = guest.run("unshare -r kcoredump capture -o /tmp/out/x.elf.zst")
        check(status == 4, f"capture in a user namespace exits {status}, expected 4: {text}")
        check("CAP_SYS_RAWIO" in text, f"the message does not name CAP_SYS_RAWIO: {text}")
        print(f"in a user namespace: {text.strip()}")
        check_nothing_left(guest, "/tmp/out")


def lockdown(context):
    """Confidentiality refuses, integrity does not."""
    with context.guest(cmdline="lockdown=confidentiality") as guest:
        guest.must("grep -q '\\[confidentiality\\]' /sys/kernel/security/lockdown; mkdir /tmp/out")
        outcome = capture(guest, "-o /tmp/out/x.elf.zst").expect(4)
        outcome.expect_words("lockdown")
        print(f"confidentiality: {outcome.messages.strip()}")
        check_nothing_left(guest, "/tmp/out")
    # Not to /tmp, which is RAM: a capture would capture its own output until nothing is left.
    with context.guest(cmdline="lockdown=integrity", disks=[context.disk(512)]) as guest:
        guest.must("grep -q '\\[integrity\\]' /sys/kernel/security/lockdown; mount -t ext4 /dev/vda /mnt")
        outcome = capture(guest, "-o /mnt/x.elf.zst").expect(0)
        check(outcome.report["lockdown"] == "integrity", f"the report says lockdown {outcome.report['lockdown']}")


def hidden_addresses(context):
    """kptr_restrict=2 hides kallsyms even from root; vmcoreinfo serves."""
    image = context.disk(512)
    with context.guest(disks=[image]) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        stext = int(guest.must("grep ' _stext$' /proc/kallsyms").split()[0], 16)
        guest.must("echo 2 >/proc/sys/kernel/kptr_restrict; grep -q '^00* . _stext$' /proc/kallsyms")
        outcome = capture(guest, "-o /mnt/x.elf.zst").expect(0)
        check(outcome.report["kallsyms"] == "hidden", f"the report says kallsyms {outcome.report['kallsyms']}")
        guest.must("sync")
        snapshot = context.pull(image, "/x.elf.zst")
    offset = stext - 0xFFFFFFFF81000000
    info = context.info(snapshot)
    check(int(info["kaslr_offset"], 16) == offset, f"info says KASLR offset {info['kaslr_offset']}, it is {offset:#x}")
    context.host("verify", snapshot)
    print(f"KASLR offset {offset:#x} found without kallsyms")
