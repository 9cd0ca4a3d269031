# SPDX-License-Identifier: MIT
"""Run inside gdb: prints the program counters of every thread's frames, by its number, as one line of JSON."""

import json

import gdb

MOST = 64
MADE_UP = (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME)  # by gdb, of what the compiler has merged


def counters():
    """Of the selected thread, the innermost first; an empty list where gdb finds none."""
    found = []
    try:
        frame = gdb.newest_frame()
        while frame is not None and len(found) < MOST:
            if frame.type() not in MADE_UP:
                found.append(frame.pc())
            frame = frame.older()
    except gdb.error:
        pass
    return found


stacks = {}
for thread in gdb.selected_inferior().threads():
    thread.switch()
    stacks[thread.ptid[1]] = counters()
print("BACKTRACES " + json.dumps(stacks))
