# SPDX-License-Identifier: MIT
"""Reads beside libkdumpfile, and the time to a first answer beside drgn and crash."""

import json
import os
import pathlib
import shutil
import subprocess

from .timing import PROGRAM, ROOT, Row


def space_bench(source, folder):
    """Rows of (name, bytes or items a second) from build/bench/space_bench; None where it is not built."""
    program = ROOT / "build" / "bench" / "space_bench"
    if not program.exists():
        print("left out: reads (build/bench/space_bench is not built; tests/bench/README.md)", flush=True)
        return None
    snapshot, kdump = folder / "read.elf.zst", folder / "read.lzo"
    subprocess.run([PROGRAM, "capture", "-f", source, "-o", snapshot, "--force", "--progress", "none"], check=True)
    environment = dict(os.environ, KCOREDUMP_BENCH_IMAGE=str(snapshot))
    if shutil.which("makedumpfile"):
        kdump.unlink(missing_ok=True)
        subprocess.run(["makedumpfile", "-l", "-d", "0", source, kdump], check=True, stdout=subprocess.DEVNULL)
        environment["KCOREDUMP_BENCH_KDUMP"] = str(kdump)
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_repetitions=5",
                           "--benchmark_report_aggregates_only=true"], env=environment, stdout=subprocess.PIPE, check=True)
    for path in (snapshot, kdump):
        path.unlink(missing_ok=True)
    table = []
    for entry in json.loads(done.stdout)["benchmarks"]:
        if entry.get("aggregate_name") != "median":
            continue
        if "bytes_per_second" in entry:
            table.append((entry["run_name"], f"{entry['bytes_per_second'] / 1e9:.2f} GB/s"))
        elif "items_per_second" in entry:
            table.append((entry["run_name"], f"{entry['items_per_second'] / 1e6:.2f} million a second"))
    return table


def markdown(table):
    """Two columns."""
    return "\n".join(["\n**Reads**\n", "| benchmark | median |", "|---|---|", *(f"| {name} | {rate} |" for name, rate in table)])


def first_answers(image, vmlinux):
    """Start to exit with an answer; peers that are missing are named."""
    rows = [Row(f"kcoredump {words}", [PROGRAM, *words.split(), "-f", image]) for words in ("sym linux_banner", "log", "mod")]
    has_debuginfo = vmlinux is not None and pathlib.Path(vmlinux).exists()
    for tool in ("crash", "drgn"):
        if not shutil.which(tool) or not has_debuginfo:
            print(f"left out: {tool} ({'no --vmlinux' if shutil.which(tool) else 'not installed'})", flush=True)
            continue
        plain = f"{image}.plain"
        command = (f"echo quit | crash -s {vmlinux} {plain}" if tool == "crash" else
                   f"drgn -q -c {plain} -s {vmlinux} -e 'print(prog[\"init_task\"].comm)'")
        rows.append(Row(tool, ["sh", "-c", command]))
    return rows
