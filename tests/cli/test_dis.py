#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump dis: what it prints, what it says where code or memory ends, and every boundary of an
instruction against objdump."""

import json
import re
import shutil
import struct
import subprocess
import unittest
from pathlib import Path

import cli
import elf_core
from elf_core import KERNEL_TEXT, PAGE, Core, Load

BASE = 0x1000000
LINE = re.compile(r"^  ([0-9a-f]{16})  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: |$)", re.MULTILINE)

CODE = bytes.fromhex(
    "f30f1efa"          # endbr64
    "0f1f440000"        # nopl
    "4889e5"            # mov %rsp, %rbp
    "e8f4ffffff"        # call +0x5
    "7410"              # je +0x23
    "06"                # no instruction
    "488b05e90f0000"    # mov 0xfe9(%rip), %rax
    "c3")


class DisCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = self.write_core(CODE.ljust(PAGE - 2, b"\x90") + b"\xe8\x00")

    def write_core(self, code, name="core"):
        code += bytes(-len(code) % PAGE)
        return Core(content=code, loads=[
            Load(BASE, 0, len(code)), Load(BASE, 0, len(code), virt=KERNEL_TEXT),
        ]).write(self.path(name))

    def dis(self, status, *words, file=None):
        return self.expect(status, "dis", "-f", file or self.core, *words)


class Text(DisCase):
    def test_att_is_the_default(self):
        self.assertEqual("""\
  ffffffff81000000  endbr64
  ffffffff81000004  nopl   (%rax, %rax)
  ffffffff81000009  movq   %rsp, %rbp
  ffffffff8100000c  callq  0xffffffff81000005
  ffffffff81000011  je     0xffffffff81000023
  ffffffff81000013  (bad)
  ffffffff81000014  movq   0xfe9(%rip), %rax            # 0xffffffff81001004
  ffffffff8100001b  retq
""", self.dis(cli.COMPLETE, hex(KERNEL_TEXT), 8).text)

    def test_intel_and_bytes(self):
        result = self.dis(cli.COMPLETE, KERNEL_TEXT + 9, 2, "--syntax", "intel", "--bytes")
        self.assertEqual("""\
  ffffffff81000009  48 89 e5                 mov    rbp, rsp
  ffffffff8100000c  e8 f4 ff ff ff           call   0xffffffff81000005
