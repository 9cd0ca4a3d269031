#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""JSON for scripts: schemas, JSON lines, and the events of a capture.

test_schema.py PROGRAM
"""

import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import cli
import elf_core
from elf_core import PAGE, Core, Load
from gdb_client import Client, Server

VALIDATOR = Path(__file__).resolve().parents[1] / "support/validate_json.py"
DEBIAN_PYTHON = "/usr/bin/python3"  # where Debian's python3-jsonschema is
NOT_COMMANDS = {"events", "progress", "version"}


def commands_with_json():
    section = cli.run("--help").text.split("Subcommands:")[1]
    commands = re.findall(r"^  ([a-z]\w*) ", section, re.M)
    return {name for name in commands if "--json " in cli.run(name, "--help").text}


class JsonTestCase(cli.TestCase):
    def validate(self, *lines):
        """Each line: schema, "document" or "line", text."""
        done = subprocess.run([DEBIAN_PYTHON, "-B", VALIDATOR, cli.program], capture_output=True, text=True, check=False,
                              input="\n".join(json.dumps([*line, line[0]]) for line in lines), timeout=60)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return int(done.stdout.split()[0])

    def torn_core(self):
        """Eight pages; the file ends within the seventh."""
        path = self.path("torn")
        Core([Load(0x1000, 0, 8 * PAGE)], elf_core.mixed_bytes(8)).write(path)
        os.truncate(path, path.stat().st_size - PAGE - 100)
        return path

    def whole_core(self):
        path = self.path("core")
        Core([Load(0x1000, 0, 8 * PAGE)], elf_core.mixed_bytes(8)).write(path)
        return path


class Schemas(JsonTestCase):
    def test_every_command_with_json_has_a_schema(self):
        names = set(cli.run("schema").text.split())
        self.assertEqual(set(), commands_with_json() - names - {"convert"})
        self.assertEqual(NOT_COMMANDS, names - commands_with_json())
        for name in names:
            schema = json.loads(self.expect(cli.COMPLETE, "schema", name).text)
            self.assertEqual(f"urn:kcoredump:schema:1:{name}", schema["$id"])
        self.assertIn("vtop", self.expect(cli.USAGE, "schema", "nothing").err)
        self.assertEqual(cli.run("schema", "capture").out, cli.run("schema", "convert").out)

    def test_the_validator_sees_what_is_wrong(self):
        right = {"program": "kcoredump", "version": "1", "library": "1", "abi": 0, "schemas": 1}
        for wrong in ({**right, "abi": "0"}, {**right, "more": 1}, {"version": "1"}):
            done = subprocess.run([DEBIAN_PYTHON, "-B", VALIDATOR, cli.program], capture_output=True, text=True,
                                  check=False, input=json.dumps(["version", "document", json.dumps(wrong), "x"]))
            self.assertEqual(1, done.returncode, wrong)

    def test_what_is_printed_without_a_kernel(self):
        whole, torn = self.whole_core(), self.torn_core()
        failure = cli.run("capture", "-f", self.path("nothing"), "-o", self.path("a"), "--json")
        holes = cli.run("capture", "-f", torn, "-o", self.path("b"), "--json", "--progress", "json")
        snapshot = self.capture(whole)
        self.assertGreater(self.validate(
            ("version", "document", cli.run("--version", "--json").text),
            ("capture", "document", failure.text), ("capture", "document", holes.text),
            ("progress", "document", holes.err),
            ("convert", "document", cli.run("convert", snapshot, self.path("c"), "--to", "raw", "--json").text),
            ("info", "document", cli.run("info", "-f", snapshot, "--json").text),
            ("info", "document", cli.run("info", "-f", torn, "--json").text),
            ("verify", "document", cli.run("verify", snapshot, "--json").text),
            ("read", "document", cli.run("read", "phys:0x1000", "--json", "-f", whole).text),
            ("search", "document", cli.run("search", "a", "--json", "-f", whole).text),
            ("search", "line", cli.run("search", "a", "--json-lines", "-f", whole).text)), 20)

    def test_a_server_s_lines(self):
        with Server(elf_core.small_core().write(self.path("core")), "--listen", "127.0.0.1:0") as server:
            with Client(server.address) as client:
                client.ask("?")
            server.end()
        lines = "".join(json.dumps(event) + "\n" for event in server.events)
        self.assertGreaterEqual(self.validate(("serve", "document", lines)), 3)

    def test_json_lines_hold_what_json_holds(self):
        core = self.whole_core()
        whole = json.loads(self.expect(cli.COMPLETE, "search", "a", "--json", "-f", core).text)
        lines = [json.loads(line) for line in
                 self.expect(cli.COMPLETE, "search", "a", "--json-lines", "-f", core).text.splitlines()]
        self.assertGreater(len(whole["matches"]), 3)
        self.assertEqual(whole["matches"], lines[:-1])
        self.assertIs(True, lines[-1].pop("end"))
        self.assertEqual(set(whole) - {"matches"}, set(lines[-1]))


class Events(JsonTestCase):
    def events_of(self, text):
        self.validate(("events", "document", text))
        return [json.loads(line) for line in text.splitlines()]

    def test_events_of_a_capture_with_holes(self):
        where = self.path("events")
        done = cli.run("capture", "-f", self.torn_core(), "-o", self.path("x"), "--events", where, "--json")
        report = json.loads(done.text)
        events = self.events_of(where.read_text())
        self.assertEqual(["start", "finish"], [events[0]["event"], events[-1]["event"]])
        self.assertEqual(report["holes"], [{key: event[key] for key in ("physical", "pages", "kind", "errno")}
                                           for event in events if event["event"] == "hole"])
        self.assertNotEqual([], report["holes"])
        self.assertEqual(report["warnings"], [event["text"] for event in events if event["event"] == "warning"])
        self.assertEqual((report["status"], report["output"]), (events[-1]["status"], events[-1]["output"]))
        self.assertEqual(0o600, where.stat().st_mode & 0o777)

    def test_events_to_a_descriptor(self):
        read, write = os.pipe()
        core = self.whole_core()
        done = cli.run("capture", "-f", core, "-o", self.path("x"), "--events", write, pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as pipe:
            events = self.events_of(pipe.read())
        self.assertEqual((0, "complete"), (done.status, events[-1]["status"]))

    def test_events_of_a_capture_that_fails(self):
        where = self.path("events")
        self.expect(cli.IO, "capture", "-f", self.path("nothing"), "-o", self.path("x"), "--events", where)
        [event] = self.events_of(where.read_text())
        self.assertEqual(("finish", "failed"), (event["event"], event["status"]))
        self.assertIn("nothing", event["reason"])

    def test_nobody_reads_the_events(self):
        read, write = os.pipe()
        os.close(read)
        done = cli.run("capture", "-f", self.whole_core(), "-o", self.path("x"), "--events", write, pass_fds=[write])
        os.close(write)
        self.assertEqual(0, done.status)
        self.assertEqual(1, done.err.count("no more events are written"), done.err)

    def test_a_named_pipe_is_written_to_and_a_file_not_replaced_unasked(self):
        core, fifo = self.whole_core(), self.path("fifo")
        os.mkfifo(fifo)
        got = []
        reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
        reader.start()
        self.expect(cli.COMPLETE, "capture", "-f", core, "-o", self.path("x"), "--events", fifo)
        reader.join(timeout=30)
        self.assertEqual("finish", self.events_of(got[0])[-1]["event"])
        taken = self.path("taken")
        taken.write_text("mine")
        done = self.expect(cli.IO, "capture", "-f", core, "-o", self.path("y"), "--events", taken)
        self.assertIn("--force", done.err)
        self.assertEqual("mine", taken.read_text())
        self.assertFalse(self.path("y").exists())
        self.expect(cli.COMPLETE, "capture", "-f", core, "-o", self.path("y"), "--events", taken, "--force")
        self.assertEqual("start", self.events_of(taken.read_text())[0]["event"])

    def test_a_descriptor_that_is_not_there_or_taken(self):
        core = self.whole_core()
        done = self.expect(cli.USAGE, "capture", "-f", core, "-o", self.path("x"), "--events", 77)
        self.assertIn("77", done.err)
        self.expect(cli.USAGE, "capture", "-f", core, "-o", self.path("x"), "--events", 1, "--json")
        self.expect(cli.USAGE, "capture", "-f", core, "-o", "-", "--events", 1)
        self.assertEqual(["core"], self.names())

    def test_a_capture_that_is_interrupted_says_so_at_its_end(self):
        path, where = self.path("slow"), self.path("events")
        elf_core.slow_core().write(path)
        process = cli.start("capture", "-f", path, "-o", self.path("x"), "--level", 19, "--events", where)
        while not where.exists() or not re.search(r'"done_bytes":[1-9]', where.read_text()):
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        events = self.events_of(where.read_text())
        self.assertEqual(("finish", "partial", "interrupted"),
                         tuple(events[-1][key] for key in ("event", "status", "reason")))


if __name__ == "__main__":
    cli.main()
