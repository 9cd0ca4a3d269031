# SPDX-License-Identifier: MIT
"""What every scenario needs: a guest with the product in it, and its words checked."""

import dataclasses
import json
import pathlib
import subprocess

from vmlab import disk
from vmlab.errors import CheckFailed, LabError, check
from vmlab.guest import Guest

SEEK_TABLE_MAGIC = bytes.fromhex("b1ea928f")
CAPTURE_SECONDS = 240


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one `kcoredump capture` ended."""

    status: int
    report: dict
    messages: str

    def expect(self, status):
        """Check the exit status and that the report says the same."""
        check(self.status == status, f"capture exits {self.status}, expected {status}; it says:\n{self.messages}")
        if self.report:
            check(self.report["exit_status"] == status, f"the report's exit_status is {self.report['exit_status']}")
        return self

    def expect_words(self, *words):
        """Check that the messages hold each of `words`, upper or lower case."""
        for word in words:
            check(word.lower() in self.messages.lower(), f"the message does not say {word!r}:\n{self.messages}")


class Context:
    """One run of one scenario on one kernel."""

    def __init__(self, kernel, folder, kcoredump, pattern=None, ladder=None, tasks=None):
        self.kernel = kernel
        self.folder = pathlib.Path(folder)
        self.kcoredump = kcoredump
        self.pattern = pattern
        self.ladder = ladder
        self.tasks = tasks

    def need(self, name):
        """The path given with --NAME; it must have been."""
        path = getattr(self, name)
        if not path:
            raise LabError(f"this scenario needs --{name} PATH")
        return path

    def guest(self, files=(), **options):
        """A Guest with the product in /bin."""
        return Guest(self.kernel, files=[self.need("kcoredump"), *files], **options)

    def disk(self, mebibytes=1024, name="disk"):
        """A fresh ext4 image."""
        return disk.make_ext4(self.folder / name, mebibytes)

    def pull(self, image, name):
        """A file out of an image, as a path on the host."""
        return pathlib.Path(disk.pull(image, name, self.folder / pathlib.Path(name).name))

    def host(self, *arguments, status=0):
        """Run the product on the host; return its stdout after checking its exit status."""
        done = self.host_any(*arguments)
        check(done.returncode == status, f"kcoredump {' '.join(map(str, arguments))} exits {done.returncode}, "
              f"expected {status}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def host_any(self, *arguments):
        """Run the product on the host; return what came of it."""
        return subprocess.run([self.need("kcoredump"), *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, timeout=CAPTURE_SECONDS)

    def info(self, snapshot):
        """`kcoredump info --json` of a snapshot."""
        return json.loads(self.host("info", "-f", snapshot, "--json"))

    def unpack(self, snapshot):
        """Unpack with plain zstd, as anyone would."""
        plain = pathlib.Path(f"{snapshot}.plain")
        with open(plain, "wb") as output:
            done = subprocess.run(["zstd", "-dcq", snapshot], stdout=output, stderr=subprocess.PIPE, check=False)
        check(done.returncode == 0, f"zstd -dc {snapshot.name}: {done.stderr.decode(errors='replace')}")
        return plain


def prepare_pattern(guest, option=""):
    """Start the pattern holder, wait until its pages are there, and return what it printed."""
    return guest.must(
        # Compaction moves locked pages, too, unless told not to.
        "echo 0 >/proc/sys/vm/compact_unevictable_allowed\n"
        f"guest_pattern {option} >/tmp/pattern.log 2>&1 &\n"
        "for i in $(seq 300); do grep -q ready /tmp/pattern.log && break; sleep 0.1; done\n"
        "cat /tmp/pattern.log; grep -q ready /tmp/pattern.log", timeout=60)


def fill_with_noise(guest, mebibytes=32):
    """Put memory into use that no compressor makes smaller, so that a capture has some size."""
    guest.must(f"dd if=/dev/urandom of=/tmp/noise bs=1M count={mebibytes} 2>/dev/null", timeout=120)


def capture(guest, arguments, prefix="", timeout=CAPTURE_SECONDS):
    """Run `kcoredump capture ARGUMENTS --json` in the guest; `prefix` goes before it."""
    status, noise = guest.run(f"{prefix} kcoredump capture {arguments} --json "
                              ">/tmp/report.json 2>/tmp/messages", timeout)
    messages = noise + guest.must("cat /tmp/messages")
    text = guest.must("cat /tmp/report.json")
    report = {}
    if text.strip():
        try:
            report = json.loads(text)
        except ValueError as error:
            raise CheckFailed(f"--json did not print one JSON object ({error}):\n{text}\n{messages}") from error
    return Outcome(status, report, messages)


def check_accounts(report):
    """The report's numbers of pages must add up."""
    pages = report["pages"]
    parts = ("read", "unreadable", "hwpoison", "offline", "absent", "not_reached", "excluded")
    check(sum(pages[part] for part in parts) == pages["total"], f"the page accounts do not add up: {pages}")
    held = sum(hole["pages"] for hole in report["holes"])
    holes = sum(pages[part] for part in parts[1:-2])
    # The list of a report is cut at 1000 entries.
    check(held == holes or len(report["holes"]) == 1000, f"the list of holes has {held} pages, the accounts {holes}")


def zstd_test(snapshot):
    """The file is one valid zstd stream that ends with a seek table."""
    done = subprocess.run(["zstd", "-tq", snapshot], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"zstd -t {snapshot.name}: {done.stderr}")
    with open(snapshot, "rb") as handle:
        handle.seek(-4, 2)
        check(handle.read() == SEEK_TABLE_MAGIC, f"{snapshot.name} does not end with a seek table")
