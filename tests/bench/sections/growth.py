# SPDX-License-Identifier: MIT
"""How time and memory grow with the size of what is captured."""

import struct

from .captures import ours
from .timing import measure

GIB = 1 << 30
SIZES = (1, 2, 4, 8, 16)
# Of each MiB: the first part is random text, the rest a hole in the file.
FILLED = 128 << 10
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
DIRECT_MAP = 0xFFFF888000000000


def sparse_core(path, gibibytes, block):
    """An ELF core of so many GiB of RAM, nearly all of it holes."""
    with open(path, "wb") as out:
        out.write(HEADER.pack(b"\x7fELF\x02\x01\x01" + bytes(9), 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0))
        out.write(PROGRAM_HEADER.pack(1, 7, 4096, DIRECT_MAP, 0, gibibytes * GIB, gibibytes * GIB, 0))
        for at in range(4096, gibibytes * GIB, 1 << 20):
            out.seek(at)
            out.write(block)
        out.truncate(4096 + gibibytes * GIB)
    return path


def rows(folder, source, rounds):
    """A row for each size, largest last; the same bytes in each MiB."""
    with open(source, "rb") as handle:
        handle.seek(64 << 20)
        block = handle.read(FILLED)
    table = []
    for size in SIZES:
        path = sparse_core(folder / "sparse.elf", size, block)
        row = ours(f"kcoredump capture, {size} GiB sparse", path, folder)
        measure([row], rounds)
        path.unlink()
        table.append(row)
    return table
