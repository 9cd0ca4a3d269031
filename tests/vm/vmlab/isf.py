# SPDX-License-Identifier: MIT
"""Volatility 3's Intermediate Symbol Format, and a kernel found by it the way Volatility finds one.

Both are written from their description: the schema 6.2 (what an object must have and may have, and which names refer
to what) and the steps of its Linux stacker: the banner in physical memory, "swapper/0" of init_task, both shifts, the
page tables.
"""

import base64
import json
import re
import struct

from .elf import PAGE
from .errors import check

POINTER = struct.Struct("<Q")
# Required keys, optional ones.
SHAPES = {
    "pointer": ({"kind", "subtype"}, {"base"}),
    "array": ({"kind", "subtype", "count"}, set()),
    "base": ({"kind", "name"}, set()),
    "struct": ({"kind", "name"}, set()),
    "union": ({"kind", "name"}, set()),
    "enum": ({"kind", "name"}, set()),
    "function": ({"kind"}, set()),
    "bitfield": ({"kind", "bit_position", "bit_length", "type"}, set()),
}
PRESENT, LARGE = 1, 1 << 7
FRAME = (1 << 52) - PAGE
SWAPPER = re.compile(rb"swapper(?:/0|\0\0)\0{6}")


class Isf:
    """One file."""

    def __init__(self, text):
        self.parts = json.loads(text)
        self.types = self.parts["user_types"]

    def address(self, name):
        """Where a symbol was linked."""
        return self.parts["symbols"][name]["address"]

    def member(self, type_name, *path):
        """Offset and type of a member, from struct to struct."""
        offset, kind = 0, {"name": type_name}
        for name in path:
            field = self.types[kind["name"]]["fields"][name]
            offset, kind = offset + field["offset"], field["type"]
        return offset, kind

    def offset(self, type_name, *path):
        """As member(), the offset alone."""
        return self.member(type_name, *path)[0]

    @property
    def banner(self):
        """The bytes by which Volatility knows the kernel."""
        return base64.b64decode(self.parts["symbols"]["linux_banner"]["constant_data"], validate=True)

    def check(self):
        """Every object has the shape that the schema wants, and every name refers to something."""
        check(set(self.parts) == {"metadata", "base_types", "user_types", "enums", "symbols"}, f"{set(self.parts)}")
        metadata = self.parts["metadata"]
        check(set(metadata) == {"format", "producer"} and re.fullmatch(r"6\.\d+\.\d+", metadata["format"]) and
              re.fullmatch(r"\d+\.\d+\.\d+", metadata["producer"]["version"]), f"metadata {metadata}")
        for name, kind in self.parts["base_types"].items():
            check(set(kind) == {"size", "signed", "kind", "endian"} and isinstance(kind["size"], int) and
                  kind["kind"] in ("void", "int", "float", "char", "bool") and kind["endian"] == "little",
                  f"base type {name}: {kind}")
        for name, enum in self.parts["enums"].items():
            check(set(enum) == {"size", "base", "constants"}, f"enum {name}: {enum}")
            check(self.parts["base_types"][enum["base"]]["size"] == enum["size"], f"enum {name} is a {enum['base']}")
            check(all(isinstance(value, int) for value in enum["constants"].values()), f"enum {name}: {enum}")
        for name, kind in self.types.items():
            self._check_user_type(name, kind)
        for name, symbol in self.parts["symbols"].items():
            check({"address"} <= set(symbol) <= {"address", "type", "constant_data"}, f"symbol {name}: {symbol}")
            check(isinstance(symbol["address"], int) and 0 <= symbol["address"] < 1 << 64, f"symbol {name}: {symbol}")
            if "type" in symbol:
                self._check_type(f"symbol {name}", symbol["type"])
        return self

    def _check_user_type(self, name, kind):
        check(set(kind) == {"kind", "size", "fields"} and kind["kind"] in ("struct", "union"), f"{name}: {kind}")
        for label, field in kind["fields"].items():
            where = f"{name}.{label}"
            check({"type", "offset"} <= set(field) <= {"type", "offset", "anonymous"}, f"{where}: {field}")
            self._check_type(where, field["type"])
            check(0 <= field["offset"] <= kind["size"], f"{where} is at {field['offset']} of {kind['size']} bytes")
            end = field["offset"] + self.size_of(field["type"])
            # A bitfield's unit may reach past the end of what is packed.
            check(end <= kind["size"] or field["type"]["kind"] == "bitfield", f"{where} ends at {end} of {kind['size']}")

    def _check_type(self, where, kind):
        required, optional = SHAPES[kind["kind"]]
        check(required <= set(kind) <= required | optional, f"{where}: {kind}")
        if kind["kind"] == "bitfield":
            check(kind["type"]["kind"] in ("base", "enum"), f"{where}: {kind}")
            bits = 8 * self.size_of(kind["type"])
            check(0 < kind["bit_length"] and 0 <= kind["bit_position"] < bits, f"{where}: {kind}")
        for inner in ("subtype", "type"):
            if inner in kind:
                self._check_type(where, kind[inner])
        if "name" in kind:
            table = {"base": "base_types", "enum": "enums"}.get(kind["kind"], "user_types")
            check(kind["name"] in self.parts[table], f"{where}: there is no {kind['kind']} {kind['name']}")
            check(table != "user_types" or self.types[kind["name"]]["kind"] == kind["kind"], f"{where}: {kind}")

    def size_of(self, kind):
        """Bytes of a type."""
        what = kind["kind"]
        if what == "pointer":
            return self.parts["base_types"]["pointer"]["size"]
        if what == "array":
            return kind["count"] * self.size_of(kind["subtype"])
        if what == "bitfield":
            return self.size_of(kind["type"])
        if what == "function":
            return 0
        table = {"base": "base_types", "enum": "enums"}.get(what, "user_types")
        return self.parts[table][kind["name"]]["size"]


