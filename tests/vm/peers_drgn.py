# SPDX-License-Identifier: MIT
"""Runs inside the peers' chroot: what drgn finds in a core, as one JSON object.

    python3 peers_drgn.py CORE VMLINUX [HOLDER]

HOLDER is the comm of a process whose largest mapping is read through its own page tables.
"""

import json
import sys

import drgn
from drgn.helpers.linux.mm import access_remote_vm, for_each_vma
from drgn.helpers.linux.module import for_each_module
from drgn.helpers.linux.pid import for_each_task

PAGE = 4096


def open_core(core, vmlinux):
    """The program, with the kernel's types and nothing else loaded; a snapshot opens by our own module."""
    if core.endswith(".zst"):
        import kcoredump.drgn  # pylint: disable=import-outside-toplevel  # only there where it was put
        program = kcoredump.drgn.program(core)
    else:
        program = drgn.Program()
        program.set_core_dump(core)
    program.load_debug_info([vmlinux])
    return program


def read_largest_mapping(task):
    """[pages, first page, last page] of the task's largest mapping, in hex, page tables walked."""
    start, end = max(((vma.vm_start.value_(), vma.vm_end.value_()) for vma in for_each_vma(task.mm)),
                     key=lambda span: span[1] - span[0])
    pages = [access_remote_vm(task.mm, address, PAGE).hex() for address in (start, end - PAGE)]
    return [(end - start) // PAGE, *pages]


def main():
    """Print what the core holds."""
    program = open_core(sys.argv[1], sys.argv[2])
    tasks = list(for_each_task(program))
    holder = next((task for task in tasks if task.comm.string_().decode() in sys.argv[3:]), None)
    print(json.dumps({
        "tasks": [[task.pid.value_(), task.comm.string_().decode(errors="replace")] for task in tasks],
        "modules": sorted(module.name.string_().decode() for module in for_each_module(program)),
        "release": program["init_uts_ns"].name.release.string_().decode(),
        "stext": program.symbol("_stext").address,
        "mapping": read_largest_mapping(holder) if holder else None,
    }))


main()