""", result.text)

    def test_a_snapshot_and_physical_addresses_give_the_same(self):
        snapshot = self.capture(self.core)
        code = re.compile(r"^  [0-9a-f]{16}  (\w+)", re.MULTILINE)
        wanted = code.findall(self.dis(cli.COMPLETE, hex(KERNEL_TEXT)).text)
        self.assertEqual(15, len(wanted))  # (bad) is the 16th
        for where in (hex(KERNEL_TEXT), f"phys:{BASE:#x}"):
            result = self.dis(cli.COMPLETE, where, file=snapshot)
            self.assertEqual(wanted, code.findall(result.text))

    def test_colour_and_width_on_a_terminal_alone(self):
        words = ("dis", hex(KERNEL_TEXT), "8", "-f", self.core)
        shown = cli.run_on_terminal(*words, stdout="terminal", columns=52).err
        self.assertIn("\x1b[36m", shown)
        plain = re.sub(r"\x1b\[[0-9]*m", "", shown)
        lines = [line for line in plain.splitlines() if not line.startswith("kcoredump:")]
        self.assertLessEqual(max(map(len, lines)), 52, lines)
        self.assertTrue(any(line.endswith("…") for line in lines), lines)
        self.assertNotIn("\x1b", cli.run(*words).text)


class Json(DisCase):
    def test_all_that_the_text_says(self):
        result = self.dis(cli.COMPLETE, hex(KERNEL_TEXT), 8, "--json")
        answer = json.loads(result.out)
        self.assertEqual(("x86_64", "kernel", False), tuple(
            answer[key] for key in ("machine", "space", "incomplete")))
        code = answer["instructions"]
        self.assertEqual(CODE, bytes.fromhex("".join(one["bytes"] for one in code)))
        self.assertEqual("0xffffffff81000005", code[3]["target"])
        self.assertEqual(("(bad)", "06"), (code[5]["mnemonic"], code[5]["bytes"]))
        self.assertEqual("0xffffffff81001004", code[6]["references"][0]["address"])

    def test_physical(self):
        answer = json.loads(self.dis(cli.COMPLETE, f"phys:{BASE:#x}", 1, "--json").out)
        self.assertEqual(("physical", "0x0000000001000000"), (answer["space"], answer["address"]))


class Ends(DisCase):
    def test_memory_that_ends_within_an_instruction(self):
        last = KERNEL_TEXT + PAGE - 4
        result = self.dis(cli.HOLES, hex(last))
        self.assertEqual(["nop", "nop", "(truncated)"],
                         [line.split()[1] for line in result.text.splitlines()])
        self.assertIn(f"{KERNEL_TEXT + PAGE:#x}", result.err)
        answer = json.loads(self.dis(cli.HOLES, hex(last), "--json").out)
        self.assertTrue(answer["incomplete"])
        self.dis(cli.COMPLETE, hex(last), 2)

    def test_no_memory_at_all(self):
        for where in ("0xffffffffa0000000", "phys:0"):
            result = self.dis(cli.HOLES, where)
            self.assertEqual(b"", result.out)
            self.assertIn("error:", result.err)


class Usage(DisCase):
    def test_what_cannot_be_asked(self):
        at = hex(KERNEL_TEXT)
        for words in ((), (at, 0), (at, -1), (at, 100001), (at, "x"), (at, 4, "--function"),
                      (at, "--function"), ("no_such_symbol",), (at, "--syntax", "masm"),
                      (f"phys:{BASE}", "--function"), ("phys:x",), (at, 1, 2)):
            result = self.dis(cli.USAGE, *words)
            self.assertEqual(b"", result.out, words)

    def test_a_machine_that_is_not_known(self):
        image = bytearray(self.core.read_bytes())
        struct.pack_into("<H", image, 18, 243)  # e_machine: RISC-V
        self.path("riscv").write_bytes(image)
        result = self.dis(cli.CORRUPT, hex(KERNEL_TEXT), file=self.path("riscv"))
        self.assertIn("e_machine 243", result.err)

    def test_aarch64(self):
        code = struct.pack("<3I", 0xD503233F, 0x97FFFFFF, 0)
        image = bytearray(self.write_core(code).read_bytes())
        struct.pack_into("<H", image, 18, 183)
        self.path("arm").write_bytes(image)
        result = self.dis(cli.COMPLETE, hex(KERNEL_TEXT), 3, "--bytes", file=self.path("arm"))
        self.assertEqual(["d503233f  paciasp", "97ffffff  bl     #0xffffffff81000000",
                          "00000000  udf    #0x0"],
                         [line[20:] for line in result.text.splitlines()])
        self.dis(cli.USAGE, hex(KERNEL_TEXT + 2), file=self.path("arm"))


def text_section(path):
    """The bytes of .text of an ELF file."""
    image = Path(path).read_bytes()
    table, = struct.unpack_from("<Q", image, 40)
    entry, count, names = struct.unpack_from("<HHH", image, 58)
    header = lambda index: struct.unpack_from("<IIQQQQ", image, table + index * entry)
    names_at = header(names)[4]
    for index in range(count):
        name, _, _, _, offset, size = header(index)
        if image[names_at + name:].startswith(b".text\0"):
            return image[offset:offset + size]
    raise ValueError("no .text")


@unittest.skipUnless(shutil.which("objdump"), "objdump is not installed (binutils)")
class AgainstObjdump(DisCase):
    """The program's own code, as if it were the kernel's."""

    COUNT = 100000

    def objdump(self, code, address):
        """[(address, bytes)] of each instruction, and the text of those that objdump calls bad."""
        self.path("raw").write_bytes(code)
        out = subprocess.run(
            ["objdump", "-D", "-z", "-w", "-b", "binary", "-m", "i386:x86-64",
             f"--adjust-vma={address:#x}", self.path("raw")],
            check=True, capture_output=True, text=True, timeout=cli.TIMEOUT_S).stdout
        found = re.findall(r"^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t?(.*)$", out, re.MULTILINE)
        return [(int(at, 16), raw.strip(), text) for at, raw, text in found]

    def ours(self, core, address):
        text = self.dis(cli.COMPLETE, hex(address), self.COUNT, "--bytes", file=core).text
        return [(int(at, 16), raw) for at, raw in LINE.findall(text)]

    def test_every_boundary(self):
        code = text_section(cli.program)
        self.assertGreater(len(code), 12 * self.COUNT)
        core = self.write_core(code)
        for offset in (0, len(code) // 2 // PAGE * PAGE):
            wanted = self.objdump(code[offset:offset + 12 * self.COUNT], KERNEL_TEXT + offset)
            # The middle may lie within an instruction; by here both have fallen into step.
            skip = 0 if offset == 0 else 100
            first = wanted[skip][0]
            ours = self.ours(core, first)
            self.assertEqual(self.COUNT, len(ours))
            by_address = {at: (raw, text) for at, raw, text in wanted}
            wrong = [(hex(at), raw, by_address.get(at)) for at, raw in ours
                     if by_address.get(at, ("", ""))[0] != raw]
            # fwait is an instruction of its own, which binutils glues to the next.
            self.assertEqual([], wrong[:5], f"of {len(wrong)}")


if __name__ == "__main__":
    cli.main()
