# SPDX-License-Identifier: MIT
"""The host's side of guest_pattern.c: where its pages are, and what they hold."""

import struct

from .elf import PAGE
from .errors import check

MAGIC = struct.pack("<Q", 0x5061747465726E21)
PAGES = 16384
WRITTEN_PAGES = 8192  # of guest_pattern --write: every second one is written to all the time


def pattern_page(index):
    """The content of pattern page `index`."""
    return (MAGIC + struct.pack("<Q", index)) * (PAGE // 16)


def parse_runs(text, name="run", pages=PAGES):
    """Physical addresses of the pattern pages by index, from what guest_pattern printed."""
    addresses = {}
    for words in map(str.split, text.splitlines()):
        if words[:1] == [name]:
            first, start, count = int(words[1]), int(words[2], 16), int(words[3])
            addresses.update((first + page, start + page * PAGE) for page in range(count))
    check(sorted(addresses) == list(range(pages)), f"guest_pattern named {len(addresses)} of {pages} pages")
    return [addresses[index] for index in range(pages)]


def check_pattern(core, truth, addresses):
    """Every pattern page is whole, in the snapshot as in the hypervisor's dump."""
    wrong = {}
    for name, file in (("dump", truth), ("snapshot", core)):
        wrong[name] = [index for index, address in enumerate(addresses)
                       if file.read_physical(address, PAGE) != pattern_page(index)]
    check(not wrong["dump"], f"{len(wrong['dump'])} pattern pages moved before the dump: the test proves nothing")
    check(not wrong["snapshot"], f"{len(wrong['snapshot'])} pattern pages of the snapshot are wrong, the first at "
          f"{wrong['snapshot'] and hex(addresses[wrong['snapshot'][0]])}")
    print(f"pattern: {PAGES} pages identical")
