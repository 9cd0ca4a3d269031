# SPDX-License-Identifier: MIT
"""A client of GDB's remote protocol, and a server to talk to."""

import json
import random
import signal
import socket
import subprocess
import threading
import time

import cli


def packet(content):
    content = content.encode() if isinstance(content, str) else content
    return b"$%s#%02x" % (content, sum(content) & 0xFF)


class Client:
    """One connection; `ask` sends a packet and waits for its answer."""

    def __init__(self, address):
        kind = socket.AF_UNIX if "/" in address else socket.AF_INET6 if "[" in address else socket.AF_INET
        host, _, port = address.rpartition(":")
        self.socket = socket.socket(kind)
        self.socket.settimeout(cli.TIMEOUT_S)
        self.socket.connect(address if kind == socket.AF_UNIX else (host.strip("[]"), int(port)))
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """The content of the next packet; None: hung up."""
        while True:
            start = self.unread.find(b"$")
            end = self.unread.find(b"#", start)
            if start >= 0 and end >= 0 and len(self.unread) >= end + 3:
                whole, self.unread = self.unread[start:end + 3], self.unread[end + 3:]
                assert whole == packet(whole[1:-3]), whole
                return whole[1:-3].decode("latin-1")
            data = self.socket.recv(65536)
            if not data:
                return None
            self.unread += data

    def ask(self, content):
        self.send(packet(content))
        return self.answer()

    def monitor(self, command):
        """All that a command says."""
        self.send(packet("qRcmd," + command.encode().hex()))
        text = b""
        while (content := self.answer()) != "OK":
            assert content[0] == "O", content
            text += bytes.fromhex(content[1:])
        return text.decode()


class Server:
    """`kcoredump serve`, with what it says on standard output as events."""

    def __init__(self, image, *words):
        self.process = cli.start("serve", "-f", image, "--json", *words, stderr=subprocess.PIPE)
        ready = json.loads(self.process.stdout.readline() or "{}")
        self.address = ready.get("text")
        self.events = [ready]
        # What nobody reads would fill the pipe, and stop the server.
        self._threads = [threading.Thread(target=self._collect, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        self.errors = ""
        for thread in self._threads:
            thread.start()

    def _collect(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def _read_errors(self):
        self.errors = self.process.stderr.read().decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(cli.TIMEOUT_S)
        self.process.stdout.close()
        self.process.stderr.close()

    def wait_for(self, text):
        """Whether an event says `text` before long."""
        until = time.monotonic() + cli.TIMEOUT_S
        while text not in str(self.events) and time.monotonic() < until:
            time.sleep(0.01)
        return text in str(self.events)

    def end(self, number=signal.SIGTERM):
        """The exit status after a signal."""
        self.process.send_signal(number)
        return self.process.wait(cli.TIMEOUT_S)

    def measure(self, key):
        """A number of /proc/PID/status."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(key + ":"))


CONTENTS = ("?", "g", "p0", "p10", "m{a:x},40", "m{a:x},ffff", "m0,8", "Hg1", "Hc-1", "T1", "qSupported:xmlRegisters=i386",
            "qXfer:features:read:target.xml:{b:x},400", "qXfer:threads:read::0,1000", "qXfer:memory-map:read::0,100",
            "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo,1", "qThreadStopInfo1", "qMemoryRegionInfo:{a:x}", "qC",
            "qOffsets", "qAttached", "QStartNoAckMode", "X{a:x},3:}}abc", "M{a:x},1:00", "P0=00", "Z0,{a:x},1", "c", "s",
            "vCont?", "vCont;c", "vMustReplyEmpty", "qRcmd,7878", "!")
FAREWELLS = ("D", "k", "vKill;1")


def hostile_bytes(source, address):
    """One packet, or something like it, from a random.Random."""
    contents = CONTENTS if source.randrange(300) else FAREWELLS
    content = source.choice(contents).format(a=address + source.randrange(1 << 20), b=source.randrange(8192)).encode()
    kind = source.randrange(8)
    if kind == 0:
        return source.randbytes(source.randrange(64))
    if kind == 1:
        changed = bytearray(packet(content))
        changed[source.randrange(len(changed))] ^= 1 << source.randrange(8)
        return bytes(changed)
    if kind == 2:
        return packet(content)[:source.randrange(len(content) + 4)]
    if kind == 3:
        position = source.randrange(len(content) + 1)
        return packet(content[:position] + source.randbytes(source.randrange(8)) + content[position:])
    return packet(content) + source.choice((b"", b"+", b"-", b"\x03"))


def pester(server, packets, seed, address, answers):
    """Send so many packets over one connection after another; only count the `answers`, into a list."""
    source = random.Random(seed)
    while packets > 0:
        with Client(server.address) as client:
            reader = threading.Thread(target=count_answers, args=(client.socket, answers), daemon=True)
            reader.start()
            try:
                for _ in range(min(packets, source.randrange(1, 400))):
                    packets -= 1
                    client.send(hostile_bytes(source, address))
                client.socket.shutdown(source.choice((socket.SHUT_WR, socket.SHUT_WR, socket.SHUT_RDWR)))
            except OSError:
                pass  # it has hung up, as it was asked to: "D", "k"
            # Before the socket is closed: its number may be a pipe's when the reader looks at it again.
            reader.join(cli.TIMEOUT_S)


def count_answers(connection, answers):
    try:
        while data := connection.recv(65536):
            answers.append(data.count(b"$"))
    except OSError:
        pass
