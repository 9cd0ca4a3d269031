# SPDX-License-Identifier: MIT
"""Pages that must not be read: offline and poisoned ones. And the ladder for destinations."""

from vmlab.elf import PAGE
from vmlab.errors import Skip, check

from .context import capture, check_accounts, prepare_pattern

# Offlines the first block that lets itself; prints its number.
OFFLINE_ONE = r"""
for block in $(ls -d /sys/devices/system/memory/memory[0-9]* | sort -r); do
  if echo offline >$block/state 2>/dev/null && grep -qx offline $block/state; then
    cat $block/phys_index; exit_code=0; break
  fi
  exit_code=1
done
(exit $exit_code)
"""


def offline_block(context):
    """An offline memory block is a labelled hole, never zeros."""
    image = context.disk()
    # movablecore keeps kernel data out of the upper blocks, so that one can go.
    with context.guest(disks=[image], memory=768, cmdline="movablecore=384M") as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        block_bytes = int(guest.must("cat /sys/devices/system/memory/block_size_bytes"), 16)
        status, text = guest.run(OFFLINE_ONE)
        if status != 0:
            raise Skip(f"no memory block of {context.kernel.release} could be taken offline: {text}")
        start = int(text, 16) * block_bytes
        pages = block_bytes // PAGE
        outcome = capture(guest, "-o /mnt/x.elf.zst").expect(3)
        check_holes(outcome.report, "offline", start, pages)
        outcome.expect_words("offline")
        status, text = guest.run(f"kcoredump read --phys {start + 64:#x} 16")
        check(status == 3 and "offline" in text, f"read of live offline memory exits {status}: {text}")
        guest.must("sync")
        snapshot = context.pull(image, "/x.elf.zst")
    check_hole_reads(context, snapshot, start, "offline")
    check_hole_reads(context, snapshot, start + block_bytes - 16, "offline")
    context.host("read", "--phys", "--raw", hex(start - 16), 16, "-f", snapshot)
    print(f"offline: {pages} pages at {start:#x} are a labelled hole")


def check_holes(report, kind, start, pages):
    """Exactly these pages are holes, of this kind."""
    check(report["status"] == "complete-with-holes", f"status {report['status']}")
    check(report["pages"][kind] == pages, f"{report['pages'][kind]} {kind} pages, expected {pages}: {report['pages']}")
    check(len(report["holes"]) == 1, f"holes: {report['holes']}")
    hole = report["holes"][0]
    check(hole["kind"] == kind and int(hole["physical"], 16) == start and hole["pages"] == pages, f"hole: {hole}")
    check_accounts(report)


def check_hole_reads(context, snapshot, address, kind):
    """Reading a hole from the snapshot is an error that says why, and gives no bytes."""
    done = context.host_any("read", "--phys", "--raw", hex(address), 16, "-f", snapshot)
    check(done.returncode == 3, f"read of a hole exits {done.returncode}: {done.stderr.decode(errors='replace')}")
    check(done.stdout == b"", f"read of a hole printed {done.stdout}")
    check(kind in done.stderr.decode().lower(), f"the error does not say {kind}: {done.stderr.decode()}")
    check(context.host_any("verify", snapshot).returncode in (0, 3), "verify rejects a snapshot with labelled holes")
    info = context.host_any("info", "-f", snapshot, "--json")
    check(info.returncode in (0, 3), f"info exits {info.returncode}")


def poisoned_page(context):
    """A hardware-poisoned page is never read."""
    image = context.disk()
    with context.guest([context.need("pattern")], disks=[image]) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        if guest.run("grep -q HardwareCorrupted /proc/meminfo")[0] != 0:
            raise Skip(f"{context.kernel.release} is built without MEMORY_FAILURE")
        words = prepare_pattern(guest, "--poison").split()
        address = int(words[words.index("poisoned") + 1], 16)
        outcome = capture(guest, "-o /mnt/x.elf.zst").expect(3)
        check_holes(outcome.report, "hwpoison", address, 1)
        outcome.expect_words("poison")
        guest.must("sync")
        snapshot = context.pull(image, "/x.elf.zst")
    check_hole_reads(context, snapshot, address, "poison")
    print(f"hwpoison: the page at {address:#x} is a labelled hole")


def ladder(context):
    """The static test program against this kernel: bad destinations, and FUSE in kcore's place."""
    path = context.need("ladder")
    with context.guest([path], cpus=2) as guest:
        guest.must("test -c /dev/fuse")
        status, text = guest.run(f"cd /tmp && {path.name}", timeout=180)
        print(text)
        check(status == 0, f"{path.name} exits {status} on {context.kernel.release}")
