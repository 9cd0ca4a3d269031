# SPDX-License-Identifier: MIT
"""Runs commands in turn and keeps what each run took."""

import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "build" / "release" / "kcoredump"


@dataclasses.dataclass
class Row:
    """One command: what it was, and its runs as (seconds, peak MiB, output bytes)."""

    name: str
    command: list
    output: pathlib.Path = None
    runs: list = dataclasses.field(default_factory=list)

    @property
    def seconds(self):
        """The median."""
        return statistics.median(run[0] for run in self.runs)

    def as_json(self, base):
        """For the report; `base` is the row that ratios are to."""
        return {"command": self.name, "seconds": round(self.seconds, 3),
                "min": round(min(run[0] for run in self.runs), 3), "max": round(max(run[0] for run in self.runs), 3),
                "ratio": round(self.seconds / base.seconds, 2), "output_mb": round(self.runs[0][2] / 1e6, 1),
                "peak_mib": round(max(run[1] for run in self.runs))}


def run_once(row):
    """Seconds, peak MiB and output bytes of one run, output file included."""
    if row.output:
        row.output.unlink(missing_ok=True)
    start = time.monotonic()
    process = subprocess.Popen([str(part) for part in row.command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    text = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{row.command}: status {process.returncode}: {text.decode(errors='replace')}")
    size = 0
    if row.output:
        size = row.output.stat().st_size
        row.output.unlink()
    return seconds, usage.ru_maxrss / 1024, size


def measure(rows, rounds):
    """One uncounted round warms caches up; then every command in turn."""
    for number in range(rounds + 1):
        for row in rows:
            figures = run_once(row)
            if number:
                row.runs.append(figures)
    return rows


def markdown(title, rows, base):
    """A table; ratios are to `base`."""
    lines = [f"\n**{title}**\n", "| command | seconds (min–max) | times ours | output MB | peak MiB |", "|---|---|---|---|---|"]
    for row in rows:
        figures = row.as_json(base)
        lines.append(f"| {figures['command']} | {figures['seconds']:.2f} ({figures['min']:.2f}–{figures['max']:.2f}) | "
                     f"{figures['ratio']} | {figures['output_mb'] or '–'} | {figures['peak_mib']} |")
    return "\n".join(lines)