class Found:
    """The kernel in `core` (an elf.Core), by nothing but an Isf."""

    def __init__(self, isf, core):
        self.isf, self.core = isf, core
        check(any(core.data.find(isf.banner, segment.offset, segment.offset + segment.filesz) >= 0
                  for segment in core.ram), "the banner is nowhere in memory")
        self.physical_shift, self.shift = next(self._shifts(), (None, None))
        check(self.shift is not None, "init_task is nowhere in memory")
        self.root = isf.address("init_top_pgt") + self.physical_shift
        banner = self.read(isf.address("linux_banner") + self.shift, len(isf.banner))
        check(banner == isf.banner, f"by the page tables linux_banner is {banner}")

    def _shifts(self):
        """(physical, virtual) distance from where the kernel was linked, as init_task tells."""
        comm = self.isf.offset("task_struct", "comm")
        pid = self.isf.offset("task_struct", "pid")
        files = self.isf.offset("task_struct", "files")
        for segment in self.core.ram:
            for match in SWAPPER.finditer(self.core.data, segment.offset, segment.offset + segment.filesz):
                task = segment.paddr + match.start() - segment.offset - comm
                if self.core.offset_of(task) is None or self.core.read_physical(task + pid, 4) != bytes(4):
                    continue
                moved, = POINTER.unpack(self.core.read_physical(task + files, 8))
                shifts = task - self.isf.address("init_task"), moved - self.isf.address("init_files")
                if not any(shift % PAGE for shift in shifts):
                    yield shifts

    def physical(self, address):
        """The physical address behind a virtual one, by 4 levels of page tables."""
        table = self.root
        for bits in (39, 30, 21, 12):
            entry, = POINTER.unpack(self.core.read_physical(table + (address >> bits & 511) * 8, 8))
            check(entry & PRESENT, f"{address:#x} is not mapped")
            if bits in (30, 21) and entry & LARGE:
                return (entry & FRAME & -(1 << bits)) + address % (1 << bits)
            table = entry & FRAME
        return table + address % PAGE

    def read(self, address, length):
        """Virtual memory within a page, or further where physical memory goes on."""
        return self.core.read_physical(self.physical(address), length)

    def pointer(self, address):
        """A pointer in virtual memory."""
        return POINTER.unpack(self.read(address, 8))[0]

    def text(self, address, length):
        """A string in virtual memory."""
        return self.read(address, length).split(b"\0")[0].decode()

    def list_of(self, head, type_name, member):
        """The addresses of a list's structs, without the head's own."""
        link = self.isf.offset(type_name, member)
        at = self.pointer(head)
        while at != head:
            yield at - link
            at = self.pointer(at)

    def tasks(self):
        """(pid, name) of every process but the idle one."""
        head = self.isf.address("init_task") + self.shift + self.isf.offset("task_struct", "tasks")
        pid, (comm, kind) = self.isf.offset("task_struct", "pid"), self.isf.member("task_struct", "comm")
        return sorted((int.from_bytes(self.read(task + pid, 4), "little"), self.text(task + comm, kind["count"]))
                      for task in self.list_of(head, "task_struct", "tasks"))

    def modules(self):
        """The names of the modules."""
        offset, kind = self.isf.member("module", "name")
        head = self.isf.address("modules") + self.shift
        return sorted(self.text(module + offset, kind["count"]) for module in self.list_of(head, "module", "list"))
