# SPDX-License-Identifier: MIT
"""Writes what another library reads in a dump at physical addresses, page after page.

    python3 foreign_pages.py kdumpfile|drgn DUMP OUTPUT START-END…

Run with Debian's own Python, for which python3-libkdumpfile and python3-drgn are made. Exit status 3: the library says
that it cannot open such a file.
"""

import sys

STEP = 1 << 20


def kdumpfile_reader(path):
    """libkdumpfile."""
    import kdumpfile
    try:
        dump = kdumpfile.kdumpfile(path)
    except kdumpfile.exceptions.NotImplementedException as error:
        print(error)
        sys.exit(3)
    print(f"{dump.attr['file.format']}, {dump.attr['arch.name']}")
    return lambda at, size: dump.read(kdumpfile.KDUMP_MACHPHYSADDR, at, size)


def drgn_reader(path):
    """drgn, without debuginfo."""
    import drgn
    program = drgn.Program()
    try:
        program.set_core_dump(path)
    except ValueError as error:
        print(error)
        sys.exit(3)
    print(program.platform.arch.name)
    return lambda at, size: program.read(at, size, physical=True)


def main():
    """Copy the ranges."""
    library, path, output, *ranges = sys.argv[1:]
    read = {"kdumpfile": kdumpfile_reader, "drgn": drgn_reader}[library](path)
    with open(output, "wb") as out:
        for text in ranges:
            start, end = (int(word, 16) for word in text.split("-"))
            for at in range(start, end, STEP):
                out.write(read(at, min(STEP, end - at)))


main()
