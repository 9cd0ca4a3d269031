# SPDX-License-Identifier: MIT
"""A kernel's file for debuggers, made of kallsyms alone: where its linker put each symbol, and no debuginfo."""

import struct

LINKED_STEXT = 0xFFFFFFFF81000000
HEADER_BYTES, PROGRAM_HEADER_BYTES, SECTION_BYTES, SYMBOL_BYTES = 64, 56, 64, 24
ET_EXEC, EM_X86_64, PT_LOAD = 2, 62, 1
SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS = 2, 3, 8
SHF_ALLOC_EXEC = 6
STB_GLOBAL_FUNC, STB_GLOBAL_OBJECT = 0x12, 0x11


def kaslr_offset(symbols):
    """How far the kernel was moved."""
    return next(address for address, _, name, _ in symbols if name == "_stext") - LINKED_STEXT


def write_symbol_file(path, symbols):
    """Write the kernel's own symbols of parse_kallsyms() to `path`, as an ELF file with one segment and section."""
    offset = kaslr_offset(symbols)
    bounds = {name: address - offset for address, _, name, _ in symbols if name in ("_text", "_end")}
    start, end = bounds["_text"], bounds["_end"]
    names, table = bytearray(b"\0"), bytearray(SYMBOL_BYTES)
    for address, kind, name, module in symbols:
        if module or not start <= address - offset < end:
            continue
        info = STB_GLOBAL_FUNC if kind in "tTwW" else STB_GLOBAL_OBJECT
        table += struct.pack("<IBBHQQ", len(names), info, 0, 1, address - offset, 0)
        names += name.encode() + b"\0"
    sections = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    at_table = HEADER_BYTES + PROGRAM_HEADER_BYTES
    at_names = at_table + len(table)
    at_sections = at_names + len(names)
    at_headers = at_sections + len(sections)

    def section(name, kind, flags, address, position, size, link=0, info=0, entry=0):
        return struct.pack("<IIQQQQIIQQ", sections.index(name), kind, flags, address, position, size, link, info, 8,
                           entry)

    headers = [bytes(SECTION_BYTES),
               section(b".text\0", SHT_NOBITS, SHF_ALLOC_EXEC, start, at_table, end - start),
               section(b".symtab\0", SHT_SYMTAB, 0, 0, at_table, len(table), 3, 1, SYMBOL_BYTES),
               section(b".strtab\0", SHT_STRTAB, 0, 0, at_names, len(names)),
               section(b".shstrtab\0", SHT_STRTAB, 0, 0, at_sections, len(sections))]
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", ET_EXEC, EM_X86_64, 1, start, HEADER_BYTES, at_headers, 0, HEADER_BYTES,
        PROGRAM_HEADER_BYTES, 1, SECTION_BYTES, len(headers), len(headers) - 1)
    load = struct.pack("<IIQQQQQQ", PT_LOAD, 5, at_table, start, 0, 0, end - start, 4096)
    path.write_bytes(b"".join([header, load, table, names, sections, *headers]))
