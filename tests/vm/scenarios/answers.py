# SPDX-License-Identifier: MIT
"""One question put to the live kernel in its guest and to files on the host: the same shell text for both."""

import dataclasses
import json
import shlex
import subprocess
import time

from vmlab.errors import CheckFailed, check

# Room for some 150,000 arguments of a command; the kernel takes 6 MiB with such a stack, pointers included.
BULK = "ulimit -s 65536; xargs -s 3500000"
SECONDS = 240


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one command said."""

    command: str
    status: int
    output: bytes
    messages: str

    def text(self, status=0):
        """The output, after checking the exit status."""
        check(self.status == status, f"`{self.command[:200]}` exits {self.status}, expected {status}: "
              f"{self.messages[-1000:]}")
        return self.output.decode(errors="surrogateescape")

    def json(self, status=0):
        """The one JSON document."""
        try:
            return json.loads(self.text(status))
        except ValueError as error:
            raise CheckFailed(f"`{self.command[:200]}` gives no JSON: {error}: {self.output[:300]}") from error

    def documents(self, status=0):
        """One JSON document after another."""
        text, decoder, found, at = self.text(status), json.JSONDecoder(), [], 0
        while at < len(text):
            document, at = decoder.raw_decode(text, at)
            found.append(document)
            while at < len(text) and text[at].isspace():
                at += 1
        return found


class FileAnswers:
    """Asks an image on the host, each question once. `folder` has the lists that questions read."""

    def __init__(self, name, kcoredump, image, folder, questions):
        self.name = name
        self._questions = questions
        self._folder = folder
        self._variables = {"K": str(kcoredump), "F": f"-f {shlex.quote(str(image))}", "IN": str(folder),
                           "IMAGE": shlex.quote(str(image))}
        self._known = {}

    def ask(self, name):
        """The Answer to the question called `name`."""
        if name not in self._known:
            command = self._questions[name]
            done = subprocess.run(["sh", "-c", expand(command, self._variables)], stdin=subprocess.DEVNULL,
                                  capture_output=True, check=False, timeout=SECONDS)
            self._known[name] = Answer(command, done.returncode, done.stdout, done.stderr.decode(errors="replace"))
        return self._known[name]


def expand(command, variables):
    """Put the values of $K (the program), $F (its -f option) and $IN (the folder of lists) into a question."""
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    return command


def ask_live(guest, questions, folder, lists):
    """Put all questions to the guest's own kernel; the answers are left in `folder` there."""
    variables = {"K": "kcoredump", "F": "", "IN": lists}
    guest.must(f"mkdir -p {folder}")
    seconds = {}
    for name, command in questions.items():
        started = time.monotonic()
        guest.must(f"({expand(command, variables)}) >{folder}/{name} 2>{folder}/{name}.err\n"
                   f"echo $? >{folder}/{name}.status", SECONDS)
        seconds[name] = time.monotonic() - started
    slowest = sorted(seconds, key=seconds.get, reverse=True)[:8]
    print("slowest: " + ", ".join(f"{name} {seconds[name]:.1f} s" for name in slowest), flush=True)


class LiveAnswers:
    """What ask_live() left, pulled to `folder`."""

    name = "live"

    def __init__(self, folder, questions):
        self._folder = folder
        self._questions = questions

    def ask(self, name):
        """The Answer to the question called `name`."""
        path = self._folder / name
        return Answer(self._questions[name], int(path.with_suffix(".status").read_text()), path.read_bytes(),
                      path.with_suffix(".err").read_text(errors="replace"))
