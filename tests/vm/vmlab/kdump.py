# SPDX-License-Identifier: MIT
"""kdump-compressed files as their bitmaps tell: which pages there are and which were dumped.

A parser of its own: the product must not be judged by its own reader.
"""

import struct

from .elf import PAGE
from .errors import check

STATUS_AT, BLOCK_SIZE_AT = 424, 428
SPLIT_AT, START_PFN_64_AT, MAX_MAPNR_64_AT = PAGE + 12, PAGE + 80, PAGE + 96
COMPRESSED = {1: "zlib", 2: "lzo", 4: "snappy", 0x20: "zstd"}


class Kdump:
    """One file, version 6."""

    def __init__(self, path):
        with open(path, "rb") as handle:
            head = handle.read(2 * PAGE)
            check(head[:8] == b"KDUMP   ", f"{path} is no kdump file")
            self.status, block_size, sub_blocks, bitmap_blocks = struct.unpack_from("<IiiI", head, STATUS_AT)
            check(block_size == PAGE, f"{path} has blocks of {block_size} bytes")
            self.split, = struct.unpack_from("<i", head, SPLIT_AT)
            self.part = struct.unpack_from("<QQ", head, START_PFN_64_AT)
            max_pfn, = struct.unpack_from("<Q", head, MAX_MAPNR_64_AT)
            handle.seek(PAGE * (1 + sub_blocks))
            bitmaps = handle.read(bitmap_blocks * PAGE)
        self.memory = pages_of(bitmaps[:len(bitmaps) // 2], max_pfn)
        self.dumped = pages_of(bitmaps[len(bitmaps) // 2:], max_pfn)

    @property
    def excluded(self):
        """Physical addresses of the pages that were left out."""
        return self.memory - self.dumped


def pages_of(bitmap, count):
    """Physical addresses of the pages whose bits are set."""
    return {PAGE * (8 * index + bit) for index, byte in enumerate(bitmap[:(count + 7) // 8]) if byte
            for bit in range(8) if byte >> bit & 1 and 8 * index + bit < count}


def excluded_of_elf(core):
    """Physical addresses of the pages that an ELF core's p_filesz leave out of p_memsz."""
    return {at for segment in core.ram
            for at in range(segment.paddr + segment.filesz, segment.paddr + segment.memsz, PAGE)}
