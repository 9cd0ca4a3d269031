#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a responder asks, from bt to workqueues: slips of the command line, and images that tell nothing."""

import cli
import elf_core

OF_PROCESS = ("maps", "files")
WITHOUT = (("mounts",), ("slab",), ("sockets",), ("maps", "1"), ("files", "1"), ("bt", "1"), ("bt", "--all"),
           ("bt", "--cpu", "0"), ("check",), ("list", "struct module.list@modules"), ("irqs",), ("timers",),
           ("workqueues",), ("pages", "phys:0x1000"))


class ResponderCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))


class Slips(ResponderCase):
    def test_a_process_must_be_named_by_its_number(self):
        for command in OF_PROCESS:
            self.expect(cli.USAGE, command, "-f", self.core)
            self.expect(cli.USAGE, command, "sshd", "-f", self.core)
            self.expect(cli.USAGE, command, "-1", "-f", self.core)

    def test_whose_stack_must_be_said_once(self):
        for words in ((), ("1", "--all"), ("1", "--cpu", "0"), ("--cpu", "x")):
            self.expect(cli.USAGE, "bt", *words, "-f", self.core)

    def test_a_list_has_a_head(self):
        for words in (("struct module.list",), ("@modules",), ("struct module.list@",), ()):
            self.assertNotIn(b"0x", self.expect(cli.USAGE, "list", *words, "-f", self.core).out)


    def test_slabs_are_the_kernels_own(self):
        for where in ("phys:0x1000", "pid:1:0x1000"):
            self.assertIn("give a kernel address", self.expect(cli.USAGE, "slab", where, "-f", self.core).err)

    def test_a_core_has_a_process_and_a_name(self):
        for words in (("1",), ("-o", "new"), ("sshd", "-o", "new"), ("1", "-o", "")):
            self.expect(cli.USAGE, "carve", *words, "-f", self.core)

    def test_a_string_has_some_characters(self):
        for least in ("0", "-1", "x", "1000000"):
            self.expect(cli.USAGE, "strings", "--min", least, "-f", self.core)
        self.expect(cli.USAGE, "strings", "(", "-f", self.core)


class Nothing(ResponderCase):
    def test_an_image_without_types_is_not_supported(self):
        for words in WITHOUT:
            for more in ((), ("--json",)):
                done = self.expect(cli.CORRUPT, *words, *more, "-f", self.core)
                self.assertEqual(b"", done.out, words)
                self.assertIn("error: ", done.err, words)

    def test_images_of_no_kernel_are_not_compared(self):
        for more in ((), ("--json",)):
            done = self.expect(cli.CORRUPT, "diff", self.core, self.core, *more)
            self.assertEqual(b"", done.out)
            self.assertIn("which kernel", done.err)
        self.expect(cli.USAGE, "diff", self.core)
        self.expect(cli.IO, "diff", self.core, self.path("none"))


if __name__ == "__main__":
    cli.main()
