# SPDX-License-Identifier: MIT
"""The VM tests: one function a scenario, each given a Context."""

from . import damage, holes, hotplug, live, peers, refusal


def _live(la57):
    return lambda context: live.run(context, la57)


SCENARIOS = {
    "live-la57": _live(True),
    "live-4level": _live(False),
    "pipe": live.pipe,
    "sigint": lambda context: damage.interrupted(context, "INT"),
    "sigterm": lambda context: damage.interrupted(context, "TERM"),
    "enospc": damage.disk_full,
    "unprivileged": refusal.unprivileged,
    "lockdown": refusal.lockdown,
    "kptr": refusal.hidden_addresses,
    "offline": holes.offline_block,
    "hwpoison": holes.poisoned_page,
    "ladder": holes.ladder,
    "hotplug": hotplug.run,
    "peers": peers.run,
}
