#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump serve: where it listens, what its clients may do, and what they cannot do to it.

SERVE_PACKETS sets how many packets the last test sends.
"""

import os
import socket
import stat
import struct
import subprocess
import threading
import time

import cli
import elf_core
import gdb_client
from elf_core import DIRECT_MAP, PAGE
from gdb_client import Client, Server, packet

PACKETS = int(os.environ.get("SERVE_PACKETS", "3000"))
PESTERERS = 4
MEMORY = DIRECT_MAP + 0x1000  # of small_core's first page
AARCH64 = 183
LONG_COMMAND = b"search --hex 00 --max 100000000 --align 1"


class ServeCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core()
        self.image = self.core.write(self.path("core"))

    def server(self, *words):
        server = Server(self.image, *(words or ("--listen", "127.0.0.1:0")))
        self.addCleanup(server.__exit__)
        self.assertIsNotNone(server.address, server.process.poll())
        return server


class Listening(ServeCase):
    def test_tells_where_and_how_far_the_kernel_was_moved(self):
        server = self.server()
        self.assertRegex(server.address, r"^127\.0\.0\.1:\d+$")
        self.assertEqual("ready", server.events[0]["event"])
        with Client(server.address) as client:
            self.assertTrue(client.ask("?").startswith("T05thread:"))
        self.assertEqual(cli.COMPLETE, server.end())

    def test_at_other_loopback_addresses(self):
        for where in ("localhost:0", "127.1.2.3:0", "[::1]:0"):
            with self.subTest(where):
                if where.startswith("[") and not os.path.exists("/proc/net/if_inet6"):
                    self.skipTest("no IPv6 here")
                with Client(self.server("--listen", where).address) as client:
                    self.assertEqual("1", client.ask("qAttached"))

    def test_a_remote_address_must_be_allowed(self):
        for where in ("0.0.0.0:0", "[::]:0", "192.0.2.1:1234"):
            result = self.expect(cli.USAGE, "serve", "-f", self.image, "--listen", where)
            self.assertIn("--allow-remote", result.err)
        server = self.server("--listen", "0.0.0.0:0", "--allow-remote")
        with Client(server.address.replace("0.0.0.0", "127.0.0.1")) as client:
            self.assertEqual("1", client.ask("qAttached"))

    def test_what_is_no_address(self):
        for where in ("", "1234", ":1234", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "::1:1234",
                      "example.org:1234", "127.0.0.1:-1"):
            self.expect(cli.USAGE, "serve", "-f", self.image, "--listen", where)
        for words in (("--stdio", "--unix", "x"), ("--stdio", "--json"), ("--listen", "127.0.0.1:0", "--unix", "x"),
                      ("--allow-remote",), ("--unix", "")):
            self.expect(cli.USAGE, "serve", "-f", self.image, *words)
        self.assertEqual(["core"], self.names())

    def test_an_address_in_use(self):
        result = self.expect(cli.IO, "serve", "-f", self.image, "--listen", self.server().address)
        self.assertIn("in use", result.err)

    def test_a_socket_of_its_own(self):
        path = self.path("gdb")
        server = self.server("--unix", path)
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        with Client(server.address) as client:
            self.assertEqual("1", client.ask("qAttached"))
        self.expect(cli.IO, "serve", "-f", self.image, "--unix", path)
        self.assertEqual(cli.COMPLETE, server.end())
        self.assertFalse(path.exists())

    def test_a_socket_that_a_killed_server_left_is_replaced_and_nothing_else_is(self):
        path = self.path("gdb")
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        with Client(self.server("--unix", path).address) as client:
            self.assertEqual("1", client.ask("qAttached"))
        self.path("file").write_text("mine")
        self.expect(cli.IO, "serve", "-f", self.image, "--unix", self.path("file"))
        self.assertEqual("mine", self.path("file").read_text())

    def test_a_socket_that_took_its_place_stays(self):
        path = self.path("gdb")
        first = self.server("--unix", path)
        path.unlink()
        second = self.server("--unix", path)
        self.assertEqual(cli.COMPLETE, first.end())
        with Client(second.address) as client:
            self.assertEqual("1", client.ask("qAttached"))

    def test_standard_input_and_output(self):
        with cli.start("serve", "-f", self.image, "--stdio", stdin=subprocess.PIPE) as process:
            out, err = process.communicate(packet("qAttached") + packet("D"), timeout=cli.TIMEOUT_S)
        self.assertEqual((cli.COMPLETE, b"+" + packet("1") + b"+" + packet("OK")), (process.returncode, out))
        self.assertIn(b"kcoredump: ", err)
        self.assertEqual(b"", self.expect(cli.COMPLETE, "serve", "-f", self.image, "--stdio").out)

    def test_what_cannot_be_served(self):
        self.expect(cli.IO, "serve", "-f", self.path("missing"), "--stdio")
        changed = bytearray(self.image.read_bytes())
        struct.pack_into("<H", changed, 18, AARCH64)
        self.image.write_bytes(changed)
        self.assertIn("x86_64", self.expect(cli.CORRUPT, "serve", "-f", self.image, "--stdio").err)


class Answers(ServeCase):
    def setUp(self):
        super().setUp()
        self.running = self.server()
        self.client = Client(self.running.address)
        self.addCleanup(self.client.__exit__)

    def test_memory_as_it_is_and_errors_where_there_is_none(self):
        self.assertEqual(self.core.content[:64].hex(), self.client.ask(f"m{MEMORY:x},40"))
        end = MEMORY + 40 * PAGE
        self.assertEqual(self.core.content[40 * PAGE - 8:40 * PAGE].hex(), self.client.ask(f"m{end - 8:x},10"))
        for address in (end, 0, 0xFFFFFFFFFFFFFFF8, 0x800000000000, MEMORY - PAGE):
            self.assertEqual("E0e", self.client.ask(f"m{address:x},8"), hex(address))

    def test_without_tasks_there_is_one_thread_that_stands_nowhere(self):
        self.assertEqual("m1", self.client.ask("qfThreadInfo"))
        self.assertEqual("0" * 16, self.client.ask("p10"))
        self.assertIn("xxxx", self.client.ask("g"))
        self.assertTrue(self.running.wait_for("tasks are not known"), self.running.events)

    def test_monitor_says_what_the_command_says(self):
        for command in ("read phys:0x1000 64", "info"):
            right = cli.run(*command.split(), "-f", self.image)
            self.assertEqual(right.text + right.err, self.client.monitor(command))
        self.assertIn("dis files info irqs list log", self.client.monitor("help"))

    def test_monitor_writes_no_files_and_opens_no_others(self):
        self.path("secret").write_text("secret")
        for command in (f"read 0 -f {self.path('secret')}", f"info --file={self.path('secret')}", "info -f/etc/passwd",
                        f"convert {self.image} {self.path('copy')}", f"capture -o {self.path('copy')}",
                        f"log convert {self.image} {self.path('copy')}", f"export isf -o {self.path('copy')}",
                        "log --follow", "serve --stdio", "../../bin/sh", "", "'"):
            text = self.client.monitor(command)
            self.assertNotEqual("", text, command)
            self.assertNotIn("secret\n", text)
        self.assertEqual(["core", "secret"], self.names())

    def test_a_monitor_command_ends_with_ctrl_c_and_keeps_nobody_waiting(self):
        self.client.send(packet("qRcmd," + LONG_COMMAND.hex()))
        with Client(self.running.address) as other:
            self.assertEqual("1", other.ask("qAttached"))
        self.client.send(b"\x03")
        while self.client.answer() != "OK":
            pass
        self.assertEqual("1", self.client.ask("qAttached"))


def flood(client, data):
    """Send it again and again, and take no answers."""
    try:
        while True:
            client.send(data)
    except OSError:
        pass  # the server ended, or it takes no more


class Hostility(ServeCase):
    def check_alive(self, server):
        with Client(server.address) as client:
            self.assertEqual(self.core.content[:64].hex(), client.ask(f"m{MEMORY:x},40"))

    def test_silent_clients_make_room(self):
        server = self.server()
        silent = [Client(server.address) for _ in range(100)]
        self.check_alive(server)
        for client in silent:
            client.socket.close()
        self.check_alive(server)

    def test_a_client_that_floods_and_never_reads(self):
        server = self.server()
        with Client(server.address) as flooder:
            flooder.socket.settimeout(1)
            with self.assertRaises(TimeoutError):
                while True:
                    flooder.send(packet(f"m{MEMORY:x},2000") * 1000)
            started = time.monotonic()
            self.check_alive(server)
            self.assertLess(time.monotonic() - started, 5)
        self.assertLess(server.measure("VmRSS"), 200 << 10)

    def test_a_flood_of_commands_keeps_nobody_waiting(self):
        server = self.server()
        for _ in range(6):
            flooder = Client(server.address)
            threading.Thread(target=flood, args=(flooder, packet("qRcmd," + LONG_COMMAND.hex()) * 30)).start()
            self.addCleanup(flooder.socket.close)
        with Client(server.address) as other:
            started = time.monotonic()
            for _ in range(5):
                self.assertEqual("1", other.ask("qAttached"))
            self.assertEqual(cli.COMPLETE, server.end())
            self.assertLess(time.monotonic() - started, 5)

    def test_clients_that_vanish_in_the_middle(self):
        server = self.server()
        whole = packet(f"m{MEMORY:x},2000") * 3 + packet("qRcmd," + b"info".hex())
        for cut in range(0, len(whole), 3):
            with Client(server.address) as client:
                linger = struct.pack("ii", 1, 0)  # a reset instead of a farewell
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.send(whole[:cut])
        self.check_alive(server)
        self.assertEqual(cli.COMPLETE, server.end())

    def test_many_packets_of_every_kind(self):
        server = self.server()
        answers = []
        pesterers = [threading.Thread(target=gdb_client.pester,
                                      args=(server, PACKETS // PESTERERS, seed, MEMORY, answers))
                     for seed in range(PESTERERS)]
        for pesterer in pesterers:
            pesterer.start()
        for pesterer in pesterers:
            pesterer.join()
        self.assertGreater(sum(answers), PACKETS // 4)
        self.check_alive(server)
        self.assertLess(server.measure("VmHWM"), 500 << 10)
        descriptors = os.listdir(f"/proc/{server.process.pid}/fd")
        self.assertLess(len(descriptors), 40, descriptors)
        self.assertEqual(cli.COMPLETE, server.end(), server.errors)


if __name__ == "__main__":
    cli.main()
