#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump print: typed data, layouts and exit statuses, on a core whose BTF is in its memory."""

import json
import struct

import cli
import elf_core
from elf_core import KERNEL_TEXT, PAGE, Core, Load

RAM = 0x1000000
TYPES_AT = KERNEL_TEXT + PAGE
THING = KERNEL_TEXT + 0x100
KIND_INT, KIND_POINTER, KIND_ARRAY, KIND_STRUCT, KIND_ENUM = 1, 2, 3, 4, 6


class Btf:
    """Types in the order of their ids, from 1 on (kernel: Documentation/bpf/btf.rst)."""

    def __init__(self):
        self.types, self.names = b"", b"\0"

    def name(self, text):
        self.names += text.encode() + b"\0"
        return len(self.names) - len(text) - 1

    def add(self, kind, name, size, *words, items=0, flag=0):
        head = (self.name(name) if name else 0, flag << 31 | kind << 24 | items, size)
        self.types += struct.pack(f"<{3 + len(words)}I", *head, *words)

    def build(self):
        sizes = (0, len(self.types), len(self.types), len(self.names))
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, *sizes) + self.types + self.names


def thing_types():
    """struct thing { char name[16]; enum mood mood; u32 low:3, high:5; struct thing *next; }"""
    btf = Btf()
    btf.add(KIND_INT, "char", 1, 1 << 24 | 8)
    btf.add(KIND_INT, "unsigned int", 4, 32)
    btf.add(KIND_ARRAY, "", 0, 1, 2, 16)
    btf.add(KIND_ENUM, "mood", 4, btf.name("CALM"), 0, btf.name("ANGRY"), 7, items=2)
    btf.add(KIND_POINTER, "", 6)
    members = (("name", 3, 0), ("mood", 4, 128), ("low", 2, 3 << 24 | 160),
               ("high", 2, 5 << 24 | 163), ("next", 5, 192))
    words = [word for name, kind, place in members for word in (btf.name(name), kind, place)]
    btf.add(KIND_STRUCT, "thing", 32, *words, items=len(members), flag=1)
    return btf.build()


def thing_core():
    types = thing_types()
    content = bytearray(8 * PAGE)
    at = THING - KERNEL_TEXT
    content[at:at + 32] = struct.pack("<16sIIQ", b"fi\x1brst", 7, 5 | 9 << 3, THING + 32)
    content[at + 32:at + 64] = struct.pack("<16sIIQ", b"second", 1, 0, 0xFFFF800000000000)
    content[PAGE:PAGE + len(types)] = types
    symbols = {"_stext": KERNEL_TEXT, "__start_BTF": TYPES_AT, "thing": THING,
               "second": THING + 32, "__stop_BTF": TYPES_AT + len(types)}
    text = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n"
    text += "".join(f"SYMBOL({name})={address:x}\n" for name, address in symbols.items())
    return Core(content=bytes(content), notes=elf_core.note(b"VMCOREINFO", 0, text.encode()),
                loads=[Load(RAM, 0, 8 * PAGE), Load(RAM, 0, 8 * PAGE, virt=KERNEL_TEXT)])


class Print(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = thing_core().write(self.path("core"))

    def print(self, status, *words):
        return self.expect(status, "print", "-f", self.core, *words)

    def json(self, *words, status=cli.COMPLETE):
        return json.loads(self.print(status, "--json", *words).out)

    def test_a_struct(self):
        text = self.print(cli.COMPLETE, "struct thing@thing").text
        self.assertEqual(f"(struct thing) @ {THING:#018x} <thing+0x0> = {{\n"
                         '  name = "fi\\x1brst",\n  mood = ANGRY,\n  low = 5,\n  high = 9,\n'
                         f"  next = {THING + 32:#018x} <second+0x0>\n}}\n", text)

    def test_paths(self):
        for expression, value in (
                ("struct thing@thing.next->name", '"second"'),
                ("struct thing@thing.name[2]", "27"),
                (f"struct thing@{THING + 32:#x}.mood", "1"),
                (f"enum mood@phys:{RAM + 0x110:#x}", "ANGRY"),
                ("unsigned int[2]@thing+16", "{7, 77}")):
            text = self.print(cli.COMPLETE, expression).text
            self.assertTrue(text.endswith(f" = {value}\n"), f"{expression}: {text}")

    def test_the_same_from_a_snapshot(self):
        snapshot = self.capture(self.core)
        for words in (("struct thing@thing",), ("--json", "struct thing@thing.next[0]")):
            self.assertEqual(self.print(cli.COMPLETE, *words).out,
                             self.expect(cli.COMPLETE, "print", "-f", snapshot, *words).out)

    def test_json(self):
        answer = self.json("struct thing@thing")
        self.assertEqual((f"{THING:#018x}", "kernel", None, False), tuple(
            answer[key] for key in ("address", "space", "pid", "incomplete")))
        members = {member["name"]: member for member in answer["value"]["members"]}
        self.assertEqual(("ANGRY", 7), (members["mood"]["value"], members["mood"]["number"]))
        self.assertEqual((9, 3, 5), tuple(members["high"][key] for key in ("value", "bit", "bits")))
        self.assertEqual(f"{THING + 32:#018x}", members["next"]["value"])

    def test_layout(self):
        text = self.print(cli.COMPLETE, "--layout", "struct thing").text
        self.assertTrue(text.startswith("struct thing: 32 bytes, 5 members, 1 hole (3 bytes)\n"), text)
        layout = self.json("--layout", "struct thing")
        self.assertEqual([("name", 0), ("mood", 16), ("low", 20), ("high", 20), ("next", 24)],
                         [(member["name"], member["offset"]) for member in layout["members"]])
        self.assertEqual([{"offset": 21, "bit": 0, "bits": 24}], layout["holes"])

    def test_memory_that_is_missing(self):
        for expression in ("struct thing@thing.next->next->name", "struct thing@0xffff800000000000"):
            result = self.print(cli.HOLES, expression)
            self.assertIn("<unreadable>", result.text)
            self.assertIn("cannot be read: ", result.err)
            answer = self.json(expression, status=cli.HOLES)
            self.assertTrue(answer["incomplete"])

    def test_what_is_not_there(self):
        for expression, said in (
                ("struct thng@thing", "near: thing"), ("struct thing@thing.nme", "near: name"),
                ("struct thing@thng", '"thng"'), ("struct thing@thing.name.x", "has no members"),
                ("struct thing", "--layout"), ("thing.name", "'TYPE@"), ("", "TYPE@")):
            result = self.print(cli.USAGE, expression)
            self.assertEqual(b"", result.out)
            self.assertIn(said, result.err)
        self.print(cli.USAGE, "--layout", "struct thing@thing")
        self.print(cli.USAGE, "--depth", "0", "struct thing@thing")
        self.print(cli.USAGE)

    def test_a_core_without_types(self):
        core = elf_core.small_core().write(self.path("bare"))
        result = self.expect(cli.CORRUPT, "print", "-f", core, "struct thing@0x1000")
        self.assertIn("types cannot be had", result.err)


if __name__ == "__main__":
    cli.main()
