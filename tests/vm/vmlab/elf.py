# SPDX-License-Identifier: MIT
"""ELF64 core files, ours and the hypervisor's, as the tests need them.

A parser of its own: the product must not be judged by its own reader. Program
headers are found through e_phoff, for QEMU puts them at 192 behind an e_ehsize of 8.
"""

import dataclasses
import mmap
import struct

from .errors import CheckFailed

PAGE = 4096
PROGRAM_HEADER_BYTES = 56
PT_NULL, PT_LOAD, PT_NOTE, PT_LOOS, PT_HIOS, PN_XNUM = 0, 1, 4, 0x60000000, 0x6FFFFFFF, 0xFFFF
KERNEL_IMAGE_START = 0xFFFFFFFF80000000
ET_CORE, EM_X86_64 = 4, 62


@dataclasses.dataclass(frozen=True)
class Segment:
    """One program header."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    @property
    def is_image(self):
        """Is this the kernel image's own mapping, an alias of RAM?"""
        return self.vaddr >= KERNEL_IMAGE_START


class Core:
    """An ELF64 core file, mapped."""

    def __init__(self, path, torn=False):
        """Map `path`; a `torn` file may end before its segments do."""
        self.path = path
        with open(path, "rb") as handle:
            self.data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise CheckFailed(f"{path} is not a little-endian ELF64 file")
        (self.type, self.machine, _, _, phoff, shoff, _, _, phentsize, phnum) = struct.unpack_from(
            "<HHIQQQIHHH", self.data, 16)
        if phnum == PN_XNUM:
            phnum = struct.unpack_from("<I", self.data, shoff + 44)[0]
        self.segments = [self._segment(phoff + index * phentsize) for index in range(phnum)]
        self.loads = [segment for segment in self.segments if segment.type == PT_LOAD]
        self.ram = [segment for segment in self.loads if not segment.is_image]
        for segment in self.segments:
            if not torn and segment.offset + segment.filesz > len(self.data):
                raise CheckFailed(f"{path}: a segment ends at {segment.offset + segment.filesz:#x}, past the end "
                                  f"of the file ({len(self.data):#x})")

    def _segment(self, at):
        kind, flags, offset, vaddr, paddr, filesz, memsz, align = struct.unpack_from("<IIQQQQQQ", self.data, at)
        return Segment(kind, flags, offset, vaddr, paddr, filesz, memsz, align)

    def notes(self, segment):
        """Yield (owner, type, description) of a note segment."""
        at, end = segment.offset, segment.offset + segment.filesz
        while at + 12 <= end:
            namesz, descsz, kind = struct.unpack_from("<III", self.data, at)
            name_at = at + 12
            desc_at = name_at + (namesz + 3) // 4 * 4
            at = desc_at + (descsz + 3) // 4 * 4
            if desc_at + descsz > end:
                raise CheckFailed(f"{self.path}: a note runs past its segment")
            yield self.data[name_at:name_at + namesz].rstrip(b"\0").decode(), kind, self.data[desc_at:desc_at + descsz]

    def standard_notes(self):
        """The notes of all PT_NOTE segments."""
        return [note for segment in self.segments if segment.type == PT_NOTE for note in self.notes(segment)]

    def offset_of(self, physical):
        """The file offset of a physical address, or None."""
        for segment in self.ram:
            if segment.paddr <= physical < segment.paddr + segment.filesz:
                return segment.offset + physical - segment.paddr
        return None

    def read_physical(self, physical, length):
        """Bytes at a physical address, within one segment."""
        offset = self.offset_of(physical)
        if offset is None:
            raise CheckFailed(f"{self.path} has no physical address {physical:#x}")
        return self.data[offset:offset + length]

    def physical_of_image(self, virtual):
        """The physical address of a kernel image address, by the image's program header."""
        for segment in self.loads:
            if segment.is_image and segment.vaddr <= virtual < segment.vaddr + segment.memsz:
                return segment.paddr + virtual - segment.vaddr
        raise CheckFailed(f"{self.path}: no PT_LOAD of the kernel image holds {virtual:#x}")

    def pages_that_begin(self, start):
        """Physical addresses of the pages whose first bytes are `start`."""
        return {segment.paddr + at for segment in self.ram for at in range(0, segment.filesz, PAGE)
                if self.data[segment.offset + at:segment.offset + at + len(start)] == start}

    def page_count(self):
        """Pages in all RAM segments."""
        return sum(segment.filesz // PAGE for segment in self.ram)


def differing_pages(one, other):
    """Physical addresses of the pages of `one` that `other` has differently or not at all."""
    different = set()
    for segment in one.ram:
        at, end = segment.paddr, segment.paddr + segment.filesz
        while at < end:
            # A step never crosses a segment of either file, and skips quickly over equal stretches.
            length = min(1 << 18, end - at, other_extent(other, at))
            if length < PAGE:
                different.add(at)
                at += PAGE
                continue
            mine, theirs = one.read_physical(at, length), other.read_physical(at, length)
            if mine != theirs:
                different.update(at + page for page in range(0, length, PAGE)
                                 if mine[page:page + PAGE] != theirs[page:page + PAGE])
            at += length
    return different


def other_extent(core, physical):
    """How many whole pages' bytes `core` has from `physical` on, in one segment."""
    for segment in core.ram:
        if segment.paddr <= physical < segment.paddr + segment.filesz:
            return (segment.paddr + segment.filesz - physical) // PAGE * PAGE
    return 0


def drop_vendor_segments(path):
    """Make PT_NULL of the program headers of vendors' types, so that nobody looks there."""
    for index, segment in enumerate(Core(path).segments):
        if PT_LOOS <= segment.type <= PT_HIOS:
            _overwrite(path, _program_headers_at(path) + index * PROGRAM_HEADER_BYTES, struct.pack("<I", PT_NULL))


def hide_notes(path, owner):
    """Give the notes of `owner` another owner, which nobody looks for."""
    core = Core(path)
    for segment in core.segments:
        at = core.data.find(owner.encode() + b"\0", segment.offset, segment.offset + segment.filesz)
        if segment.type == PT_NOTE and at >= 0:
            _overwrite(path, at, b"X" * len(owner))


def _program_headers_at(path):
    with open(path, "rb") as file:
        return struct.unpack_from("<Q", file.read(64), 32)[0]


def _overwrite(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)
