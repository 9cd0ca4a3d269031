# SPDX-License-Identifier: MIT
"""Every command's JSON held against its schema."""

import json
import pathlib
import re
import subprocess

from vmlab.errors import check

VALIDATOR = pathlib.Path(__file__).resolve().parents[2] / "support/validate_json.py"
DEBIAN_PYTHON = "/usr/bin/python3"  # where Debian's python3-jsonschema is

# What no other check asks for, of files.
MORE = {
    "schema_info": "$K info --json $F",
    "schema_verify": "$K verify --json $IMAGE",
    "schema_dis": "$K dis schedule --function --json $F",
    "schema_print": "$K print task_struct@init_task --depth 3 --json $F",
    "schema_layout": "$K print --layout task_struct --depth 3 --json $F",
    "schema_read": "$K read linux_banner 100 --json $F",
    "schema_words": "$K read init_task --symbols --json $F",
    "schema_outcomes": "$K map --by outcome --json $F",
    "schema_context": "$K search lab --range linux_banner:0x1000 --context 32 --json $F",
    **{f"schema_lines_{words.split()[0]}": f"$K {words} --json-lines $F"
       for words in ("ps", "mod", "vmalloc", "log", "map", "sym 'tcp_*' nothing", "search 'Linux version' --max 5", "maps 1",
                     "files 1", "mounts", "sockets", "list module.list@modules --show name", "bt --all", "slab", "check",
                     "irqs", "timers", "workqueues")},
}


def check_schemas(answers, program, questions):
    """All answers in JSON to `questions` of one source."""
    lines = []
    for name, command in questions.items():
        kind = re.search(r"--json(-lines)?\b", command)
        if kind:
            schema = re.search(r"\$K (\w+)", command)[1]
            answer = answers.ask(name)
            if answer.status == 2 and not answer.output:
                continue  # refused, as the check of its answer wants it: no registers of CPUs
            lines.append([schema, "line" if kind[1] else "document", answer.output.decode(), name])
    return validate(program, lines)


def validate(program, lines):
    """`lines`: [schema, "document" or "line", text, name] of each."""
    done = subprocess.run([DEBIAN_PYTHON, "-B", VALIDATOR, program], input="\n".join(map(json.dumps, lines)),
                          capture_output=True, text=True, check=False, timeout=240)
    check(done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}")
    return done.stdout.strip()
