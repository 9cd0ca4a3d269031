# SPDX-License-Identifier: MIT
"""Builds small ELF cores, and reads them without libelf."""

import os
import random
import struct
from dataclasses import dataclass, field

PAGE = 4096
DIRECT_MAP = 0xFFFF888000000000
KERNEL_TEXT = 0xFFFFFFFF81000000
PT_LOAD, PT_NOTE = 1, 4
VENDOR_SEGMENT = 0x6B636F72
EM_X86_64 = 62

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
NOTE_HEADER = struct.Struct("<III")


@dataclass
class Load:
    """A PT_LOAD. `bytes_at` is where its bytes stand among the file's content."""

    phys: int
    bytes_at: int
    size: int
    virt: int = None
    file_size: int = None

    def header(self, content_offset):
        virt = self.phys + DIRECT_MAP if self.virt is None else self.virt
        file_size = self.size if self.file_size is None else self.file_size
        return PROGRAM_HEADER.pack(PT_LOAD, 7, content_offset + self.bytes_at, virt, self.phys,
                                   file_size, self.size, 0)


def note(owner, kind, data):
    name = owner + b"\0"
    parts = NOTE_HEADER.pack(len(name), len(data), kind)
    return parts + pad(name, 4) + pad(data, 4)


def pad(data, unit):
    return data + bytes(-len(data) % unit)


def vmcoreinfo(release="6.1.0-test", kaslr=0x1E000000):
    text = f"OSRELEASE={release}\nPAGESIZE=4096\nKERNELOFFSET={kaslr:x}\n"
    return note(b"VMCOREINFO", 0, text.encode())


@dataclass
class Core:
    loads: list
    content: bytes = b""          # page-aligned; `sparse_size` makes it longer, with holes
    notes: bytes = field(default_factory=vmcoreinfo)
    sparse_size: int = 0

    def write(self, path):
        count = len(self.loads) + 1
        notes_at = HEADER.size + count * PROGRAM_HEADER.size
        content_at = (notes_at + len(self.notes) + PAGE - 1) // PAGE * PAGE
        ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        head = HEADER.pack(ident, 4, EM_X86_64, 1, 0, HEADER.size, 0, 0, HEADER.size,
                           PROGRAM_HEADER.size, count, 0, 0, 0)
        head += PROGRAM_HEADER.pack(PT_NOTE, 0, notes_at, 0, 0, len(self.notes), 0, 0)
        head += b"".join(load.header(content_at) for load in self.loads)
        with open(path, "wb") as file:
            file.write(head + self.notes)
            file.seek(content_at)
            file.write(self.content)
            file.truncate(content_at + max(self.sparse_size, len(self.content)))
        return path


@dataclass
class Segment:
    kind: int
    offset: int
    virt: int
    phys: int
    file_size: int
    size: int
    align: int


def parse(image):
    """The program headers of an image."""
    fields = HEADER.unpack_from(image)
    assert fields[0][:4] == b"\x7fELF" and fields[1] == 4, "not an ELF core"
    segments = []
    for index in range(fields[10]):
        at = fields[5] + index * PROGRAM_HEADER.size
        kind, _, offset, virt, phys, file_size, size, align = PROGRAM_HEADER.unpack_from(image, at)
        segments.append(Segment(kind, offset, virt, phys, file_size, size, align))
    return segments


def notes_of(image, kind):
    """[(owner, type, data)] of the first segment of that kind."""
    segment = next(s for s in parse(image) if s.kind == kind)
    at, end = segment.offset, segment.offset + segment.file_size
    notes = []
    while at < end:
        name_size, data_size, note_type = NOTE_HEADER.unpack_from(image, at)
        name_at = at + NOTE_HEADER.size
        data_at = name_at + (name_size + 3) // 4 * 4
        owner = image[name_at:name_at + name_size].rstrip(b"\0").decode()
        notes.append((owner, note_type, image[data_at:data_at + data_size]))
        at = data_at + (data_size + 3) // 4 * 4
    return notes


def mixed_bytes(pages, seed=1):
    """Random pages, text pages and zero pages, in turns."""
    random_bytes = random.Random(seed).randbytes
    text = b"kcoredump tests memory.\n" * 170 + bytes(16)
    return b"".join((random_bytes(PAGE), text, bytes(PAGE))[i % 3] for i in range(pages))


def small_core():
    """Two stretches of RAM, 40 and 24 pages, and the kernel image within the second."""
    content = mixed_bytes(64)
    low, high = 0x1000, 0x1000000
    return Core(content=content, loads=[
        Load(low, 0, 40 * PAGE),
        Load(high, 40 * PAGE, 24 * PAGE),
        Load(high + 4 * PAGE, 44 * PAGE, 8 * PAGE, virt=KERNEL_TEXT),
    ])


def slow_core():
    """2 GiB that one thread at level 19 takes minutes for: the same 1 MiB over and over."""
    size = 1 << 20
    words = [os.urandom(5) for _ in range(500)]
    pick = random.Random(2).choice
    content = b"".join(pick(words) for _ in range(size // 5 + 1))[:size]
    return Core(content=content, loads=[Load(i * size, 0, size) for i in range(2048)])
