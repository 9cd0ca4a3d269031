# SPDX-License-Identifier: MIT
"""Memory arrives while a capture runs: the offsets of kcore's segments move under its open files.

They move only when the headers grow over a page's end. A first boot measures how
much room is left there; the next one cuts RAM into as many pieces as fill it
(each piece costs two program headers), so that one more DIMM is one too many.
The guest that is captured is the one whose room was seen to be filled.
"""

import base64
import contextlib
import struct
import threading
import time

from vmlab.elf import PAGE, Core, differing_pages
from vmlab.errors import LabError, check
from vmlab.pattern import check_pattern, parse_runs

from .context import capture, check_accounts, fill_with_noise, prepare_pattern

HEADERS_BYTES = 2 * 56
DIMM_BYTES = 128 << 20
# RAM cannot be cut anywhere: the kernel's own place becomes one piece again, whatever cuts are in it. Therefore
# nokaslr, which leaves the kernel at 16 MiB and below these cuts; the initramfs is at RAM's end, above them.
FIRST_CUT, CUT_STEP = 96 << 20, 2 << 20
OPTIONS = {"memory": "512M,slots=4,maxmem=2G"}
BOOTS = 4
# The DIMM comes when the output has grown to the first size; at the second one the capture waits for it.
GROWN_BYTES, BRAKE_BYTES = 8 << 20, 24 << 20
LEAST_EQUAL = 94
SLOW = "--level 4 --threads 1"
# The kernel rebuilds the list at anyone's next open; how long it is stands in the first 64 bytes.
OPENER = f"""(
before=$(head -c 64 /proc/kcore | md5sum)
for turn in $(seq 600); do
  [ "$(head -c 64 /proc/kcore | md5sum)" = "$before" ] || break
  [ $(du -sk /mnt | cut -f 1) -lt {BRAKE_BYTES >> 10} ] || killall -q -STOP kcoredump
  sleep 0.1
done
killall -q -CONT kcoredump) & opener=$!;"""


def kcore_headers(guest):
    """(end of headers and notes, file offset of the first RAM segment) of the guest's kcore."""
    text = guest.must(f"dd if=/proc/kcore bs={PAGE} count=6 2>/dev/null | base64")
    data = base64.b64decode(text)
    count = struct.unpack_from("<H", data, 56)[0]
    headers = [struct.unpack_from("<IIQQQQQQ", data, 64 + 56 * index) for index in range(count)]
    notes = headers[0]
    ram = [header for header in headers[1:] if header[4] == PAGE]
    if not ram:
        raise LabError("the guest's kcore has no segment at physical address 0x1000")
    return notes[2] + notes[5], ram[0][2]


@contextlib.contextmanager
def guest_without_room(context, files, disks):
    """A guest whose headers and notes leave no room in their last page for two more program headers."""
    count = 0
    for _ in range(BOOTS):
        cuts = " ".join(f"memmap=64K${FIRST_CUT + number * CUT_STEP:#x}" for number in range(count))
        with context.guest(files, disks=disks, cmdline=f"nokaslr {cuts}", **OPTIONS) as guest:
            end, _ = kcore_headers(guest)
            room = -end % PAGE // HEADERS_BYTES
            if room == 0:
                yield guest
                return
        count += room
    raise LabError(f"{count} cuts of RAM do not fill the page in which kcore's headers and notes end")


class Plugger(threading.Thread):
    """Adds a DIMM from the host as soon as the capture's output has grown to some size."""

    def __init__(self, guest, image):
        super().__init__(daemon=True)
        self._guest, self._image = guest, image
        self.stopped = threading.Event()
        self.plugged_at = None

    def run(self):
        start = self._image.stat().st_blocks
        while not self.stopped.wait(0.05):
            if (self._image.stat().st_blocks - start) * 512 > GROWN_BYTES:
                self._guest.qmp.command("object-add", **{"qom-type": "memory-backend-ram", "id": "ram1",
                                                         "size": DIMM_BYTES})
                self._guest.qmp.command("device_add", driver="pc-dimm", id="dimm1", memdev="ram1")
                self.plugged_at = time.monotonic()
                return


def run(context):
    """The capture must end well, and its pages be the right ones."""
    pattern = context.need("pattern")
    image = context.disk()
    with guest_without_room(context, [pattern], [image]) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt; echo online_movable >/sys/devices/system/memory/auto_online_blocks")
        fill_with_noise(guest, 48)
        pages = parse_runs(prepare_pattern(guest))
        _, before = kcore_headers(guest)
        plugger = Plugger(guest, image)
        plugger.start()
        outcome = capture(guest, f"-o /mnt/x.elf.zst {SLOW}", prefix=OPENER)
        ended = time.monotonic()
        plugger.stopped.set()
        plugger.join()
        guest.must("kill $opener 2>/dev/null; sync")
        _, after = kcore_headers(guest)
        guest.freeze_and_dump(context.folder / "truth")
        snapshot = context.pull(image, "/x.elf.zst")
    check(plugger.plugged_at, "the capture ended before memory could be plugged")
    if after != before + PAGE:
        raise LabError(f"the offsets did not move ({before:#x} then {after:#x}): this test tests nothing")
    print(f"offsets moved by {after - before:#x}, {ended - plugger.plugged_at:.1f} s before the capture's end")
    check(outcome.status in (0, 3), f"capture exits {outcome.status}:\n{outcome.messages}")
    check(outcome.report["layout_moves"] > 0, "the capture did not notice that the offsets moved")
    check_accounts(outcome.report)
    context.host_any("verify", snapshot)
    core, truth = Core(context.unpack(snapshot)), Core(context.folder / "truth")
    check_pattern(core, truth, pages)
    equal = 100 * (1 - len(differing_pages(core, truth)) / core.page_count())
    print(f"hotplug: {equal:.2f} % of all pages identical")
    check(equal >= LEAST_EQUAL, f"only {equal:.2f} % of all pages are identical")
