# SPDX-License-Identifier: MIT
"""The VM tests: one function a scenario, each given a Context."""

from . import crash, damage, filters, folder, foreign, formats, holes, hotplug, inspect, live, peers, refusal, stale


def _live(la57):
    return lambda context: live.run(context, la57)


SCENARIOS = {
    "live-la57": _live(True),
    "live-4level": _live(False),
    "pipe": live.pipe,
    "names": live.other_names,
    "sigint": lambda context: damage.interrupted(context, "INT", False),
    "sigterm": lambda context: damage.interrupted(context, "TERM", True),
    "enospc": damage.disk_full,
    "erofs": damage.read_only,
    "unprivileged": refusal.unprivileged,
    "lockdown": refusal.lockdown,
    "kptr": refusal.hidden_addresses,
    "offline": holes.offline_block,
    "hwpoison": holes.poisoned_page,
    "ladder": holes.ladder,
    "hotplug": hotplug.run,
    "panic": crash.panic,
    "formats": formats.run,
    "filters": filters.run,
    "folder": folder.run,
    "foreign": foreign.run,
    "inspect": inspect.run,
    "peers": peers.run,
    "stale": stale.run,
}
