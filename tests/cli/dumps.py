# SPDX-License-Identifier: MIT
"""Builds small dumps of the formats that other tools write, from their public layouts
(lib/format/*/FORMAT.md), without the program under test."""

import json
import struct
import zlib

import elf_core
from elf_core import PAGE

ZLIB, INCOMPLETE = 1, 8
NOTES_AT = PAGE + 104
DESCRIPTOR = struct.Struct("<QIIQ")
RANGE = struct.Struct("<IIQQQ")
LIME, AVML = 0x4C694D45, 0x4C4D5641


def block_aligned(data):
    return elf_core.pad(data, PAGE)


def bitmap(pages, count):
    bits = bytearray((count + 7) // 8)
    for page in pages:
        bits[page // 8] |= 1 << page % 8
    return block_aligned(bytes(bits))


def kdump(pages, excluded=(), level=31, part=None, status=ZLIB, notes=None, forge=None):
    """A kdump file, version 6. `pages`: content by page number; `part`: the page numbers of a split
    file, from and to; `forge(page, offset, size, flags)` may change a descriptor."""
    notes = elf_core.vmcoreinfo() if notes is None else notes
    count = max([*pages, *excluded]) + 1
    begin, end = part or (0, count)
    memory, dumped = bitmap([*pages, *excluded], count), bitmap(pages, count)
    sub = block_aligned(struct.pack("<Qii11Q", 0, level, int(part is not None), begin, end, 0, 0,
                                    NOTES_AT, len(notes), 0, 0, begin, end, count) + notes)
    blocks = (len(memory) + len(dumped)) // PAGE
    head = struct.pack("<8si", b"KDUMP   ", 6) + b"".join(
        name.ljust(65, b"\0") for name in (b"Linux", b"host", b"6.1.0-test", b"#1", b"x86_64", b""))
    head = head.ljust(424, b"\0") + struct.pack("<IiiIIIIIIi", status, PAGE, len(sub) // PAGE, blocks,
                                                count, 0, 0, 0, 0, 1)
    head = block_aligned(head) + sub + memory + dumped
    mine = [page for page in sorted(pages) if begin <= page < end]
    descriptors, data = b"", b""
    data_at = len(head) + len(mine) * DESCRIPTOR.size
    for page in mine:
        packed, flags = zlib.compress(pages[page], 1), ZLIB
        if len(packed) >= PAGE:
            packed, flags = pages[page], 0
        fields = (data_at + len(data), len(packed), flags)
        descriptors += DESCRIPTOR.pack(*(forge(page, *fields) if forge else fields), 0)
        data += packed
    return head + descriptors + data


def flattened(data, step=3000):
    parts = [b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)]
    parts[0] = block_aligned(parts[0])
    for at in range(0, len(data), step):
        piece = data[at:at + step]
        parts.append(struct.pack(">qq", at, len(piece)) + piece)
    return b"".join(parts) + struct.pack(">qq", -1, -1)


def lime(ranges):
    """`ranges`: content by physical address."""
    return b"".join(RANGE.pack(LIME, 1, at, at + len(data) - 1, 0) + data
                    for at, data in ranges.items())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def avml(ranges):
    """AVML version 2; the chunks hold their content as it is, which snappy's framing allows."""
    blocks = b""
    for at, data in ranges.items():
        stream = b"\xff\x06\0\0sNaPpY"
        for start in range(0, len(data), 65536):
            piece = data[start:start + 65536]
            crc = crc32c(piece)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            stream += struct.pack("<II", 1 | len(piece) + 4 << 8, masked) + piece
        blocks += RANGE.pack(AVML, 2, at, at + len(data) - 1, 0) + stream
        blocks += struct.pack("<Q", len(stream))
    return blocks


def raw(path, ranges, **more):
    """Writes the ranges one after another, and the JSON beside them."""
    listed, offset = [], 0
    for at, data in ranges.items():
        listed.append({"start": hex(at), "end": hex(at + len(data)), "offset": offset})
        offset += len(data)
    path.write_bytes(b"".join(ranges.values()))
    sidecar = {"format": "kcoredump-ranges", "version": 1, "page_bytes": PAGE, "ranges": listed}
    path.with_name(path.name + ".ranges.json").write_text(json.dumps({**sidecar, **more}))
    return path
