# SPDX-License-Identifier: MIT
"""Debian packages of any suite, from the mirror this machine's apt already uses.

Nothing is installed and nothing of the machine's own apt state is touched: a
private apt root in a temporary folder does the work.
"""

import pathlib
import re
import subprocess

from .errors import LabError

SUITES = re.compile(r"^(buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)"
                    r"(-updates|-backports|-proposed-updates)?$")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def parse_one_line(text):
    """Yield (uri, suite, components, options) of each `deb` line of a .list file."""
    for line in text.splitlines():
        match = re.match(r"^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match:
            options = dict(word.split("=", 1) for word in (match[1] or "").split() if "=" in word)
            yield match[2], match[3], match[4].split(), options


def parse_deb822(text):
    """Yield (uri, suite, components, options) of each stanza of a .sources file."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", text):
        fields = {}
        for match in re.finditer(r"^([A-Za-z-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)", stanza, re.M):
            fields[match[1].lower()] = match[2].split()
        if "deb" not in fields.get("types", []) or fields.get("enabled", ["yes"]) == ["no"]:
            continue
        options = {name: fields[name][0] for name in ("trusted",) if fields.get(name)}
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield uri, suite, fields.get("components", []), options


def apt_entries(etc):
    """All entries of the apt sources under `etc` (normally /etc/apt)."""
    etc = pathlib.Path(etc)
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        parse = parse_deb822 if path.suffix == ".sources" else parse_one_line
        yield from parse(path.read_text(errors="replace"))


def debian_mirrors(etc="/etc/apt"):
    """Candidate mirrors as (uri, trusted), the likeliest first, each once.

    Other people's repositories use Debian's suite names too, so the caller
    tries one after the other; "-security" archives are another tree and left out.
    """
    found = []
    for uri, suite, components, options in apt_entries(etc):
        candidate = (uri, options.get("trusted") == "yes")
        if SUITES.match(suite) and "main" in components and candidate not in found:
            found.append(candidate)
    return found


class AptRoot:
    """A private apt root for one suite of one mirror."""

    def __init__(self, folder, mirror, trusted, suite):
        self.folder = pathlib.Path(folder)
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        option = "[trusted=yes] " if trusted else ""
        if not trusted and pathlib.Path(KEYRING).exists():
            option = f"[signed-by={KEYRING}] "
        (self.folder / "sources.list").write_text(f"deb {option}{mirror} {suite} main\n")

    def _run(self, tool, *arguments, cwd=None):
        settings = {
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::Lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            # An old suite's Release file is no longer renewed; its signature still counts.
            "Acquire::Check-Valid-Until": "false",
            # The sandbox user could not write into a private folder.
            "APT::Sandbox::User": "root",
        }
        command = [tool]
        for name, value in settings.items():
            command += ["-o", f"{name}={value}"]
        done = subprocess.run([*command, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"{tool} {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def update(self):
        """Fetch the package list; raise LabError when the mirror lacks the suite."""
        self._run("apt-get", "-o", "APT::Update::Error-Mode=any", "update")

    def show(self, package):
        """The fields of `package`'s newest version."""
        text = self._run("apt-cache", "show", "--no-all-versions", package)
        return dict(line.split(": ", 1) for line in text.splitlines() if re.match(r"^[A-Z][\w-]*: ", line))

    def download(self, package, folder):
        """Download one package's .deb into `folder` and return its path."""
        before = set(pathlib.Path(folder).glob("*.deb"))
        self._run("apt-get", "download", package, cwd=folder)
        new = set(pathlib.Path(folder).glob("*.deb")) - before
        if len(new) != 1:
            raise LabError(f"apt-get download {package} left {len(new)} files")
        return new.pop()
