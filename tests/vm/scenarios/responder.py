# SPDX-License-Identifier: MIT
"""What an incident responder asks, against the guest's /proc: mappings.

Part of the scenario `inspect`: MAKE_MOUNTS before the guest's tasks start, gather() at each moment, questions()
among the others, checks() of each source.
"""

import re

from vmlab.errors import check

# Mounts of every sort: flags, a subtree, one on another, a name that /proc writes with escapes, a propagation group.
MAKE_MOUNTS = r"""
mkdir -p /lab/first /lab/bound '/lab/with space' /lab/over /lab/shared
mount -t tmpfs -o nosuid,nodev,noexec,size=1m 'lab source' /lab/first
mkdir -p /lab/first/sub/below; echo text >/lab/first/sub/below/file
mount -o bind /lab/first/sub /lab/bound
mount -t tmpfs -o noatime none '/lab/with space'
mount -t tmpfs -o ro,nodiratime under /lab/over
mount -t tmpfs over /lab/over
mount -t tmpfs shared /lab/shared; mount --make-shared /lab/shared
"""
MAPPED = ("opener",)


def gather(stage, folder):
    """The guest's commands that add to `folder` what its /proc says."""
    return "\n".join(f"cat /proc/{stage.tasks[name]}/maps >{folder}/maps_{name}" for name in MAPPED)


def questions(stage):
    """Shell text by name, as stage.questions_about()'s."""
    return {f"maps_{name}": f"$K maps {stage.tasks[name]} --json $F" for name in MAPPED}


def checks(answers, before, after):
    """What is to be checked of one source, as functions. `before` and `after` are folders that gather() filled."""
    yield lambda: check_maps(answers, before, after)


def unescape(text):
    r"""What /proc writes as \040 and the like, as text."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def read(folder, name):
    """A file that gather() left."""
    return (folder / name).read_bytes().decode(errors="replace")


def check_maps(answers, before, after):
    """Every line of /proc/PID/maps, in its order."""
    count = 0
    for name in MAPPED:
        right = parse_maps(read(before, f"maps_{name}"))
        check(right == parse_maps(read(after, f"maps_{name}")), f"the mappings of {name} changed")
        got = [mapping_words(mapping) for mapping in answers.ask(f"maps_{name}").json()["mappings"]]
        wrong = next(((ours, theirs) for ours, theirs in zip(got, right) if ours != theirs), None)
        check(got == right, f"maps: {len(got)} of {name}, the guest has {len(right)}; the first that differs "
              f"(said, right): {wrong}")
        count += len(right)
    return f"{count} mappings"


def parse_maps(text):
    """(start, end, permissions, offset, device, inode, name) of each line of /proc/PID/maps."""
    mappings = []
    for line in text.splitlines():
        words = line.split(None, 5)
        start, end = (int(part, 16) for part in words[0].split("-"))
        major, minor = (int(part, 16) for part in words[3].split(":"))
        mappings.append((start, end, words[1], int(words[2], 16), f"{major}:{minor}", int(words[4]),
                         unescape(words[5]) if len(words) > 5 else ""))
    return mappings


def mapping_words(mapping):
    """A mapping of the product's JSON, as parse_maps() has it."""
    name = (mapping["name"] or "") + (" (deleted)" if mapping["deleted"] else "")
    return (int(mapping["start"], 16), int(mapping["end"], 16), mapping["permissions"], int(mapping["offset"], 16),
            mapping["device"], mapping["inode"], name)
